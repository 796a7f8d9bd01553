//! A wire between a client and a server of the tests that cuts, loses and changes bytes.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(unreachable_pub, reason = "a module of test crates")]

use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex};

use loxley_io::{TcpListener, TcpStream};
use loxley_runtime::{create_task, yield_now};

const ANY: &str = "127.0.0.1:0";

/// How the bytes on a wire are cut into pieces.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    Whole,
    Each(usize),
    /// In two, after so many of each piece that comes, over and over.
    After(usize),
}

/// Every cut that has ever mattered: records have a head of five bytes.
pub const CUTS: &[Cut] = &[
    Cut::Whole,
    Cut::Each(1),
    Cut::Each(3),
    Cut::After(1),
    Cut::After(4),
    Cut::After(5),
    Cut::After(6),
    Cut::After(17),
];

/// What happens to the bytes on their way, from now on.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Pass,
    /// So many more pass, then the connection ends.
    CutAfter(usize),
    /// The one behind so many is changed.
    FlipAfter(usize),
    /// None passes, and no end.
    Swallow,
}

/// One direction of a wire, to be meddled with.
#[derive(Clone, Debug)]
pub struct Tap(Arc<Mutex<(Fate, usize)>>);

impl Tap {
    fn new() -> Self {
        Self(Arc::new(Mutex::new((Fate::Pass, 0))))
    }

    pub fn set(&self, fate: Fate) {
        self.0.lock().unwrap().0 = fate;
    }

    /// How many bytes have come in.
    pub fn seen(&self) -> usize {
        self.0.lock().unwrap().1
    }

    /// What becomes of these bytes; `false` if the wire ends behind them.
    fn meddle(&self, bytes: &mut Vec<u8>) -> bool {
        let mut state = self.0.lock().unwrap();
        state.1 += bytes.len();
        match &mut state.0 {
            Fate::Pass => {}
            Fate::Swallow => bytes.clear(),
            Fate::CutAfter(left) => {
                bytes.truncate(*left);
                *left -= bytes.len();
                return *left > 0;
            }
            Fate::FlipAfter(left) => match bytes.get_mut(*left) {
                Some(byte) => {
                    *byte ^= 1;
                    state.0 = Fate::Pass;
                }
                None => *left -= bytes.len(),
            },
        }
        true
    }
}

/// A wire to a server for one connection.
pub struct Wire {
    pub addr: SocketAddr,
    pub to_server: Tap,
    pub to_client: Tap,
}

impl Wire {
    pub async fn to(server: SocketAddr, cut: Cut) -> Self {
        let listener = TcpListener::bind(ANY).await.expect("bound");
        let wire = Self {
            addr: listener.local_addr().expect("bound"),
            to_server: Tap::new(),
            to_client: Tap::new(),
        };
        let taps = (wire.to_server.clone(), wire.to_client.clone());
        drop(create_task(async move {
            let Ok((client, _)) = listener.accept().await else {
                return;
            };
            let server = TcpStream::connect(server).await.expect("connected");
            client.set_nodelay(true).expect("set");
            server.set_nodelay(true).expect("set");
            let (client, server) = (Arc::new(client), Arc::new(server));
            drop(create_task(pump(
                client.clone(),
                server.clone(),
                cut,
                taps.0,
            )));
            pump(server, client, cut, taps.1).await;
        }));
        wire
    }
}

/// Carries bytes from one to the other until there is an end, which is carried, too.
async fn pump(from: Arc<TcpStream>, to: Arc<TcpStream>, cut: Cut, tap: Tap) {
    let mut buf = vec![0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut buf).await {
        let mut bytes = buf[..n].to_vec();
        let goes_on = tap.meddle(&mut bytes);
        let (first, size) = match cut {
            Cut::Whole => (0, usize::MAX),
            Cut::Each(size) => (0, size),
            Cut::After(first) => (first.min(bytes.len()), usize::MAX),
        };
        let (head, rest) = bytes.split_at(first);
        let pieces = std::iter::once(head).chain(rest.chunks(size.min(n)));
        for piece in pieces.filter(|piece| !piece.is_empty()) {
            if to.write_all(piece).await.is_err() {
                return;
            }
            yield_now().await;
        }
        if !goes_on {
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
