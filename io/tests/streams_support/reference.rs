//! What a stream's reader should give, worked out from one slice: the plainest code there is.
//!
//! Used by the property test and by the fuzz target `reader`; both drive [`check`] with chance of their own.
#![allow(unreachable_pub, reason = "a module of test crates")]

use loxley_io::streams::{ReadError, StreamReader};

use super::streams_support::{Source, Step};

/// Where the choices come from.
pub trait Chance {
    /// Below `sides`.
    fn roll(&mut self, sides: usize) -> usize;
}

/// Few letters, so that separators and their beginnings are everywhere.
const LETTERS: &[u8] = b"ab;\r\n";
const SEPARATORS: &[&[u8]] = &[b"\n", b"\r\n", b";", b"ab", b"aab", b"a\nb", b";;", b"bab;"];

/// The whole input, and how far it has been read.
struct Reference<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reference<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let taken = &self.rest()[..count];
        self.at += count;
        taken
    }

    /// Start and end of the match that ends first; of those that end there, the one of the shortest separator.
    fn find(&self, separators: &[&[u8]]) -> Option<(usize, usize)> {
        let rest = self.rest();
        (0..=rest.len()).find_map(|end| {
            let ends_here = separators.iter().filter(|s| rest[..end].ends_with(s));
            ends_here.map(|s| (end - s.len(), end)).max()
        })
    }
}

fn input(dice: &mut impl Chance) -> Vec<u8> {
    let letters = 1 + dice.roll(LETTERS.len());
    (0..dice.roll(400))
        .map(|_| LETTERS[dice.roll(letters)])
        .collect()
}

fn pieces(bytes: &[u8], dice: &mut impl Chance) -> Vec<Step> {
    let most = [1, 2, 7, 50, 1000][dice.roll(5)];
    let mut steps = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if dice.roll(3) == 0 {
            steps.push(Step::Pending);
        }
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.roll(most)));
        steps.push(Step::Bytes(piece.to_vec()));
        rest = after;
    }
    steps
}

/// One random read; `false` when what comes next depends on how the bytes were cut.
async fn step(
    reader: &mut StreamReader,
    reference: &mut Reference<'_>,
    dice: &mut impl Chance,
) -> bool {
    let limit = reader.limit();
    match dice.roll(6) {
        0 => {
            let count = dice.roll(20);
            let read = reader.read(count).await.unwrap();
            assert!(read.len() <= count);
            assert!(!read.is_empty() || count == 0 || reference.rest().is_empty());
            assert_eq!(read, reference.take(read.len()));
        }
        1 => {
            let count = dice.roll(30);
            match reader.readexactly(count).await {
                Ok(read) => assert_eq!(read, reference.take(count)),
                Err(ReadError::Incomplete(error)) => {
                    assert!(reference.rest().len() < count);
                    assert_eq!(error.expected, Some(count));
                    assert_eq!(error.partial, reference.take(reference.rest().len()));
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        2 => {
            let mut buf = vec![0; dice.roll(2000)];
            let n = reader.read_into(&mut buf).await.unwrap();
            assert_eq!(&buf[..n], reference.take(n));
        }
        3 => {
            let found = reference.find(&[b"\n"]);
            match (reader.readline().await, found) {
                (Ok(line), Some((start, end))) => {
                    assert!(start <= limit);
                    assert_eq!(line, reference.take(end));
                }
                (Ok(line), None) => assert_eq!(line, reference.take(reference.rest().len())),
                (Err(ReadError::LineTooLong(error)), found) => {
                    assert!(found.is_none_or(|(start, _)| start > limit));
                    if !error.is_whole {
                        return false;
                    }
                    let (_, end) = found.expect("its end is there");
                    reference.take(end);
                }
                (Err(error), _) => panic!("{error:?}"),
            }
        }
        _ => {
            let count = 1 + dice.roll(3);
            let separators: Vec<&[u8]> = (0..count)
                .map(|_| SEPARATORS[dice.roll(SEPARATORS.len())])
                .collect();
            match (
                reader.readuntil(&separators).await,
                reference.find(&separators),
            ) {
                (Ok(read), Some((start, end))) => {
                    assert!(start <= limit);
                    assert_eq!(read, reference.take(end));
                }
                (Err(ReadError::Incomplete(error)), None) => {
                    assert_eq!(error.expected, None);
                    assert_eq!(error.partial, reference.take(reference.rest().len()));
                }
                (Err(ReadError::LimitOverrun(error)), found) => {
                    assert!(error.consumed > limit);
                    match found {
                        Some((start, _)) => assert!(error.consumed <= start && start > limit),
                        None => assert!(!error.is_found),
                    }
                    // Nothing has left; the way past it is to read.
                    let past = reader.readexactly(error.consumed).await.unwrap();
                    assert_eq!(past, reference.take(error.consumed));
                }
                (result, found) => panic!("{result:?} where {found:?} was expected"),
            }
        }
    }
    true
}

/// Random bytes in random pieces, read in random ways: each read gives what the slice gives.
pub async fn check(dice: &mut impl Chance) {
    let bytes = input(dice);
    let limit = [1, 3, 10, 1000][dice.roll(4)];
    let mut reader = StreamReader::from_reader(Source::new(pieces(&bytes, dice)), limit);
    let mut reference = Reference {
        bytes: &bytes,
        at: 0,
    };
    let mut is_known = true;
    while is_known && !reader.at_eof() {
        is_known = step(&mut reader, &mut reference, dice).await;
    }
    assert!(!is_known || reference.rest().is_empty());
}
