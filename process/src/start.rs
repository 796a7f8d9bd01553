//! From options to a running child that is watched.
//!
//! Called by [`Command::spawn`]. std makes the process; what could fail is done before, so that a child which runs is a child
//! that somebody has: until a [`Process`] owns it, it is in the hands of [`Started`], whose drop kills it.
//!
//! **Where it runs.** A child that std starts with `posix_spawn` is started in place: the call shares this program's
//! memory with the child until that becomes another program, and takes about 60 µs whatever that memory is; a hop to the
//! pool costs half as much again and two system calls more. A child that takes a fork is started on the pool, because a
//! fork copies page tables: 2 ms for each 100 MiB (2-core machine, Linux 6.18).

use std::io;
use std::sync::Arc;

use loxley_runtime::Handle;
use loxley_runtime::lowlevel::run_blocking;

use crate::error::SpawnError;
use crate::options::Command;
use crate::orphans;
use crate::process::Process;
use crate::reap::Child;
use crate::stdio::Ours;

/// A child that nobody has asked for yet.
struct Started {
    child: Option<Arc<Child>>,
    ours: Ours,
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            // Whoever wanted it has gone. It is watched, so it is reaped.
            child.kill_silently();
        }
    }
}

/// Starts a child.
///
/// # Errors
///
/// As [`Command::spawn`].
pub(crate) async fn start(command: Command) -> io::Result<Process> {
    // A child that nobody can watch must not be made.
    Handle::try_current().map_err(io::Error::other)?;
    let (limit, kill_on_drop) = (command.limit, command.kill_on_drop);
    let mut started = if command.needs_fork || !command.setup.is_empty() {
        let (program, cwd) = (command.program.clone(), command.cwd.clone());
        run_blocking(move || start_now(command))
            .await
            .map_err(|error| SpawnError::failed(&program, cwd.as_deref(), error))??
    } else {
        start_now(command)?
    };
    let ours = std::mem::take(&mut started.ours);
    let child = started.child.take().expect("only a drop takes it, or this");
    Ok(Process::new(child, ours, limit, kill_on_drop))
}

fn start_now(mut command: Command) -> io::Result<Started> {
    let leads_group = command.leads_group();
    let failed = |error| SpawnError::failed(&command.program, command.cwd.as_deref(), error);
    // Ours are registered before there is a child: what may fail there leaves none behind.
    let ours = command
        .streams
        .connect(&mut command.inner)
        .map_err(failed)?;
    command.setup.install(&mut command.inner);
    let spawned = command.inner.spawn().map_err(failed)?;
    // Closes the child's ends here, or nobody would ever see the end of a stream.
    drop(command.inner);
    let child = Child::new(spawned.id(), leads_group, command.means);
    // std's handle neither kills nor reaps when it is dropped.
    drop(spawned);
    if let Err(error) = child.watch() {
        child.kill_silently();
        orphans::adopt(&child);
        return Err(failed(error));
    }
    Ok(Started {
        child: Some(child),
        ours,
    })
}
