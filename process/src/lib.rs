//! Child processes for the loxley runtime: [`create_subprocess_exec`] and [`create_subprocess_shell`], in asyncio's terms.
//!
//! # Who reaps whom
//!
//! A child that exits stays a zombie until its parent asks how it ended. Here a child is its own reaper: it is registered
//! with the driver of the runtime that started it, by a process descriptor (a *pidfd*) where the system has them and by
//! SIGCHLD where not, and whichever worker turns the driver when it exits reaps it on the spot. No task and no thread waits
//! for it, and whether anybody holds its [`Process`] makes no difference. When a runtime goes before its children, a
//! thread `loxley-reaper` takes those over, and ends with the last of them.
//!
//! Children that were not started here are never waited for: std's `Child`, libraries and plain `fork` go on as before.
//! Signals are sent under the lock under which a child is reaped, and by its descriptor, so none ever reaches a stranger who
//! got a reaped child's number. Code that reaps children which it did not start (`waitpid(-1)`), or a program that
//! ignores SIGCHLD, takes our children's statuses away; then a wait ends with [`StatusLost`].
//!
//! | file | holds |
//! |---|---|
//! | `options.rs` | [`Command`], everything a child can be given |
//! | `environment.rs` | its variables, and where the program is looked for |
//! | `stdio.rs` | [`Stdio`], what its streams are connected to |
//! | `start.rs` | from options to a child that is watched |
//! | `process.rs` | [`Process`], what users hold |
//! | `reap.rs` | the only waiter for children, and the only one who signals them |
//! | `orphans.rs` | children whose runtime has gone |
//! | `error.rs` | what can go wrong, and what to change |
//! | `sys.rs`, `sys/clone.rs` | system calls that std lacks, and the one that makes a process |
//!
//! Signals to this program itself are `loxley_runtime::signal`.

mod environment;
mod error;
mod options;
mod orphans;
mod process;
mod reap;
mod start;
mod stdio;
mod sys;

pub use error::{SendSignalError, SpawnError, StatusLost};
pub use options::{Command, create_subprocess_exec, create_subprocess_shell};
pub use process::Process;
pub use stdio::Stdio;
