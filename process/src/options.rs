//! Everything a child can be given before it starts: the builder that users see.
//!
//! Nothing here makes a process; `start.rs` does. Variables, and where they say that a program is, are in `environment.rs`.
//! Mistakes that need no system to be seen are kept until [`spawn`](Command::spawn) can report them all in the same way.

use std::ffi::{CString, OsStr, OsString};
use std::future::Future;
use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process;

use crate::environment::{variable, variables};
use crate::error::SpawnError;
use crate::process::Process;
use crate::reap::Means;
use crate::start::start;
use crate::stdio::{Stdio, Streams, Theirs};
use crate::sys::Setup;
use crate::sys::plan::Plan;

/// The bits that a file's rights have, and a mask of them may take away.
const UMASK_MAX: u32 = 0o777;

/// A program with arguments, to be started as a child: see [`Command`] for what else it can be given.
///
/// A program without `/` in it is looked for in the directories of `PATH`. No shell is involved: arguments reach the child
/// byte by byte. For none write `[""; 0]`: `[]` would be a list of nobody knows what.
///
/// # Examples
///
/// ```
/// use loxley_process::{Stdio, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let mut child = create_subprocess_exec("printf", ["%s %s", "a b", "$HOME"])
///     .stdout(Stdio::piped())
///     .spawn()
///     .await?;
/// assert_eq!(child.communicate(None).await?.stdout, b"a b $HOME");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: gives a builder, and the child starts with [`spawn`](Command::spawn).
pub fn create_subprocess_exec<I>(program: impl AsRef<OsStr>, args: I) -> Command
where
    I: IntoIterator,
    I::Item: AsRef<OsStr>,
{
    Command::new(program.as_ref()).args(args)
}

/// A line for `/bin/sh`, to be run as a child: see [`Command`] for what else it can be given.
///
/// What stands in the line is a program in the shell's language. Never put text of others into it; pass that with
/// [`create_subprocess_exec`], or as an argument, which the shell then sees as `$1`.
///
/// # Examples
///
/// ```
/// use loxley_process::{Stdio, create_subprocess_shell};
///
/// # loxley_runtime::run(async {
/// let mut child = create_subprocess_shell("printf 'b\na\n' | sort")
///     .stdout(Stdio::piped())
///     .spawn()
///     .await?;
/// assert_eq!(child.communicate(None).await?.stdout, b"a\nb\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
///
/// **Differs from asyncio**: gives a builder, and the child starts with [`spawn`](Command::spawn).
pub fn create_subprocess_shell(line: impl AsRef<OsStr>) -> Command {
    // The second `sh` is what the shell calls itself, so that further arguments begin at `$1`.
    let words = [OsStr::new("-c"), line.as_ref(), OsStr::new("sh")];
    Command::new(OsStr::new("/bin/sh")).args(words)
}

/// A child to be: made by [`create_subprocess_exec`] or [`create_subprocess_shell`], given whatever else it should have,
/// and started with [`spawn`](Self::spawn).
///
/// Unless said otherwise it shares this program's standard streams, environment, directory, user and process group, but none
/// of its other descriptors, and it starts with no signal blocked and SIGPIPE at its default.
///
/// # Examples
///
/// ```
/// use loxley_process::{Stdio, create_subprocess_exec};
///
/// # loxley_runtime::run(async {
/// let mut child = create_subprocess_exec("sh", ["-c", "echo $GREETING; pwd"])
///     .env("GREETING", "hello")
///     .cwd("/")
///     .stdin(Stdio::null())
///     .stdout(Stdio::piped())
///     .kill_on_drop(true)
///     .spawn()
///     .await?;
/// assert_eq!(child.communicate(None).await?.stdout, b"hello\n/\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "nothing runs before `spawn`"]
pub struct Command {
    /// What std has a word for; of this, `plan` reads arguments and variables back.
    pub(crate) inner: process::Command,
    pub(crate) program: OsString,
    arg0: Option<OsString>,
    pub(crate) clears_env: bool,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) streams: Streams,
    pub(crate) setup: Setup,
    pub(crate) limit: usize,
    pub(crate) kill_on_drop: bool,
    pub(crate) means: Means,
    /// Whether std can only fork for it.
    pub(crate) needs_fork: bool,
    /// Whether std is to make the process in any case.
    by_std: bool,
    process_group: Option<i32>,
    /// The first mistake that was made.
    mistake: Option<String>,
}

impl Command {
    fn new(program: &OsStr) -> Self {
        let mut this = Self {
            inner: process::Command::new(program),
            program: program.to_owned(),
            arg0: None,
            clears_env: false,
            cwd: None,
            streams: Streams::default(),
            setup: Setup::default(),
            limit: DEFAULT_LIMIT,
            kill_on_drop: false,
            means: Means::Best,
            needs_fork: false,
            by_std: false,
            process_group: None,
            mistake: None,
        };
        this.check_nul("the program", program);
        if program.is_empty() {
            this.note("the program has no name; give one");
        }
        this
    }

    /// One more argument.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let verbose = true;
    /// let mut list = create_subprocess_exec("echo", ["ls"]).stdout(Stdio::piped());
    /// if verbose {
    ///     list = list.arg("-l");
    /// }
    /// assert_eq!(list.spawn().await?.communicate(None).await?.stdout, b"ls -l\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.check_nul("an argument", arg.as_ref());
        self.inner.arg(arg);
        self
    }

    /// More arguments.
    ///
    /// # Examples
    ///
    /// What comes from others reaches a shell's line safely as its arguments:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let names = ["a b", "$(reboot)"];
    /// let mut child = create_subprocess_shell(r#"printf '<%s>' "$@""#)
    ///     .args(names)
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"<a b><$(reboot)>");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn args<I>(mut self, args: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<OsStr>,
    {
        for arg in args {
            self = self.arg(arg);
        }
        self
    }

    /// What the child finds as its own name, its argument 0. Default: the program as it was given.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let mut shell = create_subprocess_exec("sh", ["-c", "echo $0"])
    ///     .arg0("report") // What it calls itself.
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(shell.communicate(None).await?.stdout, b"report\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn arg0(mut self, name: impl AsRef<OsStr>) -> Self {
        self.check_nul("argument 0", name.as_ref());
        self.inner.arg0(name.as_ref());
        self.arg0 = Some(name.as_ref().to_owned());
        self
    }

    /// The directory in which the child starts; a program given as a relative path is found from there.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_exec("pwd", [""; 0]).cwd("/").stdout(Stdio::piped()).spawn().await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"/\n");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.check_nul("the working directory", dir.as_ref().as_os_str());
        self.inner.current_dir(dir.as_ref());
        self.cwd = Some(dir.as_ref().to_owned());
        self
    }

    /// Where the child's input comes from. Default: where this program's comes from.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let source = std::fs::File::open("Cargo.toml")?; // A file, a pipe, or nothing.
    /// let mut child = create_subprocess_exec("head", ["-c", "9"])
    ///     .stdin(source)
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.communicate(None).await?.stdout, b"[package]");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn stdin(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams.stdin = stdio.into();
        self
    }

    /// Where the child's output goes to. Default: where this program's goes to.
    ///
    /// # Examples
    ///
    /// Line by line, while the child works:
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child =
    ///     create_subprocess_shell("echo one; echo two").stdout(Stdio::piped()).spawn().await?;
    /// let mut lines = child.stdout.take().expect("it was piped");
    /// assert_eq!(lines.readline().await?, b"one\n");
    /// assert_eq!(lines.readline().await?, b"two\n");
    /// assert_eq!(child.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn stdout(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams.stdout = stdio.into();
        self
    }

    /// Where the child's error output goes to. Default: where this program's goes to.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child =
    ///     create_subprocess_shell("echo trouble >&2; exit 3").stderr(Stdio::piped()).spawn().await?;
    /// let output = child.communicate(None).await?;
    /// assert_eq!((output.stderr, child.returncode()), (b"trouble\n".to_vec(), Some(3)));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn stderr(mut self, stdio: impl Into<Stdio>) -> Self {
        self.streams.stderr = stdio.into();
        self
    }

    /// The limit of a line or record of the child's stdout and stderr, in bytes: see
    /// [`StreamReader::limit`](loxley_io::StreamReader::limit). Default 64 KiB. At least 1, else `spawn` fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_exec("echo", ["hello"])
    ///     .stdout(Stdio::piped())
    ///     .limit(1 << 20) // For lines of up to a megabyte.
    ///     .spawn()
    ///     .await?;
    /// assert_eq!(child.stdout.as_ref().unwrap().limit(), 1 << 20);
    /// # child.wait().await?;
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn limit(mut self, bytes: usize) -> Self {
        if bytes == 0 {
            self.note("limit: a reader whose limit is 0 finds no line; give at least 1");
        }
        self.limit = bytes;
        self
    }

    /// Whether the child is killed when its [`Process`] is dropped while it runs, and with it the process group that it
    /// leads, if it was given one of its own. It is reaped either way. Default: it runs on.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_exec};
    /// # loxley_runtime::run(async {
    /// let mut child = create_subprocess_exec("sleep", ["600"])
    ///     .stdout(Stdio::piped())
    ///     .kill_on_drop(true)
    ///     .spawn()
    ///     .await?;
    /// let mut stdout = child.stdout.take().expect("it was piped");
    /// drop(child);
    /// assert_eq!(stdout.read_to_end().await?, b"", "it is gone, and so is its end of the pipe");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn kill_on_drop(mut self, kill: bool) -> Self {
        self.kill_on_drop = kill;
        self
    }

    /// The process group that the child joins; 0 makes a new one, which it leads, so that
    /// [`kill_tree`](Process::kill_tree) reaches whatever it starts. Default: the group of this program, which takes part in
    /// what a terminal sends: Ctrl-C reaches both.
    ///
    /// # Examples
    ///
    /// A child that a Ctrl-C at the terminal does not reach:
    ///
    /// ```
    /// # use loxley_process::create_subprocess_shell;
    /// # loxley_runtime::run(async {
    /// let child = create_subprocess_shell("sleep 600 & wait").process_group(0).spawn().await?;
    /// child.kill_tree()?; // The group is its own: what it has started goes, too.
    /// assert_eq!(child.wait().await?, -9);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn process_group(mut self, group: i32) -> Self {
        if group < 0 {
            self.note("process_group: a number of a group, or 0 for a new one");
        }
        self.inner.process_group(group);
        self.process_group = Some(group);
        self
    }

    /// Whether the child leads a session of its own: away from this program's terminal, and in a new process group.
    /// Default: no.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::create_subprocess_exec;
    /// # loxley_runtime::run(async {
    /// let daemon = create_subprocess_exec("sleep", ["600"]).new_session(true).spawn().await?;
    /// daemon.kill_tree()?; // It leads a group as well.
    /// assert_eq!(daemon.wait().await?, -9);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "start_new_session")]
    #[doc(alias = "setsid")]
    pub fn new_session(mut self, new_session: bool) -> Self {
        self.setup.new_session = new_session;
        self
    }

    /// The user that the child runs as, by number. Takes privileges; a privileged program also gives up its further groups
    /// then.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use loxley_process::create_subprocess_exec;
    /// # loxley_runtime::run(async {
    /// // Started as root, which the worker need not be.
    /// let worker = create_subprocess_exec("./worker", [""; 0]).uid(1000).gid(1000).spawn().await?;
    /// assert_eq!(worker.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn uid(mut self, id: u32) -> Self {
        self.inner.uid(id);
        self.takes_another_user();
        self
    }

    /// The group that the child runs as, by number. Takes privileges.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use loxley_process::create_subprocess_exec;
    /// # loxley_runtime::run(async {
    /// let backup = create_subprocess_exec("./backup", [""; 0]).gid(34).spawn().await?;
    /// assert_eq!(backup.wait().await?, 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn gid(mut self, id: u32) -> Self {
        self.inner.gid(id);
        self.takes_another_user();
        self
    }

    /// The rights that files made by the child do not get: at most `0o777`, else `spawn` fails. Default: those of this
    /// program.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_process::{Stdio, create_subprocess_shell};
    /// # loxley_runtime::run(async {
    /// let mut child =
    ///     create_subprocess_shell("umask").umask(0o077).stdout(Stdio::piped()).spawn().await?;
    /// let mask = String::from_utf8(child.communicate(None).await?.stdout).unwrap();
    /// assert!(mask.trim_end().ends_with("077"), "files are its user's alone");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn umask(mut self, mask: u32) -> Self {
        match u16::try_from(mask) {
            Ok(bits) if mask <= UMASK_MAX => self.setup.umask = Some(bits),
            _ => self.note(&format!(
                "umask: {mask:#o} has bits that no file has; give at most 0o777"
            )),
        }
        self
    }

    /// One more descriptor for the child, which finds it under the number that it has here: tell it by an argument or
    /// variable. It is closed here once the child has started.
    ///
    /// # Examples
    ///
    /// ```
    /// use loxley_process::{Stdio, create_subprocess_exec};
    /// use std::os::fd::AsRawFd;
    ///
    /// # loxley_runtime::run(async {
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let mut child = create_subprocess_exec("cat", [format!("/dev/fd/{}", file.as_raw_fd())])
    ///     .pass_fd(file)
    ///     .stdout(Stdio::piped())
    ///     .spawn()
    ///     .await?;
    /// let text = child.communicate(None).await?.stdout;
    /// assert!(text.starts_with(b"[package]"));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[doc(alias = "pass_fds")]
    pub fn pass_fd(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.setup.keep.push(fd.into());
        self
    }

    /// For tests: watches the child as a system without process descriptors does, through SIGCHLD.
    #[doc(hidden)]
    pub fn without_pidfd(mut self) -> Self {
        self.means = Means::Sigchld;
        self
    }

    /// For tests: has std make the process, as on a system that lets nobody else do it.
    #[doc(hidden)]
    pub fn by_std(mut self) -> Self {
        self.by_std = true;
        self
    }

    /// Starts the child.
    ///
    /// On Linux on x86-64 this is one short system call, whatever the size of this program, but for a child that is given
    /// another user or group: that one takes a fork of this program, whose time grows with its memory and which is therefore
    /// made on a thread of the blocking pool. Elsewhere, and where a filter of system calls is in the way, the same goes for
    /// those with a `umask`, a session, further descriptors, or a `PATH` to be looked for in.
    ///
    /// # Errors
    ///
    /// With a [`SpawnError`] inside, which names the program and says what to change: the program or the working directory
    /// is not there, is not allowed, or is no program; an argument contains a NUL; options contradict each other;
    /// descriptors or processes are used up. (A file that is executable and no program is refused, but where a fork is taken
    /// the C library runs it through `/bin/sh`.) Or if no runtime is running on this thread or it has shut down. Nothing is left
    /// behind then: no process, and no descriptor.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, no child is left: one that was being started is killed and reaped.
    ///
    /// # Examples
    ///
    /// Children run side by side; each is waited for where it suits:
    ///
    /// ```
    /// # use loxley_process::create_subprocess_exec;
    /// # loxley_runtime::run(async {
    /// let one = create_subprocess_exec("true", [""; 0]).spawn().await?;
    /// let other = create_subprocess_exec("false", [""; 0]).spawn().await?;
    /// assert_eq!((one.wait().await?, other.wait().await?), (0, 1));
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn spawn(mut self) -> impl Future<Output = io::Result<Process>> + Send {
        let checked = self.check();
        async move {
            checked?;
            start(self).await
        }
    }

    /// What needs no system to be seen.
    fn check(&mut self) -> io::Result<()> {
        if let Some(text) = self.streams.mistake() {
            self.note(text);
        }
        if self.setup.new_session && self.process_group.is_some() {
            self.note(
                "new_session and process_group exclude each other: a new session is a new group",
            );
        }
        match self.mistake.take() {
            Some(text) => Err(SpawnError::refused(&self.program, text)),
            None => Ok(()),
        }
    }

    /// Whether the child is the first of a process group with its own number.
    pub(crate) fn leads_group(&self) -> bool {
        self.setup.new_session || self.process_group == Some(0)
    }

    /// Whether std would fork.
    pub(crate) fn takes_fork(&self) -> bool {
        self.needs_fork || !self.setup.is_empty()
    }

    /// Whether only std can do what is asked for, or is to do it.
    pub(crate) fn takes_std(&self) -> bool {
        self.by_std
    }

    fn takes_another_user(&mut self) {
        // Who has fewer rights must not share our memory.
        self.needs_fork = true;
        self.by_std = true;
    }

    /// The child as the kernel takes it, with these streams; `None` if a text of it is none.
    pub(crate) fn plan<'a>(&'a self, streams: &'a Theirs) -> Option<Plan<'a>> {
        let env = self.environment();
        let text = |text: &OsStr| CString::new(text.as_bytes()).ok();
        let arg0 = self.arg0.as_ref().unwrap_or(&self.program);
        let args = iter::once(arg0.as_os_str()).chain(self.inner.get_args());
        let cwd = self.cwd.as_ref().map(|dir| text(dir.as_os_str()));
        Some(Plan {
            programs: self.places(&env)?,
            args: args.map(text).collect::<Option<_>>()?,
            env: variables(&env).map(variable).collect::<Option<_>>()?,
            cwd: match cwd {
                Some(dir) => Some(dir?),
                None => None,
            },
            streams: streams.0.each_ref().map(Option::as_ref),
            process_group: self.process_group,
            setup: &self.setup,
            wants_pidfd: self.means == Means::Best,
        })
    }

    pub(crate) fn check_nul(&mut self, what: &str, text: &OsStr) {
        if text.as_encoded_bytes().contains(&0) {
            self.note(&format!(
                "{what} contains a NUL byte, which no program can be given: {text:?}"
            ));
        }
    }

    pub(crate) fn note(&mut self, mistake: &str) {
        self.mistake.get_or_insert_with(|| mistake.to_owned());
    }
}

const DEFAULT_LIMIT: usize = 64 << 10;
