//! [`Dns`]: what hickory-resolver 0.26 asks of a runtime.
//!
//! # Examples
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hickory_resolver::{Resolver, config::ResolverConfig};
//! use loxley_ecosystem::dns::Dns;
//!
//! let resolver = Resolver::builder_with_config(ResolverConfig::default(), Dns).build()?;
//! let addresses = resolver.lookup_ip("example.org.").await?;
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::io::{AsyncRead, AsyncWrite};
use hickory_resolver::net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};
use loxley::lowlevel::{Direction, Interest};
use loxley::{Registered, TcpStream, create_task, sleep, timeout};
use std::net::UdpSocket;

/// How long a connection to a name server may take unless the resolver says otherwise: hickory's own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

type Opening<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Runs hickory on the loxley runtime it is called in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dns;

impl RuntimeProvider for Dns {
    type Handle = Self;
    type Timer = Self;
    type Udp = Datagrams;
    type Tcp = Bytes;

    fn create_handle(&self) -> Self {
        *self
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        _from: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Opening<Bytes> {
        Box::pin(async move {
            let connecting = TcpStream::connect(server);
            Ok(Bytes(
                timeout(limit.unwrap_or(CONNECT_TIMEOUT), connecting).await??,
            ))
        })
    }

    fn bind_udp(&self, local: SocketAddr, _server: SocketAddr) -> Opening<Datagrams> {
        Box::pin(async move {
            let socket = UdpSocket::bind(local)?;
            socket.set_nonblocking(true)?;
            Ok(Datagrams(Registered::new(socket, Interest::Both)?))
        })
    }
}

impl Spawn for Dns {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        drop(create_task(future));
    }
}

#[async_trait::async_trait]
impl Time for Dns {
    async fn delay_for(duration: Duration) {
        sleep(duration).await;
    }

    async fn timeout<F: Future + Send + 'static>(
        duration: Duration,
        future: F,
    ) -> io::Result<F::Output> {
        Ok(timeout(duration, future).await?)
    }
}

/// A UDP socket that is polled by one task at a time, as hickory does.
#[derive(Debug)]
pub struct Datagrams(Registered<UdpSocket>);

impl DnsUdpSocket for Datagrams {
    type Time = Dns;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let receive = |socket: &UdpSocket| socket.recv_from(buf);
        self.0.poll_io(cx, Direction::Read, receive)
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let send = |socket: &UdpSocket| socket.send_to(buf, target);
        self.0.poll_io(cx, Direction::Write, send)
    }
}

/// A TCP connection: its bytes come through futures-io, which our stream speaks already.
#[derive(Debug)]
pub struct Bytes(TcpStream);

impl DnsTcpStream for Bytes {
    type Time = Dns;
}

impl AsyncRead for Bytes {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        AsyncRead::poll_read(Pin::new(&mut self.0), cx, buf)
    }
}

impl AsyncWrite for Bytes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(Pin::new(&mut self.0), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_close(Pin::new(&mut self.0), cx)
    }
}
