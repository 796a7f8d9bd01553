//! One connection of a server: the user's handler around it, and what is said when that fails.
//!
//! Spawned by `accept.rs`, once per connection. A handler's failure and panic end here.

use std::any::Any;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Weak;
use std::task::Poll;

use loxley_runtime::lowlevel::report_unhandled;

use super::Endpoint;
use crate::streams::link::Link;
use crate::streams::{StreamReader, StreamWriter};
use sealed::Sealed as _;

/// What a handler of [`start_server`](crate::start_server) may end with: `()`, or a `Result` whose error can be shown.
///
/// Sealed.
///
/// # Examples
///
/// With or without errors, of any type that can be printed:
///
/// ```
/// use loxley_io::start_server;
///
/// # loxley_runtime::run(async {
/// let silent = start_server(|_, _| async {}, "127.0.0.1:0").await?;
/// let reports = start_server(
///     |mut reader, _| async move {
///         let line = reader.readline().await.map_err(|error| error.to_string())?;
///         if line == b"quit\n" { Ok(()) } else { Err("unknown command".to_owned()) }
///     },
///     "127.0.0.1:0",
/// )
/// .await?;
/// # drop((silent, reports));
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "a connection's handler cannot give `{Self}`",
    label = "the handler's future gives `{Self}`",
    note = "it gives `()`, or a `Result<(), E>` whose error can be printed: nobody takes a value from it"
)]
pub trait HandlerOutput: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        /// What went wrong.
        fn failure(&self) -> Option<&dyn std::fmt::Display>;
    }
}

impl HandlerOutput for () {}

impl sealed::Sealed for () {
    fn failure(&self) -> Option<&dyn fmt::Display> {
        None
    }
}

impl<E: fmt::Display> HandlerOutput for Result<(), E> {}

impl<E: fmt::Display> sealed::Sealed for Result<(), E> {
    fn failure(&self) -> Option<&dyn fmt::Display> {
        self.as_ref().err().map(|error| error as _)
    }
}

/// Lets `handler` serve one connection with `peer`.
pub(super) async fn serve<H, F>(
    handler: &H,
    (reader, writer): (StreamReader, StreamWriter),
    link: Weak<Link>,
    peer: Endpoint,
) where
    H: Fn(StreamReader, StreamWriter) -> F,
    F: Future,
    F::Output: HandlerOutput,
{
    let mut closes = Closes(Some(link));
    let failure = {
        // Called inside, so that a handler which panics before its first await is no exception.
        let mut handled = pin!(async move { handler(reader, writer).await });
        let caught =
            poll_fn(
                |cx| match catch_unwind(AssertUnwindSafe(|| handled.as_mut().poll(cx))) {
                    Ok(poll) => poll.map(Ok),
                    Err(payload) => Poll::Ready(Err(payload)),
                },
            );
        match caught.await {
            Ok(output) => output.failure().map(|error| format!("failed: {error:#}")),
            Err(payload) => Some(format!("panicked: {}", message(&*payload))),
        }
    };
    match failure {
        None => closes.0 = None,
        Some(failure) => {
            report_unhandled(&format_args!(
                "handler of a connection from {peer} {failure}"
            ));
        }
    }
}

/// Closes a connection whose handler does not come to a good end, whoever else holds its writer.
struct Closes(Option<Weak<Link>>);

impl Drop for Closes {
    fn drop(&mut self) {
        if let Some(link) = self.0.take().and_then(|link| link.upgrade()) {
            link.close();
        }
    }
}

/// What a panic said.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it gave no text")
}
