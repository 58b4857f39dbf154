//! Noise held down where it would be seen: in the last steps of a run.

use super::{Predictor, StepCoefficients};
use crate::SampleError;
use tweedie_schedules::Interval;

/// A predictor that adds noise of at most a given deviation in steps that land late.
///
/// The estimate of the data is least certain to the eye in the last steps, where the noise is not
/// removed any more. Bao et al. 2022 hold it down there for their figures of image quality.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseCap<P> {
    inner: P,
    most: f64,
    below: f64,
}

impl<P> NoiseCap<P> {
    /// Noise of deviation at most `most` in steps that land at a time below `below`.
    ///
    /// # Errors
    /// When `most` is negative or NaN, or `below` is NaN.
    pub fn new(inner: P, most: f64, below: f64) -> Result<Self, SampleError> {
        let allowed = "a value from 0";
        if most.is_nan() || most < 0.0 {
            let name = "largest noise";
            return Err(SampleError::ParameterOutOfRange { name, value: most, allowed });
        }
        if below.is_nan() {
            let name = "time below which noise is held down";
            return Err(SampleError::ParameterOutOfRange { name, value: below, allowed });
        }
        Ok(Self { inner, most, below })
    }

    /// Noise whose mean absolute value is at most `pixels` of the 256 levels that an 8-bit image in
    /// `[-1, 1]` has, in steps that land at a time below `below`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn pixels(inner: P, pixels: f64, below: f64) -> Result<Self, SampleError> {
        // E |c z| = c sqrt(2 / pi), and one level is 2 / 255 wide
        let most = pixels * 2.0 / 255.0 * std::f64::consts::FRAC_PI_2.sqrt();
        Self::new(inner, most, below)
    }
}

impl<P: Predictor> Predictor for NoiseCap<P> {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let step = self.inner.coefficients(interval);
        // a comparison, not `min`, which would turn NaN into a number
        let noise = if interval.to.t < self.below && step.noise > self.most {
            self.most
        } else {
            step.noise
        };
        StepCoefficients { noise, ..step }
    }

    fn why_not(&self, interval: Interval) -> &'static str {
        self.inner.why_not(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ancestral, Variance};
    use tweedie_schedules::DiscreteTable;

    #[test]
    fn noise_is_held_down_below_the_time_and_left_alone_above() {
        let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        let inner = Ancestral { variance: Variance::FixedLarge };
        let capped = NoiseCap::pixels(inner, 2.0, 0.3).unwrap();
        let step =
            |from, to| Interval { from: table.node(from).unwrap(), to: table.node(to).unwrap() };
        let late = step(300, 200);
        let most = 4.0 / 255.0 * std::f64::consts::FRAC_PI_2.sqrt();
        assert_eq!(capped.coefficients(late).noise, most);
        let early = step(400, 300);
        assert_eq!(capped.coefficients(early), inner.coefficients(early));
        let small = step(1, 0);
        assert_eq!(capped.coefficients(small), inner.coefficients(small));
    }

    #[test]
    fn nonsense_is_refused() {
        let inner = Ancestral::default();
        assert!(NoiseCap::new(inner, -1.0, 0.5).is_err());
        assert!(NoiseCap::pixels(inner, f64::NAN, 0.5).is_err());
        assert!(NoiseCap::new(inner, 1.0, f64::NAN).is_err());
    }
}
