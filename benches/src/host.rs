//! On what the numbers were taken: processor, cores, kernel, compiler, peers. Read from files and `rustc`; what cannot
//! be read is "unknown" and never an error.

use std::fmt;
use std::process::Command;

/// What a reader must know to compare two runs.
#[derive(Clone, Debug)]
pub struct Host {
    /// Model of the processor.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Kernel release.
    pub kernel: String,
    /// Compiler found now; the one that built this, unless it was changed since.
    pub rustc: String,
    /// Versions of the peers, from the lock file.
    pub peers: String,
    /// The one-minute load average when the run began: above 1 or so, other work took part.
    pub load: String,
}

impl Host {
    /// Looks at this machine; `lock_file` is the text of `Cargo.lock`, `peers` the packages to name.
    #[must_use]
    pub fn read(lock_file: &str, peers: &[&str]) -> Self {
        let cpu_info = read("/proc/cpuinfo");
        let cpu = cpu_info
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or_else(unknown, |(_, model)| model.trim().to_owned());
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: first_word(&read("/proc/sys/kernel/osrelease")),
            rustc: rustc.map_or_else(unknown, |output| {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            }),
            peers: peers
                .iter()
                .filter_map(|name| version(lock_file, name))
                .collect::<Vec<_>>()
                .join(", "),
            load: first_word(&read("/proc/loadavg")),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}, {} cores, Linux {}, {}; {}; load average {} at the start",
            self.cpu, self.cores, self.kernel, self.rustc, self.peers, self.load
        )
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn first_word(text: &str) -> String {
    text.split_whitespace()
        .next()
        .map_or_else(unknown, str::to_owned)
}

fn unknown() -> String {
    "unknown".to_owned()
}

/// `name version` of a package in a lock file.
fn version(lock_file: &str, name: &str) -> Option<String> {
    let entry = format!("name = \"{name}\"\nversion = \"");
    let rest = lock_file.split_once(entry.as_str())?.1;
    Some(format!("{name} {}", rest.split_once('"')?.0))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_found_by_its_whole_name() {
        let lock = "[[package]]\nname = \"smol-hyper\"\nversion = \"0.1.1\"\n\n[[package]]\nname = \"smol\"\nversion = \"2.0.2\"\n";
        assert_eq!(version(lock, "smol").as_deref(), Some("smol 2.0.2"));
        assert_eq!(version(lock, "tokio"), None);
    }
}
