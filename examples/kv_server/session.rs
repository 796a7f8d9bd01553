//! One connection: bytes in, commands out of them, replies.
//!
//! The protocol is RESP 2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>), bulk arrays and inline commands.

use std::ops::Range;

use super::commands::run;
use super::store::Store;

/// The longest command in bytes, the most arguments in one, and when to send before going on.
const INPUT_MAX: usize = 4 << 20;
const ARGS_MAX: usize = 1_024;
const SEND_AT: usize = 64 << 10;

/// The first size of a connection's buffer; what it grew beyond is given back when it is empty.
const INPUT: usize = 4 << 10;

/// One connection: what has come in and is not understood yet, what goes out and is not sent yet.
pub(crate) struct Session {
    input: Vec<u8>,
    start: usize,
    end: usize,
    args: Vec<Range<usize>>,
    pub(crate) output: Vec<u8>,
    pub(crate) is_over: bool,
}

/// What stands at the beginning of the input.
enum Parsed {
    /// The arguments are in `args`; the command ends here.
    Command(usize),
    Partial,
    Wrong(&'static str),
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            input: Vec::new(),
            start: 0,
            end: 0,
            args: Vec::new(),
            output: Vec::new(),
            is_over: false,
        }
    }

    /// Where the next bytes go; tell how many came with [`filled`](Self::filled).
    pub(crate) fn space(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.input.len() != INPUT {
                self.input = vec![0; INPUT];
            }
        } else if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end * 2 > self.input.len() {
                self.input.resize(self.input.len() * 2, 0);
            }
        }
        &mut self.input[self.end..]
    }

    pub(crate) fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// Does complete commands until there is enough to send; whether there is anything to send.
    pub(crate) fn advance(&mut self, store: &Store) -> bool {
        self.output.clear();
        while !self.is_over && self.output.len() < SEND_AT && self.start < self.end {
            match self.parse() {
                Parsed::Command(end) => {
                    let args = Args {
                        bytes: &self.input,
                        ranges: &self.args,
                    };
                    self.is_over = !run(store, &args, &mut self.output);
                    self.start = end;
                }
                Parsed::Partial if self.end - self.start < INPUT_MAX => break,
                Parsed::Partial => self.refuse("too big a command"),
                Parsed::Wrong(why) => self.refuse(why),
            }
        }
        !self.output.is_empty()
    }

    fn refuse(&mut self, why: &str) {
        self.output.extend_from_slice(b"-ERR Protocol error: ");
        self.output.extend_from_slice(why.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.is_over = true;
    }

    fn parse(&mut self) -> Parsed {
        self.args.clear();
        let input = &self.input[..self.end];
        let Some((line, mut at)) = line(input, self.start) else {
            return Parsed::Partial;
        };
        if input[line.start] != b'*' {
            // An inline command, as a person at telnet types it.
            let mut words = line.start;
            for word in input[line.clone()].split(|byte| *byte == b' ') {
                if !word.is_empty() && self.args.len() < ARGS_MAX {
                    self.args.push(words..words + word.len());
                }
                words += word.len() + 1;
            }
            return Parsed::Command(at);
        }
        let count = match number(&input[line.start + 1..line.end]) {
            Some(count @ ..=0) => count.min(0),
            Some(count) if count <= ARGS_MAX as i64 => count,
            _ => return Parsed::Wrong("invalid multibulk length"),
        };
        for _ in 0..count {
            let Some((line, next)) = self::line(input, at) else {
                return Parsed::Partial;
            };
            if input.get(line.start) != Some(&b'$') {
                return Parsed::Wrong("expected '$'");
            }
            let length =
                number(&input[line.start + 1..line.end]).and_then(|n| usize::try_from(n).ok());
            let Some(length @ ..=INPUT_MAX) = length else {
                return Parsed::Wrong("invalid bulk length");
            };
            if input.len() < next + length + 2 {
                return Parsed::Partial;
            }
            self.args.push(next..next + length);
            at = next + length + 2;
        }
        Parsed::Command(at)
    }
}

/// The line that begins at `start`, and where the next one does.
fn line(input: &[u8], start: usize) -> Option<(Range<usize>, usize)> {
    let length = input[start..].iter().position(|byte| *byte == b'\n')?;
    let end = start + length;
    let bare = end - usize::from(length > 0 && input[end - 1] == b'\r');
    Some((start..bare, end + 1))
}

pub(super) fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// One command: what it is called, and what with.
pub(super) struct Args<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) ranges: &'a [Range<usize>],
}

impl Args<'_> {
    pub(super) fn count(&self) -> usize {
        self.ranges.len()
    }
}

impl std::ops::Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        &self.bytes[self.ranges[index].clone()]
    }
}
