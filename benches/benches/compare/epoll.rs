//! The ceiling of the network cases: one thread around epoll that knows nothing but echo. No tasks, no wakers, no queue; a
//! runtime cannot be cheaper per request, and may still be faster with more threads.
//!
//! A column of its own, with the cases of `cases/network.rs` that make sense for it. Level-triggered: one system call says who
//! is ready, and then each connection costs one read and one write.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use loxley_benches::case::{Case, Params};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{SocketFlags, accept_with};

use crate::cases::network::{self, MESSAGE};

/// The listener among the sources; connections are counted from 0.
const LISTENER: u64 = u64::MAX;

/// The cases of `cases/network.rs` in which there is nothing but sockets.
pub fn cases() -> Vec<Case> {
    network::bare(|name| match name {
        "echo_1" => Some(|params| echo(params, 1)),
        "echo_2" => Some(|params| echo(params, 2)),
        "echo_50" => Some(|params| echo(params, 50)),
        "echo_500" => Some(|params| echo(params, 500)),
        "accept" => Some(accept),
        _ => None,
    })
}

fn echo(params: &Params, connections: usize) -> Vec<f64> {
    network::echo_values(
        connections,
        &network::ask(params, &serve(), "echo", &connections.to_string()),
    )
}

fn accept(params: &Params) -> Vec<f64> {
    network::accept_values(&network::ask(params, &serve(), "accept", "1"))
}

/// Serves on a thread that ends with the process; the address to connect to.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback address has free ports");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || Server::new(listener).and_then(|mut server| server.run()));
    address
}

struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<TcpStream>>,
    free: Vec<usize>,
}

impl Server {
    fn new(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(
            &epoll,
            &listener,
            EventData::new_u64(LISTENER),
            EventFlags::IN,
        )?;
        Ok(Self {
            epoll,
            listener,
            connections: Vec::new(),
            free: Vec::new(),
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(1_024);
        loop {
            events.clear();
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            )?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    place => self.answer(usize::try_from(place).expect("it was one")),
                }
            }
        }
    }

    /// Takes every connection that is there.
    fn accept(&mut self) -> io::Result<()> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        while let Ok(stream) = accept_with(&self.listener, flags) {
            let stream = TcpStream::from(stream);
            stream.set_nodelay(true)?;
            let place = self.free.pop().unwrap_or(self.connections.len());
            let data = EventData::new_u64(place as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            if place == self.connections.len() {
                self.connections.push(None);
            }
            self.connections[place] = Some(stream);
        }
        Ok(())
    }

    /// One read and one write; closed at the end, or when it fails.
    fn answer(&mut self, place: usize) {
        let Some(stream) = &mut self.connections[place] else {
            return;
        };
        let mut buffer = [0; 4 * MESSAGE];
        let answered = match stream.read(&mut buffer) {
            Ok(length @ 1..) => stream.write_all(&buffer[..length]).is_ok(),
            _ => false,
        };
        if !answered {
            // Closing takes it out of the set.
            self.connections[place] = None;
            self.free.push(place);
        }
    }
}
