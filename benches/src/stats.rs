//! Medians, quantiles and means of small sample sets. Pure functions; called by the cases and by `table`.

/// The `q`-quantile (0 to 1) of `samples` by nearest rank; sorts them. Not a number if there are none.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank between 0 and the length"
)]
pub fn quantile(samples: &mut [f64], q: f64) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    samples.sort_by(f64::total_cmp);
    let rank = ((samples.len() - 1) as f64 * q).round() as usize;
    samples[rank]
}

/// The median of `samples`, the mean of the middle two if their number is even; sorts them.
#[must_use]
pub fn median(samples: &mut [f64]) -> f64 {
    if samples.is_empty() {
        return f64::NAN;
    }
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 {
        samples[middle]
    } else {
        f64::midpoint(samples[middle - 1], samples[middle])
    }
}

/// The geometric mean of positive values; `None` if there are none.
#[must_use]
pub fn geometric_mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    Some((values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp())
}

/// One value of one case on one runtime over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The middle round.
    pub median: f64,
    /// The smallest round.
    pub min: f64,
    /// The largest round.
    pub max: f64,
    /// How many rounds ended well.
    pub rounds: usize,
}

impl Summary {
    /// Sums up `samples`; `None` if there are none.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        let median = median(&mut sorted);
        Some(Self {
            median,
            min: *sorted.first()?,
            max: *sorted.last()?,
            rounds: sorted.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Summary, geometric_mean, median, quantile};

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert!((median(&mut [4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
        assert!((median(&mut [9.0, 1.0, 3.0]) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn quantiles_are_samples() {
        let mut samples: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert!((quantile(&mut samples, 0.99) - 99.0).abs() < 1e-9);
        assert!(quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn twice_and_half_cancel_out() {
        let mean = geometric_mean(&[2.0, 0.5, 1.0]).expect("three values");
        assert!((mean - 1.0).abs() < 1e-9);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn a_summary_spans_minimum_to_maximum() {
        let summary = Summary::of(&[3.0, 1.0, 2.0]).expect("three samples");
        assert_eq!((summary.min, summary.median, summary.max), (1.0, 2.0, 3.0));
        assert_eq!(Summary::of(&[]), None);
    }
}
