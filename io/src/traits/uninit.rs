//! Reading into the uninitialised half of hyper's and tokio's buffers. Called by `hyper.rs` and `tokio.rs`.
//!
//! The one place in this crate that is unsafe: both crates hand out memory that nobody has written yet, and take the
//! caller's word for how much of it is written afterwards. The word given here is the kernel's: rustix returns the part
//! that the kernel has filled, and `poll_read_uninit` its length.
#![expect(
    unsafe_code,
    reason = "there is no safe way to fill these buffers without writing them twice"
)]

use std::io;
use std::task::{Context, Poll, ready};

use crate::bytes::{Carrier, poll_read_uninit};

#[cfg(feature = "hyper")]
pub(super) fn fill_hyper(
    carrier: &impl Carrier,
    cx: &mut Context<'_>,
    mut cursor: hyper::rt::ReadBufCursor<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: nothing is ever written to the slice but initialised bytes: only the kernel gets it.
    let unfilled = unsafe { cursor.as_mut() };
    let n = ready!(poll_read_uninit(carrier, cx, unfilled))?;
    // SAFETY: `poll_read_uninit` has initialised the first `n` bytes of the slice, which begins where the cursor
    // stands.
    unsafe { cursor.advance(n) };
    Poll::Ready(Ok(()))
}

#[cfg(feature = "tokio-io")]
pub(super) fn fill_tokio(
    carrier: &impl Carrier,
    cx: &mut Context<'_>,
    buf: &mut tokio::io::ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    // SAFETY: nothing is ever written to the slice but initialised bytes: only the kernel gets it.
    let unfilled = unsafe { buf.unfilled_mut() };
    let n = ready!(poll_read_uninit(carrier, cx, unfilled))?;
    // SAFETY: `poll_read_uninit` has initialised the first `n` bytes of the slice, which is the unfilled part.
    unsafe { buf.assume_init(n) };
    buf.advance(n);
    Poll::Ready(Ok(()))
}
