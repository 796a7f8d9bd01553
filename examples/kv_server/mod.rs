//! The key-value server without a runtime and without sockets, so that the same files serve every runtime that is measured.
//!
//! Everything has a limit: an argument, a command, a reply, all that is stored.

mod commands;
mod session;
mod store;

pub(crate) use session::Session;
pub(crate) use store::Store;

/// What the command line says.
pub(crate) struct Options {
    pub(crate) port: u16,
    /// Bytes of keys and values.
    pub(crate) memory: usize,
    pub(crate) workers: Option<usize>,
}

impl Options {
    /// # Errors
    ///
    /// If it says anything else.
    pub(crate) fn from_args() -> std::io::Result<Self> {
        let mut options = Self {
            port: 6379,
            memory: 256 << 20,
            workers: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().and_then(|value| value.parse::<usize>().ok());
            match (&*word, value) {
                ("--port", Some(port @ ..=65_535)) => {
                    options.port = u16::try_from(port).unwrap_or_default();
                }
                ("--memory", Some(mib @ 1..=1_048_576)) => options.memory = mib << 20,
                ("--workers", Some(count @ 1..)) => options.workers = Some(count),
                _ => {
                    let usage = "usage: kv_server [--port PORT] [--memory MIB] [--workers COUNT]";
                    return Err(std::io::Error::other(usage));
                }
            }
        }
        Ok(options)
    }
}
