//! The mean of many values, one at a time, with its standard error.

use serde::{Deserialize, Serialize};

/// Mean and sum of squared deviations of the values seen so far.
///
/// ```
/// use tweedie_samplers::RunningMean;
///
/// let mut mean = RunningMean::default();
/// mean.extend([1.0, 2.0, 4.0, 9.0]);
/// assert_eq!((mean.mean(), mean.count()), (4.0, 4));
/// assert!((mean.standard_error() - (38.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningMean {
    count: u64,
    mean: f64,
    squares: f64,
}

impl RunningMean {
    /// Takes one more value into account.
    pub fn add(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean); // Welford's form does not cancel
    }

    /// Number of values; the error is that of a mean over independent ones.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; 0 of no values.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Standard error of the mean; NaN for fewer than 2 values.
    #[must_use]
    pub fn standard_error(&self) -> f64 {
        let count = self.count as f64;
        (self.squares / (count - 1.0) / count).sqrt()
    }
}

impl Extend<f64> for RunningMean {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, values: I) {
        values.into_iter().for_each(|value| self.add(value));
    }
}

impl FromIterator<f64> for RunningMean {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut mean = Self::default();
        mean.extend(values);
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_do_not_hide_their_differences() {
        let running: RunningMean =
            [1e8 + 1.0, 1e8 + 2.0, 1e8 + 4.0, 1e8 + 9.0].into_iter().collect();
        assert_eq!(running.mean(), 1e8 + 4.0);
        // squared deviations 9 + 4 + 0 + 25 = 38
        assert!((running.standard_error() - (38.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn one_value_has_no_error_to_speak_of() {
        assert!([0.3].into_iter().collect::<RunningMean>().standard_error().is_nan());
    }
}
