//! The date as the examples print it: that of the system at the start, and from there on by the runtime's clock.

use std::fmt;
use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use loxley::Runtime;

static START: OnceLock<(SystemTime, Instant)> = OnceLock::new();

/// A runtime whose clock stands still, and jumps when nothing else can happen.
pub(crate) fn paused() -> io::Result<Runtime> {
    Runtime::builder().current_thread().paused(true).build()
}

/// When the program began, by the clock of its runtime; called once inside it.
pub(crate) fn start() -> Instant {
    START
        .get_or_init(|| (SystemTime::now(), loxley::lowlevel::now()))
        .1
}

/// `datetime.datetime.now()`, in UTC.
pub(crate) fn now() -> Date {
    let start = start();
    let (date, _) = START.get().expect("`start` has set it");
    let since = date.duration_since(UNIX_EPOCH).expect("it is past 1970");
    Date(since + (loxley::lowlevel::now() - start))
}

/// A moment since 1970; `{}` prints date and time, `{:#}` the time alone, as `strftime('%X')`.
pub(crate) struct Date(Duration);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if !f.alternate() {
            let (year, month, day) = civil(seconds / 86_400);
            write!(f, "{year:04}-{month:02}-{day:02} ")?;
        }
        let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
        write!(f, "{hour:02}:{minute:02}:{:02}", seconds % 60)
    }
}

/// Year, month and day of the given day since 1970-01-01.
fn civil(mut days: u64) -> (u64, usize, u64) {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    lengths[1] += u64::from(is_leap(year));
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month + 1, days + 1)
}
