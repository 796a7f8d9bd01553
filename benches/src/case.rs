//! What a case is: a name, the values it yields and how to read them.
//!
//! `benches/compare/cases` fills these in; `table` and `svg` read them. No measuring happens here.

use std::time::Duration;

use crate::stats::Summary;

/// What the child process was asked to do.
#[derive(Clone, Copy, Debug)]
pub struct Params {
    /// Worker threads of the runtime under test.
    pub workers: usize,
    /// A short look in place of a measurement: smaller inputs and a smaller [`Params::budget`].
    pub quick: bool,
}

impl Params {
    /// How long a repeating case goes on collecting batches.
    #[must_use]
    pub fn budget(&self) -> Duration {
        Duration::from_millis(if self.quick { 80 } else { 300 })
    }

    /// `full`, or a tenth of it in a quick look.
    #[must_use]
    pub fn scaled(&self, full: usize) -> usize {
        if self.quick { full.div_ceil(10) } else { full }
    }
}

/// One thing measured on one runtime; its `run` is monomorphised for that runtime.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What the user types after `--filter`.
    pub name: &'static str,
    /// One line saying what is done and counted.
    pub about: &'static str,
    /// The values `run` returns, in its order.
    pub metrics: &'static [Metric],
    /// Does the case once, in a process of its own.
    pub run: fn(&Params) -> Vec<f64>,
}

/// One value of a case, hence one row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What is added to the case's name; empty if the case has one value.
    pub name: &'static str,
    /// The unit the value comes in.
    pub unit: Unit,
    /// Which way is better.
    pub better: Better,
    /// Whether the row goes into the geometric mean: time of work inside the process.
    pub in_mean: bool,
    /// How many times better than the baseline Loxley wants to be; printed beside the row, asserted nowhere.
    pub target: Option<f64>,
}

impl Metric {
    /// Time per operation in nanoseconds, counted in the geometric mean.
    #[must_use]
    pub const fn time(name: &'static str) -> Self {
        Self {
            name,
            unit: Unit::Nanos,
            better: Better::Lower,
            in_mean: true,
            target: None,
        }
    }

    /// A value where less is better and that stays out of the geometric mean.
    #[must_use]
    pub const fn lower(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            better: Better::Lower,
            in_mean: false,
            target: None,
        }
    }

    /// A value where more is better and that stays out of the geometric mean.
    #[must_use]
    pub const fn higher(name: &'static str, unit: Unit) -> Self {
        Self {
            name,
            unit,
            better: Better::Higher,
            in_mean: false,
            target: None,
        }
    }

    /// The same metric with a target ratio.
    #[must_use]
    pub const fn target(self, ratio: f64) -> Self {
        Self {
            target: Some(ratio),
            ..self
        }
    }
}

/// The unit of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Nanoseconds.
    Nanos,
    /// Bytes.
    Bytes,
    /// Something per second.
    PerSecond,
    /// A ratio.
    Times,
    /// A plain number.
    Count,
}

impl Unit {
    /// The name used in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nanos => "ns",
            Self::Bytes => "B",
            Self::PerSecond => "/s",
            Self::Times => "x",
            Self::Count => "",
        }
    }

    /// `value` for people: three figures and a fitting prefix.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        let (divisor, suffix) = self.scale(value);
        format!("{:.*}{suffix}", digits(value / divisor), value / divisor)
    }

    /// A median with its span, all in the median's prefix.
    #[must_use]
    pub fn show_summary(self, summary: &Summary) -> String {
        let (divisor, suffix) = self.scale(summary.median);
        let [median, min, max] =
            [summary.median, summary.min, summary.max].map(|value| value / divisor);
        let digits = digits(median);
        format!("{median:.digits$}{suffix} ({min:.digits$}-{max:.digits$})")
    }

    /// What to divide by, and the unit to write after it.
    fn scale(self, value: f64) -> (f64, &'static str) {
        let suffixes: &[&'static str] = match self {
            Self::Nanos => &[" ns", " us", " ms", " s"],
            Self::PerSecond => &["/s", " k/s", " M/s"],
            Self::Bytes => &[" B"],
            Self::Times => &["x"],
            Self::Count => &[""],
        };
        let (mut divisor, mut step) = (1.0, 0);
        while value.abs() / divisor >= 10_000.0 && step + 1 < suffixes.len() {
            divisor *= 1_000.0;
            step += 1;
        }
        (divisor, suffixes[step])
    }
}

/// Digits after the point that make three figures.
fn digits(scaled: f64) -> usize {
    match scaled.abs() {
        size if size == 0.0 || size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    }
}

/// Which way a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

impl Better {
    /// How many times better `value` is than `baseline`; above 1 is better.
    #[must_use]
    pub fn ratio(self, value: f64, baseline: f64) -> f64 {
        match self {
            Self::Lower => baseline / value,
            Self::Higher => value / baseline,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Better, Unit};
    use crate::stats::Summary;

    #[test]
    fn values_are_shown_with_a_fitting_prefix() {
        assert_eq!(Unit::Nanos.show(46.31), "46.3 ns");
        assert_eq!(Unit::Nanos.show(9_300.0), "9300 ns");
        assert_eq!(Unit::Nanos.show(31_700.0), "31.7 us");
        assert_eq!(Unit::PerSecond.show(141_000.0), "141 k/s");
        assert_eq!(Unit::Times.show(1.864), "1.86x");
        assert_eq!(Unit::Count.show(0.0), "0");
        let summary = Summary {
            median: 12_500.0,
            min: 9_000.0,
            max: 40_000.0,
            rounds: 3,
        };
        assert_eq!(Unit::Nanos.show_summary(&summary), "12.5 us (9.0-40.0)");
    }

    #[test]
    fn a_ratio_above_one_is_better_both_ways() {
        assert!((Better::Lower.ratio(50.0, 100.0) - 2.0).abs() < 1e-9);
        assert!((Better::Higher.ratio(200.0, 100.0) - 2.0).abs() < 1e-9);
    }
}
