//! Times uniform over a range.

use super::{DrawnTime, TimeSampler, check_range};
use crate::LossError;

/// Uniform times, `t = first + u (last - first)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UniformTime {
    first: f64,
    last: f64,
}

impl UniformTime {
    /// Times from `first`, the cleanest (published with 1e-5), to `last`.
    ///
    /// # Errors
    /// When not `first < last`, both finite.
    pub fn new(first: f64, last: f64) -> Result<Self, LossError> {
        check_range(first, last)?;
        Ok(Self { first, last })
    }
}

impl TimeSampler for UniformTime {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let time =
            |u: &f64| DrawnTime { t: self.first + u * (self.last - self.first), weight: 1.0 };
        uniform.iter().map(time).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_filled_evenly() {
        let drawn = UniformTime::new(0.5, 1.5).unwrap().draw(&[0.0, 0.25, 0.5]);
        let times: Vec<_> = drawn.iter().map(|drawn| drawn.t).collect();
        assert_eq!(times, [0.5, 0.75, 1.0]);
    }

    #[test]
    fn an_empty_range_is_refused() {
        let error = UniformTime::new(1.0, 1.0).unwrap_err();
        assert_eq!(error.to_string(), "times from 1 to 1, expected finite values with from < to");
        assert!(UniformTime::new(f64::NAN, 1.0).is_err());
    }
}
