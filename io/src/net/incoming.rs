//! Connections one after the other, through shortages of descriptors and memory: what servers loop over.

use std::future::Future;
use std::io;

use loxley_runtime::{Sleep, sleep};

use super::TcpListener;
use super::accept::{AcceptPause, AcceptVerdict};

/// What takes connections. Sealed: public only because [`Incoming`] names it.
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub trait Accepts {
    /// A connection and its peer's address.
    type Connection;

    /// Waits for a connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

/// Connections one after the other: see [`TcpListener::incoming`].
///
/// # Examples
///
/// ```
/// use loxley_io::{TcpListener, TcpStream};
///
/// # loxley_runtime::run(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let mut incoming = listener.incoming();
/// let (_stream, peer) = incoming.next().await?;
/// assert_eq!(peer, client.local_addr()?);
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Incoming<'a, L = TcpListener> {
    listener: &'a L,
    pause: AcceptPause,
    pausing: Option<Sleep>,
}

impl<'a, L: Accepts> Incoming<'a, L> {
    pub(super) fn new(listener: &'a L) -> Self {
        Self {
            listener,
            pause: AcceptPause::new(),
            pausing: None,
        }
    }

    /// Waits for the next connection.
    ///
    /// Where the system is short of descriptors or memory, the first error of a series is returned, so that it can be
    /// reported; the calls after it pause (5 ms at first, doubling up to one second) and try again until a connection
    /// can be had. [`is_pausing`](Self::is_pausing) tells such an error from one that will not pass.
    ///
    /// # Errors
    ///
    /// The first shortage of a series; that the runtime has shut down; that the listener is broken.
    ///
    /// # Cancel safety
    ///
    /// A connection is either returned or still queued, and a pause goes on with the next call.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(listener: loxley_io::TcpListener) -> std::io::Result<()> {
    /// let mut incoming = listener.incoming();
    /// loop {
    ///     match incoming.next().await {
    ///         Ok((stream, peer)) => drop((stream, peer)),
    ///         Err(error) if incoming.is_pausing() => drop(error), // report it and go on
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn next(&mut self) -> io::Result<L::Connection> {
        loop {
            if let Some(sleep) = &mut self.pausing {
                sleep.await;
                self.pausing = None;
            }
            let error = match self.listener.accept().await {
                Ok(connection) => {
                    self.pause.accepted();
                    return Ok(connection);
                }
                Err(error) => error,
            };
            match self.pause.judge(&error) {
                AcceptVerdict::Next => {}
                AcceptVerdict::Pause { delay, first } => {
                    self.pausing = Some(sleep(delay));
                    if first {
                        return Err(error);
                    }
                }
                AcceptVerdict::Fail => return Err(error),
            }
        }
    }

    /// Whether the last error was a shortage that the next call sits out.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::{TcpListener, TcpStream};
    /// # loxley_runtime::run(async {
    /// let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// let _client = TcpStream::connect(listener.local_addr()?).await?;
    /// let mut incoming = listener.incoming();
    /// incoming.next().await?;
    /// assert!(!incoming.is_pausing(), "the system had a descriptor for it");
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn is_pausing(&self) -> bool {
        self.pausing.is_some()
    }
}
