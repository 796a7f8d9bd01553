//! From options to a running child that is watched.
//!
//! Called by [`Command::spawn`]. What could fail is done before there is a process, so that a child which runs is a child
//! that somebody has: until a [`Process`] owns it, it is in the hands of [`Started`], whose drop kills it.
//!
//! **Who makes it.** `sys/clone.rs` where it can: in place, because that shares this program's memory with the child until it
//! becomes another program, and takes the same time whatever that memory is. Where it cannot, std: in place if that takes
//! `posix_spawn`, and on the pool if it takes a fork, which copies page tables: 2 ms for each 100 MiB (2-core machine,
//! Linux 6.18).

use std::io;
use std::mem;
use std::sync::Arc;

use loxley_runtime::Handle;
use loxley_runtime::lowlevel::run_blocking;

use crate::error::SpawnError;
use crate::options::Command;
use crate::orphans;
use crate::process::Process;
use crate::reap::Child;
use crate::stdio::{Ours, Theirs};
use crate::sys::clone;
use crate::sys::plan::Cloned;

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
pub(crate) async fn start(mut command: Command) -> io::Result<Process> {
    // A child that nobody can watch must not be made.
    Handle::try_current().map_err(io::Error::other)?;
    let (limit, kill_on_drop) = (command.limit, command.kill_on_drop);
    // Ours are registered before there is a child: what may fail there leaves none behind.
    let streams = mem::take(&mut command.streams);
    let (theirs, ours) = streams.connect().map_err(|error| failed(&command, error))?;
    let mut started = match start_here(&command, &theirs)? {
        Some(made) => {
            drop(theirs);
            watch(&command, command.leads_group(), made, ours)?
        }
        None if command.takes_fork() => {
            let (program, cwd) = (command.program.clone(), command.cwd.clone());
            run_blocking(move || start_by_std(command, theirs, ours))
                .await
                .map_err(|error| SpawnError::failed(&program, cwd.as_deref(), error))??
        }
        None => start_by_std(command, theirs, ours)?,
    };
    let ours = mem::take(&mut started.ours);
    let child = started.child.take().expect("only a drop takes it, or this");
    Ok(Process::new(child, ours, limit, kill_on_drop))
}

/// The process, made by the kernel's own call; `None` if std has to make it.
fn start_here(command: &Command, theirs: &Theirs) -> io::Result<Option<Cloned>> {
    if command.takes_std() {
        return Ok(None);
    }
    let Some(plan) = command.plan(theirs) else {
        return Ok(None);
    };
    clone::spawn(&plan).map_err(|error| failed(command, error))
}

fn start_by_std(mut command: Command, theirs: Theirs, ours: Ours) -> io::Result<Started> {
    theirs.install(&mut command.inner);
    let is_leader = command.leads_group();
    mem::take(&mut command.setup).install(&mut command.inner);
    let spawned = command
        .inner
        .spawn()
        .map_err(|error| failed(&command, error))?;
    let made = Cloned {
        pid: spawned.id(),
        pidfd: None,
    };
    // std's handle neither kills nor reaps when it is dropped.
    drop(spawned);
    let started = watch(&command, is_leader, made, ours);
    // Closes the child's sides of its streams, which std keeps for another child.
    drop(command);
    started
}

/// Has the child watched, or killed and reaped elsewhere.
fn watch(command: &Command, is_leader: bool, made: Cloned, ours: Ours) -> io::Result<Started> {
    let child = Child::new(made.pid, is_leader, command.means);
    if let Err(error) = child.watch(made.pidfd) {
        child.kill_silently();
        orphans::adopt(&child);
        return Err(failed(command, error));
    }
    Ok(Started {
        child: Some(child),
        ours,
    })
}

fn failed(command: &Command, error: io::Error) -> io::Error {
    SpawnError::failed(&command.program, command.cwd.as_deref(), error)
}
