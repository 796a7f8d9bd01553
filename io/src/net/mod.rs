//! Sockets. Each tries its system call first and waits in the runtime's driver only when it would block.

mod accept;
mod split;
mod tcp_listener;
mod tcp_stream;

pub use accept::{AcceptPause, AcceptVerdict};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::{Incoming, TcpListener};
pub use tcp_stream::TcpStream;
