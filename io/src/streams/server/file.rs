//! The file of a Unix-domain socket: binding where a dead one lies, and cleaning up one's own.
//!
//! Called by `builder.rs` and `door.rs`. Never removes what is no socket, what somebody still listens on, or what somebody
//! else has put into our file's place. Between looking and removing another process may act; nothing but a lock that both
//! respect could help there.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

use loxley_sync::prim::atomic::{AtomicBool, Ordering};

use crate::resolve::naming;
use crate::sys;

/// A file that we have made. It is removed with this, or before.
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
    is_removed: AtomicBool,
}

/// Binds a socket to `path`, which may begin with a NUL byte for an abstract name. A file that a dead server has left there
/// is removed.
pub(super) fn bind(path: &Path) -> io::Result<(OwnedFd, SocketAddr)> {
    let addr = sys::unix::address(path)?;
    let bound = match sys::unix::bound(&addr) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match addr.as_pathname() {
            Some(path) => remove_stale(path, &addr).and_then(|()| sys::unix::bound(&addr)),
            None => Err(error),
        },
        bound => bound,
    };
    match bound {
        Ok(socket) => Ok((socket, addr)),
        Err(error) => Err(naming("bind", sys::unix::display(&addr), error)),
    }
}

fn remove_stale(path: &Path, addr: &SocketAddr) -> io::Result<()> {
    let in_use = |why| io::Error::new(io::ErrorKind::AddrInUse, InUse(why));
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Err(in_use(
            "there is something that is no socket, and it stays; choose another path",
        )),
        Ok(_) if sys::unix::is_alive(addr)? => {
            Err(in_use("somebody else listens there; choose another path"))
        }
        Ok(_) => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
struct InUse(&'static str);

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InUse {}

impl SocketFile {
    /// The file that has just been made at `path`.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
            is_removed: AtomicBool::new(false),
        })
    }

    /// Removes the file if it is still ours. Only the first call does anything.
    pub(super) fn remove(&self) {
        // ordering: Relaxed. Who is first does it all; nothing travels along.
        if self.is_removed.swap(true, Ordering::Relaxed) {
            return;
        }
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // There is nobody to tell, and nothing left to do about it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        self.remove();
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}
