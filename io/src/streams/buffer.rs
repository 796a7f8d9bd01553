//! Bytes on their way: a `Vec` that is filled at its end and emptied at its front.
//!
//! Used by the reader for what has come and not been asked for, and by writers for what could not be sent at once. Never
//! holds memory when it is empty and at rest, if its owner calls [`release`](Buffer::release) then.

use std::fmt;

/// Bytes, oldest first.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many at the front are gone already.
    start: usize,
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            start: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Neither bytes nor memory for them.
    pub(super) fn holds_nothing(&self) -> bool {
        self.bytes.capacity() == 0
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// Appends.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if bytes.len() > self.bytes.capacity() - self.bytes.len() {
            self.close_up();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// How much may come behind what there is before memory is taken or moved.
    pub(super) fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// The bytes' own `Vec`, with room for at least `room` more behind them. What the caller appends is what has come.
    pub(super) fn with_room(&mut self, room: usize) -> &mut Vec<u8> {
        if room > self.bytes.capacity() - self.bytes.len() {
            self.close_up();
            // Exact: whoever asks knows how much it may hold, and whether to grow geometrically.
            self.bytes.reserve_exact(room);
        }
        &mut self.bytes
    }

    /// Forgets the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "more consumed than there is");
        self.start += count;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Takes the first `count` bytes out; without copying them where they fill the memory they stand in well.
    pub(super) fn take(&mut self, count: usize) -> Vec<u8> {
        let is_all = self.start == 0 && count == self.bytes.len();
        if is_all && self.bytes.capacity() / 2 <= count {
            return std::mem::take(&mut self.bytes);
        }
        let taken = self.as_slice()[..count].to_vec();
        self.consume(count);
        taken
    }

    /// Copies as many bytes as fit into `out`, and forgets them.
    pub(super) fn take_into(&mut self, out: &mut [u8]) -> usize {
        let count = self.len().min(out.len());
        out[..count].copy_from_slice(&self.as_slice()[..count]);
        self.consume(count);
        count
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }

    /// Gives the memory back, if there is nothing in it.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            *self = Self::new();
        }
    }

    /// Moves what there is to the front.
    fn close_up(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_they_went_in() {
        let mut buffer = Buffer::new();
        let mut expected = Vec::new();
        let mut out = Vec::new();
        let mut next = 0u8;
        for round in 0..200 {
            let fresh: Vec<u8> = (0..round % 17).map(|i| next.wrapping_add(i)).collect();
            next = next.wrapping_add(round % 17);
            expected.extend_from_slice(&fresh);
            if round % 3 == 0 {
                buffer.with_room(fresh.len()).extend_from_slice(&fresh);
            } else {
                buffer.extend(&fresh);
            }
            let some = buffer.len() * usize::from(round % 5) / 4;
            let some = some.min(buffer.len());
            if round % 2 == 0 {
                out.extend(buffer.take(some));
            } else {
                let mut bytes = vec![0; some];
                assert_eq!(buffer.take_into(&mut bytes), some);
                out.extend(bytes);
            }
            assert_eq!(buffer.len(), expected.len() - out.len());
        }
        out.extend(buffer.take(buffer.len()));
        assert_eq!(out, expected);
    }

    #[test]
    fn what_fills_its_memory_is_handed_over_and_not_copied() {
        let mut buffer = Buffer::new();
        buffer.with_room(100).extend_from_slice(&[7; 100]);
        let before = buffer.as_slice().as_ptr();
        let taken = buffer.take(100);
        assert_eq!(taken.as_ptr(), before);
        assert!(buffer.is_empty());
    }
}
