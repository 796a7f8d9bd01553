//! The options of a UDP socket: groups, broadcast, time-to-live, addresses.
//!
//! Each is one system call, which the user makes through here; none waits, and none sends or receives.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::UdpSocket;

/// Options.
impl UdpSocket {
    /// Our address.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    ///
    /// If the socket is not connected.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let (one, other) = (UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?);
    /// assert!(one.peer_addr().is_err(), "not connected");
    /// one.connect(other.local_addr()?).await?;
    /// assert_eq!(one.peer_addr()?, other.local_addr()?);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.get_ref().peer_addr()
    }

    /// Whether datagrams may go to a broadcast address (`SO_BROADCAST`); not at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket.get_ref().broadcast()
    }

    /// Sets [`broadcast`](Self::broadcast).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// let socket = loxley_io::UdpSocket::bind("0.0.0.0:0").await?;
    /// socket.set_broadcast(true)?;
    /// socket.send_to(b"who is there?", ([255, 255, 255, 255], 9999)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_broadcast(on)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface that has the address `interface`; the system chooses
    /// one for `0.0.0.0`.
    ///
    /// # Errors
    ///
    /// If the address is none of a group, or there is no such interface.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use std::net::Ipv4Addr;
    /// let socket = loxley_io::UdpSocket::bind("0.0.0.0:5353").await?;
    /// socket.join_multicast_v4(Ipv4Addr::new(224, 0, 0, 251), Ipv4Addr::UNSPECIFIED)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket
            .get_ref()
            .join_multicast_v4(&multiaddr, &interface)
    }

    /// Ends [`join_multicast_v4`](Self::join_multicast_v4).
    ///
    /// # Errors
    ///
    /// If the group was not joined there.
    pub fn leave_multicast_v4(&self, multiaddr: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket
            .get_ref()
            .leave_multicast_v4(&multiaddr, &interface)
    }

    /// Receives what is sent to the group `multiaddr`, on the interface with this number; the system chooses one for 0.
    ///
    /// # Errors
    ///
    /// If the address is none of a group, or there is no such interface.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use std::net::Ipv6Addr;
    /// let socket = loxley_io::UdpSocket::bind("[::]:5353").await?;
    /// socket.join_multicast_v6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb), 0)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn join_multicast_v6(&self, multiaddr: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket
            .get_ref()
            .join_multicast_v6(&multiaddr, interface)
    }

    /// Ends [`join_multicast_v6`](Self::join_multicast_v6).
    ///
    /// # Errors
    ///
    /// If the group was not joined there.
    pub fn leave_multicast_v6(&self, multiaddr: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket
            .get_ref()
            .leave_multicast_v6(&multiaddr, interface)
    }

    /// Whether what is sent to an IPv4 group also comes back to this machine (`IP_MULTICAST_LOOP`); it does at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket.get_ref().multicast_loop_v4()
    }

    /// Sets [`multicast_loop_v4`](Self::multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_multicast_loop_v4(on)
    }

    /// Whether what is sent to an IPv6 group also comes back to this machine (`IPV6_MULTICAST_LOOP`); it does at first.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket.get_ref().multicast_loop_v6()
    }

    /// Sets [`multicast_loop_v6`](Self::multicast_loop_v6).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket.get_ref().set_multicast_loop_v6(on)
    }

    /// How many networks a datagram to an IPv4 group may cross (`IP_MULTICAST_TTL`); 1 at first, its own.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket.get_ref().multicast_ttl_v4()
    }

    /// Sets [`multicast_ttl_v4`](Self::multicast_ttl_v4).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    ///
    /// # Examples
    ///
    /// So that what is meant for this network stays in it:
    ///
    /// ```
    /// # use loxley_io::UdpSocket;
    /// # loxley_runtime::run(async {
    /// let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.set_multicast_ttl_v4(1)?;
    /// assert_eq!(socket.multicast_ttl_v4()?, 1);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket.get_ref().set_multicast_ttl_v4(ttl)
    }

    /// The time-to-live of packets (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket.get_ref().ttl()
    }

    /// Sets [`ttl`](Self::ttl).
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket.get_ref().set_ttl(ttl)
    }

    /// The error that the socket has kept for the next operation, taken away.
    ///
    /// # Errors
    ///
    /// If the system refuses to say.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.get_ref().take_error()
    }
}
