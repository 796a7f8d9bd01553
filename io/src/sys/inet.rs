//! Raw calls for UDP: sockets, and many datagrams in one call.
//!
//! Called by `net/udp_socket.rs` and `net/udp_batch.rs`. Where the kernel has them (Linux), several datagrams go through
//! `sendmmsg` and `recvmmsg`, and runs of equal ones through the network stack as one (UDP GSO and GRO, udp(7)). Elsewhere
//! it is one call for each.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;

use rustix::net::SocketType;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Room, receive_many, send_many, set_gro};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Room, receive_many, send_many, set_gro};

/// A non-blocking UDP socket, bound to `addr`.
pub(crate) fn datagram(addr: &SocketAddr) -> io::Result<UdpSocket> {
    let socket: OwnedFd = super::socket(super::family(addr), SocketType::DGRAM)?;
    rustix::net::bind(&socket, addr)?;
    Ok(socket.into())
}

/// The most datagrams in one call.
pub(crate) const BATCH_MAX: usize = 64;

/// What is known of a message that was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrived {
    pub(crate) len: usize,
    /// Each of the datagrams in it has this size, the last one perhaps less.
    pub(crate) segment: usize,
    pub(crate) from: SocketAddr,
    pub(crate) is_truncated: bool,
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
    use std::os::fd::AsFd;

    use super::{Arrived, BATCH_MAX};
    use crate::net::Datagram;
    use crate::sys::{control, raw};

    const _: () = assert!(BATCH_MAX <= raw::MESSAGES_MAX, "a batch fits into one call");

    /// A datagram may be one of a run that the kernel cuts up: short enough for every path (IPv6's least MTU less the
    /// headers), so that a refusal means that there is no segmentation, not that this one was too long.
    const SEGMENT_MAX: usize = 1280 - 40 - 8;

    /// What a run may hold: the longest IPv4 payload.
    const RUN_BYTES_MAX: usize = 65_507;

    /// The kernel's own limit on the datagrams in a run, in its first versions (`UDP_MAX_SEGMENTS`).
    const RUN_MAX: usize = 64;

    /// An address as the kernel reads and writes it.
    #[derive(Clone, Copy, Debug)]
    struct Wire {
        bytes: [u8; WIRE_MAX],
        len: usize,
    }

    /// Of `sockaddr_in6`; `sockaddr_in` is shorter.
    const WIRE_MAX: usize = 28;
    const WIRE_V4: usize = 16;

    const NOWHERE: Wire = Wire {
        bytes: [0; WIRE_MAX],
        len: 0,
    };

    fn encode(addr: SocketAddr) -> Wire {
        let mut wire = NOWHERE;
        let bytes = &mut wire.bytes;
        bytes[2..4].copy_from_slice(&addr.port().to_be_bytes());
        match addr {
            SocketAddr::V4(addr) => {
                bytes[..2].copy_from_slice(&family(libc::AF_INET));
                bytes[4..8].copy_from_slice(&addr.ip().octets());
                wire.len = WIRE_V4;
            }
            SocketAddr::V6(addr) => {
                bytes[..2].copy_from_slice(&family(libc::AF_INET6));
                bytes[4..8].copy_from_slice(&addr.flowinfo().to_ne_bytes());
                bytes[8..24].copy_from_slice(&addr.ip().octets());
                bytes[24..28].copy_from_slice(&addr.scope_id().to_ne_bytes());
                wire.len = WIRE_MAX;
            }
        }
        wire
    }

    fn family(family: i32) -> [u8; 2] {
        u16::try_from(family).expect("a small number").to_ne_bytes()
    }

    fn decode(bytes: &[u8; WIRE_MAX], len: usize) -> Option<SocketAddr> {
        fn part<const N: usize>(bytes: &[u8; WIRE_MAX], at: usize) -> [u8; N] {
            std::array::from_fn(|i| bytes[at + i])
        }
        let port = u16::from_be_bytes(part(bytes, 2));
        if part(bytes, 0) == family(libc::AF_INET) && len >= WIRE_V4 {
            let ip = Ipv4Addr::from(part::<4>(bytes, 4));
            return Some(SocketAddrV4::new(ip, port).into());
        }
        if part(bytes, 0) == family(libc::AF_INET6) && len >= WIRE_MAX {
            let ip = Ipv6Addr::from(part::<16>(bytes, 8));
            let flow = u32::from_ne_bytes(part(bytes, 4));
            let scope = u32::from_ne_bytes(part(bytes, 24));
            return Some(SocketAddrV6::new(ip, port, flow, scope).into());
        }
        None
    }

    /// Lets the kernel hand over runs of equal datagrams as one message.
    pub(crate) fn set_gro(socket: &UdpSocket, on: bool) -> io::Result<()> {
        raw::set_option(socket.as_fd(), libc::SOL_UDP, libc::UDP_GRO, i32::from(on))
    }

    /// Sends as many as the system takes, and says how many; `with_runs` lets it cut up runs of equal ones by itself.
    pub(crate) fn send_many(
        socket: &UdpSocket,
        datagrams: &[Datagram<'_>],
        with_runs: bool,
    ) -> io::Result<usize> {
        if let [one] = datagrams {
            // Nothing of what follows is worth its while.
            let sent = match one.peer() {
                Some(to) => socket.send_to(one.payload(), to),
                None => socket.send(one.payload()),
            };
            return sent.map(|_| 1);
        }
        let datagrams = &datagrams[..datagrams.len().min(BATCH_MAX)];
        let mut bufs = [IoSlice::new(&[]); BATCH_MAX];
        let mut wires = [NOWHERE; BATCH_MAX];
        let mut controls = [[0; control::words(2)]; BATCH_MAX];
        // How many datagrams each message holds.
        let mut runs = [0; BATCH_MAX];
        let mut count = 0;
        let mut rest = datagrams;
        while let Some(first) = rest.first() {
            let run = if with_runs { run_length(rest) } else { 1 };
            if let Some(to) = first.peer() {
                wires[count] = encode(to);
            }
            if run > 1 {
                let size = u16::try_from(first.payload().len()).expect("at most SEGMENT_MAX");
                controls[count] = control::short_message(libc::SOL_UDP, libc::UDP_SEGMENT, size);
            }
            runs[count] = run;
            count += 1;
            rest = &rest[run..];
        }
        for (buf, datagram) in bufs.iter_mut().zip(datagrams) {
            *buf = IoSlice::new(datagram.payload());
        }
        let mut at = 0;
        let messages: [_; BATCH_MAX] = std::array::from_fn(|i| {
            let bufs = &bufs[at..at + runs[i]];
            at += runs[i];
            let used = if runs[i] > 1 { controls[i].len() } else { 0 };
            raw::Outgoing {
                bufs,
                address: &wires[i].bytes[..wires[i].len],
                control: &controls[i][..used],
            }
        });
        let sent = raw::send_many(socket.as_fd(), &messages[..count])?;
        Ok(runs[..sent].iter().sum())
    }

    /// How many of the first datagrams may go as one message: of one size, but for the last, which may be shorter, and to one
    /// address.
    fn run_length(datagrams: &[Datagram<'_>]) -> usize {
        let first = datagrams[0];
        let size = first.payload().len();
        if size == 0 || size > SEGMENT_MAX {
            return 1;
        }
        let most = RUN_MAX.min(RUN_BYTES_MAX / size);
        let mut run = 1;
        for next in &datagrams[1..datagrams.len().min(most)] {
            let len = next.payload().len();
            if next.peer() != first.peer() || len == 0 || len > size {
                break;
            }
            run += 1;
            if len < size {
                break;
            }
        }
        run
    }

    /// Where the addresses and control messages of a batch go.
    #[derive(Debug)]
    pub(crate) struct Room {
        addresses: Vec<[u8; WIRE_MAX]>,
        controls: Vec<[u64; control::words(4)]>,
    }

    impl Room {
        pub(crate) fn new(messages: usize) -> Self {
            Self {
                addresses: vec![[0; WIRE_MAX]; messages],
                controls: vec![[0; control::words(4)]; messages],
            }
        }
    }

    /// Receives what there is, each message into its chunk of `size` bytes, and appends what is known of them.
    pub(crate) fn receive_many(
        socket: &UdpSocket,
        bytes: &mut [u8],
        size: usize,
        room: &mut Room,
        arrived: &mut Vec<Arrived>,
    ) -> io::Result<()> {
        let mut chunks = bytes.chunks_exact_mut(size);
        let mut bufs: [_; BATCH_MAX] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let mut outcomes = [raw::Outcome::default(); BATCH_MAX];
        let count = room.addresses.len().min(BATCH_MAX);
        let places = room.addresses.iter_mut().zip(&mut room.controls);
        let messages = bufs
            .chunks_exact_mut(1)
            .zip(places)
            .map(|(bufs, (address, control))| raw::Incoming {
                bufs,
                address,
                control,
            });
        let n = raw::receive_many(socket.as_fd(), messages, &mut outcomes[..count])?;
        let all = outcomes[..n]
            .iter()
            .zip(room.addresses.iter().zip(&room.controls));
        for (outcome, (address, control)) in all {
            // Every datagram has a sender, so this is never missed; without one it could not be answered.
            let from = decode(address, outcome.address_len)
                .unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
            arrived.push(Arrived {
                len: outcome.len.min(size),
                segment: segment(control, outcome).unwrap_or(outcome.len),
                from,
                is_truncated: outcome.flags & libc::MSG_TRUNC != 0,
            });
        }
        Ok(())
    }

    fn segment(words: &[u64], outcome: &raw::Outcome) -> Option<usize> {
        control::messages(words, outcome.control_len)
            .find(|(level, sort, _)| (*level, *sort) == (libc::SOL_UDP, libc::UDP_GRO))
            .and_then(|(_, _, data)| usize::try_from(control::integer(words, data.start)).ok())
            .filter(|&segment| segment > 0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn addresses_come_back_as_they_went() {
            for text in ["1.2.3.4:5", "[1:2::3]:65535", "[fe80::1%7]:9"] {
                let addr: SocketAddr = text.parse().expect("an address");
                let wire = encode(addr);
                assert_eq!(decode(&wire.bytes, wire.len), Some(addr));
            }
            assert_eq!(decode(&NOWHERE.bytes, 0), None);
        }

        #[test]
        fn runs_end_where_the_kernel_would_cut_wrongly() {
            let here = Some(SocketAddr::from(([127, 0, 0, 1], 1)));
            let there = Some(SocketAddr::from(([127, 0, 0, 1], 2)));
            let run = |all: &[(usize, Option<SocketAddr>)]| {
                let bytes = [0; 4096];
                let all: Vec<_> = all
                    .iter()
                    .map(|&(len, to)| match to {
                        Some(to) => Datagram::to(&bytes[..len], to),
                        None => Datagram::connected(&bytes[..len]),
                    })
                    .collect();
                run_length(&all)
            };
            assert_eq!(run(&[(9, here); 10]), 10);
            assert_eq!(run(&[(9, here), (9, here), (8, here), (8, here)]), 3);
            assert_eq!(run(&[(9, here), (10, here)]), 1);
            assert_eq!(run(&[(9, here), (9, there)]), 1);
            assert_eq!(run(&[(9, here), (0, here)]), 1);
            assert_eq!(run(&[(0, here), (0, here)]), 1);
            assert_eq!(run(&[(SEGMENT_MAX + 1, here); 2]), 1);
            assert_eq!(run(&[(SEGMENT_MAX, None); 64]), RUN_BYTES_MAX / SEGMENT_MAX);
            assert_eq!(run(&[(1, here); 100]), RUN_MAX);
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::net::UdpSocket;

    use super::Arrived;
    use crate::net::Datagram;

    pub(crate) fn set_gro(_socket: &UdpSocket, _on: bool) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn send_many(
        socket: &UdpSocket,
        datagrams: &[Datagram<'_>],
        _with_runs: bool,
    ) -> io::Result<usize> {
        let mut sent = 0;
        for datagram in datagrams {
            let result = match datagram.peer() {
                Some(to) => socket.send_to(datagram.payload(), to),
                None => socket.send(datagram.payload()),
            };
            match result {
                Ok(_) => sent += 1,
                Err(error) if sent == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(sent)
    }

    #[derive(Debug)]
    pub(crate) struct Room {
        messages: usize,
    }

    impl Room {
        pub(crate) fn new(messages: usize) -> Self {
            Self { messages }
        }
    }

    pub(crate) fn receive_many(
        socket: &UdpSocket,
        bytes: &mut [u8],
        size: usize,
        room: &mut Room,
        arrived: &mut Vec<Arrived>,
    ) -> io::Result<()> {
        for chunk in bytes.chunks_exact_mut(size).take(room.messages) {
            match socket.recv_from(chunk) {
                Ok((len, from)) => arrived.push(Arrived {
                    len,
                    segment: len,
                    from,
                    is_truncated: false,
                }),
                Err(error) if arrived.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }
}
