//! What ends a record: one byte string or several, and the search for the one that ends first.
//!
//! Called by `reader.rs` with what has come so far. Pure: no input is read here.

use memchr::{memchr, memmem};

use super::errors::ReadError;

/// What [`StreamReader::readuntil`](super::StreamReader::readuntil) can look for: a byte string, a text, or a list of either.
///
/// Sealed. Of several separators the one whose end comes first wins.
///
/// # Examples
///
/// ```
/// use loxley_io::{StreamReader, UnixStream, streams, streams::Separators};
///
/// async fn field(reader: &mut StreamReader, end: impl Separators) -> std::io::Result<Vec<u8>> {
///     Ok(reader.readuntil(end).await?)
/// }
/// # loxley_runtime::run(async {
/// let (ours, theirs) = UnixStream::pair()?;
/// let (mut reader, _writer) = streams::from_unix(ours);
/// theirs.write_all(b"a;b\r\nc\n").await?;
/// assert_eq!(field(&mut reader, ";").await?, b"a;");
/// assert_eq!(field(&mut reader, ["\r\n", "\n"]).await?, b"b\r\n");
/// assert_eq!(field(&mut reader, b"\n").await?, b"c\n");
/// # std::io::Result::Ok(())
/// # }).unwrap();
/// ```
pub trait Separators: sealed::Sealed {}

pub(super) mod sealed {
    pub trait Sealed {
        /// The separators, shortest first.
        fn list(&self) -> super::List<'_>;
    }
}

/// Separators, shortest first.
#[derive(Clone, Debug)]
#[allow(unnameable_types, reason = "part of a sealed trait")]
pub enum List<'a> {
    /// The common case, which allocates nothing.
    One(&'a [u8]),
    /// Any other number of them.
    Many(Vec<&'a [u8]>),
}

/// Where a separator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The first window in which several separators are searched for; it doubles.
const WINDOW_MIN: usize = 128;

impl List<'_> {
    /// Refuses what would be found everywhere or nowhere.
    pub(super) fn check(&self) -> Result<(), ReadError> {
        match self {
            Self::One(separator) if !separator.is_empty() => Ok(()),
            Self::Many(list) if list.first().is_some_and(|first| !first.is_empty()) => Ok(()),
            _ => Err(ReadError::EmptySeparator),
        }
    }

    pub(super) fn len_max(&self) -> usize {
        match self {
            Self::One(separator) => separator.len(),
            Self::Many(list) => list.last().map_or(0, |last| last.len()),
        }
    }

    /// The match in `bytes` that ends first, of those that begin at `from` or later. None begins before it.
    pub(super) fn find(&self, bytes: &[u8], from: usize) -> Option<Match> {
        let list = match self {
            Self::One(separator) => return find_one(separator, bytes, from),
            Self::Many(list) => list,
        };
        // Windows, because one separator may stand right here while another is nowhere in a long buffer, every time.
        let mut begin = from;
        let mut size = WINDOW_MIN.max(self.len_max());
        while begin < bytes.len() {
            let end = bytes.len().min(begin + size);
            let matches = list
                .iter()
                .filter_map(|separator| find_one(separator, &bytes[..end], begin));
            // Of equal ends the first is kept: the shortest separator.
            if let Some(first) = matches.min_by_key(|found| found.end) {
                return Some(first);
            }
            if end == bytes.len() {
                break;
            }
            begin = (end + 1).saturating_sub(self.len_max()).max(begin);
            size *= 2;
        }
        None
    }
}

fn find_one(separator: &[u8], bytes: &[u8], from: usize) -> Option<Match> {
    let bytes = bytes.get(from..)?;
    let at = match separator {
        [byte] => memchr(*byte, bytes),
        _ => memmem::find(bytes, separator),
    };
    at.map(|at| Match {
        start: from + at,
        end: from + at + separator.len(),
    })
}

fn many<'a>(separators: &mut dyn Iterator<Item = &'a [u8]>) -> List<'a> {
    let mut list: Vec<&[u8]> = Vec::new();
    for separator in separators {
        let place = list.partition_point(|other| other.len() <= separator.len());
        list.insert(place, separator);
    }
    match list[..] {
        [one] => List::One(one),
        _ => List::Many(list),
    }
}

macro_rules! one {
    ($([$($generics:tt)*] $type:ty),*) => {$(
        impl<$($generics)*> Separators for $type {}

        impl<$($generics)*> sealed::Sealed for $type {
            fn list(&self) -> List<'_> {
                List::One(self.as_ref())
            }
        }
    )*};
}

one!([] [u8], [] str, [] String, [] Vec<u8>, [const N: usize] [u8; N]);

macro_rules! list {
    ($([$($generics:tt)*] $item:ty),*) => {$(
        list!(@ [$($generics)*] [$item]);
        list!(@ [$($generics)*] Vec<$item>);
        list!(@ [const LEN: usize, $($generics)*] [$item; LEN]);
    )*};
    (@ [$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> Separators for $type {}

        impl<$($generics)*> sealed::Sealed for $type {
            fn list(&self) -> List<'_> {
                many(&mut self.iter().map(|separator| separator.as_ref()))
            }
        }
    };
}

list!([] &[u8], [] &str, [] Vec<u8>, [] String, [const N: usize] &[u8; N]);

impl<S: Separators + ?Sized> Separators for &S {}

impl<S: sealed::Sealed + ?Sized> sealed::Sealed for &S {
    fn list(&self) -> List<'_> {
        (**self).list()
    }
}

#[cfg(test)]
mod tests {
    use super::sealed::Sealed;
    use super::*;

    #[test]
    fn the_separator_that_ends_first_wins() {
        let found = |list: &[&str], text: &str| {
            let list = list.list();
            list.check().expect("separators");
            list.find(text.as_bytes(), 0).map(|m| (m.start, m.end))
        };
        // Of two that end together the shorter one is the match, as in asyncio.
        assert_eq!(found(&["\r\n", "\n"], "ab\r\ncd"), Some((3, 4)));
        assert_eq!(found(&["bcd", "c"], "abcd"), Some((2, 3)));
        assert_eq!(found(&["xy", "y"], "axy"), Some((2, 3)));
        assert_eq!(found(&["q"], "abcd"), None);
    }

    #[test]
    fn a_match_across_two_windows_is_found() {
        for at in 0..3 * WINDOW_MIN {
            let mut text = vec![b'.'; at];
            text.extend_from_slice(b"|END|more;");
            let list = ["|END|", ";"];
            let found = list.list().find(&text, 0).expect("it is there");
            assert_eq!((found.start, found.end), (at, at + 5));
        }
    }

    #[test]
    fn separators_are_kept_shortest_first_and_equals_as_they_were_given() {
        let list = ["ccc", "b", "aa", "a", "bb", "b"];
        let List::Many(sorted) = list.list() else {
            panic!("there are several");
        };
        let sorted: Vec<_> = sorted.into_iter().map(std::str::from_utf8).collect();
        assert_eq!(sorted, ["b", "a", "b", "aa", "bb", "ccc"].map(Ok));
    }

    #[test]
    fn nothing_to_look_for_is_refused() {
        let none: [&str; 0] = [];
        for list in ["".list(), none.list(), ["a", ""].list()] {
            assert!(list.check().is_err());
        }
        assert!(b"\n".list().check().is_ok());
    }
}
