//! Sockets. Each tries its system call first and waits in the runtime's driver only when it would block.

mod accept;
mod incoming;
mod split;
mod tcp_listener;
mod tcp_stream;
mod udp_batch;
mod udp_options;
mod udp_socket;
mod unix_datagram;
mod unix_listener;
mod unix_message;
mod unix_stream;

pub use accept::{AcceptPause, AcceptVerdict};
pub use incoming::Incoming;
pub use split::{ByteStream, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf};
pub use tcp_listener::TcpListener;
pub use tcp_stream::TcpStream;
pub use udp_batch::{Datagram, Datagrams, RecvBatch};
pub use udp_socket::UdpSocket;
pub use unix_datagram::UnixDatagram;
pub use unix_listener::UnixListener;
pub use unix_message::UnixMessage;
pub use unix_stream::{UnixCredentials, UnixStream};
