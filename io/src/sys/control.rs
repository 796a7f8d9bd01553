//! Control messages as plain bytes: what comes along with a message beside its data.
//!
//! Called by `raw.rs`, `unix.rs` and `inet.rs`. Nothing here is unsafe, but `raw.rs` trusts it to name no descriptor that
//! the kernel did not. A control message is a header (length, level, type) and its data, each aligned, as in cmsg(3).

use std::mem::{align_of, size_of};
use std::ops::Range;
use std::os::fd::RawFd;

/// Length, level and type.
const HEADER: usize = size_of::<libc::cmsghdr>();

/// Where the level stands; the type stands behind it.
const LEVEL: usize = HEADER - 8;
const SORT: usize = HEADER - 4;

const ALIGN: usize = align_of::<libc::cmsghdr>();

/// Bytes per word of the buffers.
const WORD: usize = size_of::<u64>();

/// Words of buffer for a message with `len` bytes of data.
pub(super) const fn words(len: usize) -> usize {
    (HEADER.next_multiple_of(ALIGN) + len.next_multiple_of(ALIGN)).div_ceil(WORD)
}

/// One message: level, type, and where in the buffer its data is.
pub(super) type Message = (i32, i32, Range<usize>);

/// The messages in the first `len` bytes of `control`.
pub(super) fn messages(control: &[u64], len: usize) -> impl Iterator<Item = Message> {
    let filled = len.min(control.len() * WORD);
    let mut at = 0;
    std::iter::from_fn(move || {
        if at + HEADER > filled {
            return None;
        }
        let len = length(control, at).max(HEADER);
        let (level, sort) = (integer(control, at + LEVEL), integer(control, at + SORT));
        // What the buffer has cut off ends with it.
        let data = at + HEADER..at.saturating_add(len).min(filled);
        at = at.saturating_add(len).checked_next_multiple_of(ALIGN)?;
        Some((level, sort, data))
    })
}

/// The numbers of the descriptors that came along.
pub(super) fn rights(control: &[u64], len: usize) -> Vec<RawFd> {
    let mut numbers = Vec::new();
    for (level, sort, data) in messages(control, len) {
        if (level, sort) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            let count = data.len() / size_of::<RawFd>();
            numbers.extend((0..count).map(|i| integer(control, data.start + 4 * i)));
        }
    }
    numbers
}

/// The integer whose bytes begin at `at`.
pub(super) fn integer(control: &[u64], at: usize) -> i32 {
    i32::from_ne_bytes(bytes(control, at))
}

/// `cmsg_len`, which stands first and fills what the level leaves: a word on some systems, half of one on others.
fn length(control: &[u64], at: usize) -> usize {
    if LEVEL == size_of::<usize>() {
        usize::from_ne_bytes(bytes(control, at))
    } else {
        usize::try_from(u32::from_ne_bytes(bytes(control, at))).unwrap_or(HEADER)
    }
}

fn bytes<const N: usize>(control: &[u64], at: usize) -> [u8; N] {
    std::array::from_fn(|i| control[(at + i) / WORD].to_ne_bytes()[(at + i) % WORD])
}

/// A message with two bytes of data, as `UDP_SEGMENT` wants it.
#[cfg(target_os = "linux")]
pub(super) fn short_message(level: i32, sort: i32, data: u16) -> [u64; words(2)] {
    let mut bytes = [0; words(2) * WORD];
    let len = HEADER + size_of::<u16>();
    bytes[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
    bytes[LEVEL..SORT].copy_from_slice(&level.to_ne_bytes());
    bytes[SORT..HEADER].copy_from_slice(&sort.to_ne_bytes());
    bytes[HEADER..len].copy_from_slice(&data.to_ne_bytes());
    let mut control = [0; words(2)];
    for (word, bytes) in control.iter_mut().zip(bytes.chunks_exact(WORD)) {
        *word = u64::from_ne_bytes(std::array::from_fn(|i| bytes[i]));
    }
    control
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let control = short_message(libc::SOL_UDP, libc::UDP_SEGMENT, 1200);
        let all: Vec<_> = messages(&control, control.len() * WORD).collect();
        let [(level, sort, data)] = &all[..] else {
            panic!("one message, not {all:?}");
        };
        assert_eq!((*level, *sort), (libc::SOL_UDP, libc::UDP_SEGMENT));
        assert_eq!(u16::from_ne_bytes(bytes(&control, data.start)), 1200);
    }

    #[test]
    fn nonsense_ends_the_reading() {
        let mut control = [u64::MAX; 8];
        assert_eq!(messages(&control, 64).count(), 0);
        control[0] = 0;
        assert!(messages(&control, 64).count() <= 4);
        assert_eq!(messages(&control, 7).count(), 0);
        assert_eq!(messages(&[], 64).count(), 0);
    }

    #[test]
    fn descriptors_are_read_one_by_one_and_never_beyond_the_end() {
        let mut control = [0; 4];
        control[0] = 16 + 12;
        let head = [libc::SOL_SOCKET, libc::SCM_RIGHTS, 5, 6, 7, 8];
        for (word, pair) in control[1..].iter_mut().zip(head.chunks(2)) {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&pair[0].to_ne_bytes());
            bytes[4..].copy_from_slice(&pair[1].to_ne_bytes());
            *word = u64::from_ne_bytes(bytes);
        }
        if size_of::<usize>() == 8 {
            assert_eq!(rights(&control, 28), [5, 6, 7]);
            assert_eq!(rights(&control, 24), [5, 6]);
            assert_eq!(rights(&control, 15), [0; 0]);
        }
    }
}
