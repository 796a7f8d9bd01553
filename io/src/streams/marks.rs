//! How much a writer may hold before its users should wait. A pair of numbers and asyncio's rules for them.

/// When [`StreamWriter::drain`](super::StreamWriter::drain) waits: from the moment more than `high` bytes are queued until at
/// most `low` are.
///
/// Default: 64 KiB and a quarter of it. There is no upper limit; zero and zero wait until everything is with the kernel.
///
/// # Examples
///
/// ```
/// use loxley_io::streams::WaterMarks;
///
/// assert_eq!(WaterMarks::default(), WaterMarks::high_at(64 << 10));
/// assert_eq!(WaterMarks::high_at(1000).low(), 250);
/// assert_eq!(WaterMarks::low_at(1000).high(), 4000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaterMarks {
    low: usize,
    high: usize,
}

const HIGH: usize = 64 << 10;
/// How many times the low mark the high one is, where only one is given.
const RATIO: usize = 4;

impl WaterMarks {
    /// The high mark; the low one is a quarter of it.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::WaterMarks;
    /// let marks = WaterMarks::high_at(1 << 20); // A megabyte may be under way.
    /// assert_eq!(marks.low(), 256 << 10);
    /// ```
    #[must_use]
    pub const fn high_at(high: usize) -> Self {
        Self {
            low: high / RATIO,
            high,
        }
    }

    /// The low mark; the high one is four times that.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::WaterMarks;
    /// assert_eq!(WaterMarks::low_at(1000), WaterMarks::between(1000, 4000));
    /// ```
    #[must_use]
    pub const fn low_at(low: usize) -> Self {
        Self {
            low,
            high: low.saturating_mul(RATIO),
        }
    }

    /// Both.
    ///
    /// # Panics
    ///
    /// If `low` is above `high`.
    ///
    /// # Examples
    ///
    /// Every `drain` waits until all is with the kernel:
    ///
    /// ```
    /// # use loxley_io::{UnixStream, streams, streams::WaterMarks};
    /// # loxley_runtime::run(async {
    /// let (ours, _theirs) = UnixStream::pair()?;
    /// let (_reader, writer) = streams::from_unix(ours);
    /// writer.set_write_buffer_limits(WaterMarks::between(0, 0));
    /// writer.write(b"hello");
    /// writer.drain().await?;
    /// assert_eq!(writer.get_write_buffer_size(), 0);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn between(low: usize, high: usize) -> Self {
        assert!(
            low <= high,
            "the low water mark is above the high one: give the smaller first"
        );
        Self { low, high }
    }

    /// At or below it, waiting ends.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::WaterMarks;
    /// assert_eq!(WaterMarks::between(10, 100).low(), 10);
    /// ```
    #[must_use]
    pub const fn low(self) -> usize {
        self.low
    }

    /// Above it, waiting begins.
    ///
    /// # Examples
    ///
    /// ```
    /// # use loxley_io::streams::WaterMarks;
    /// assert_eq!(WaterMarks::between(10, 100).high(), 100);
    /// ```
    #[must_use]
    pub const fn high(self) -> usize {
        self.high
    }
}

impl Default for WaterMarks {
    fn default() -> Self {
        Self::high_at(HIGH)
    }
}
