//! Dynamic thresholding: the data estimate is held within a range that follows its own values.
//!
//! With `s` the chosen quantile of a sample's absolute values, the sample is clamped to `[-s, s]` and
//! divided by `s`. Saharia et al. 2022, sec. 2.3. Unlike clipping it pulls saturated pixels back from
//! the border, which strong guidance needs. Each sample has its own `s`.

use crate::{Batch, DataMap, ScoreError, Times};

/// What thresholding asks of a state.
pub trait Threshold: Batch {
    /// The `quantile` (0 to 1) of each sample's absolute values, linear between neighbours in rank.
    fn abs_quantile_each(&self, quantile: f64) -> Vec<f64>;

    /// Each sample clamped to plus and minus its own limit.
    ///
    /// # Panics
    /// When there is not one limit for each sample.
    fn clamp_each(&self, limits: &[f64]) -> Self;
}

/// Dynamic thresholding of the data estimate, as a [`DataMap`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DynamicThreshold {
    quantile: f64,
    floor: f64,
    ceiling: f64,
}

impl DynamicThreshold {
    /// Thresholding at a quantile (0.995 is usual), with `s` never below 1, the range of the data.
    ///
    /// # Errors
    /// When `quantile` lies outside `[0, 1]`.
    pub fn new(quantile: f64) -> Result<Self, ScoreError> {
        if (0.0..=1.0).contains(&quantile) {
            Ok(Self { quantile, floor: 1.0, ceiling: f64::INFINITY })
        } else {
            let allowed = "a value in [0, 1]";
            Err(ScoreError::ParameterOutOfRange { name: "quantile", value: quantile, allowed })
        }
    }

    /// The same with `s` never below `floor`: samples that stay inside are divided by `floor`.
    ///
    /// # Errors
    /// When `floor` is not positive and finite.
    pub fn with_floor(self, floor: f64) -> Result<Self, ScoreError> {
        if floor > 0.0 && floor.is_finite() {
            Ok(Self { floor, ..self })
        } else {
            let allowed = "a positive, finite value";
            Err(ScoreError::ParameterOutOfRange { name: "floor", value: floor, allowed })
        }
    }

    /// The same with `s` never above `ceiling`, which wins over the floor: at 1 this is clipping.
    ///
    /// # Errors
    /// When `ceiling` is not positive.
    pub fn with_ceiling(self, ceiling: f64) -> Result<Self, ScoreError> {
        if ceiling > 0.0 {
            Ok(Self { ceiling, ..self })
        } else {
            let allowed = "a positive value";
            Err(ScoreError::ParameterOutOfRange { name: "ceiling", value: ceiling, allowed })
        }
    }
}

impl<S: Threshold> DataMap<S> for DynamicThreshold {
    fn map(&self, data: S, _at: Times<'_>) -> Result<S, ScoreError> {
        // Saharia et al. 2022, sec. 2.3
        let limit = |s: f64| s.max(self.floor).min(self.ceiling);
        let limits: Vec<f64> =
            data.abs_quantile_each(self.quantile).into_iter().map(limit).collect();
        let inverse: Vec<f64> = limits.iter().map(|s| 1.0 / s).collect();
        Ok(data.clamp_each(&limits).scale_each(&inverse))
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_schedules::{NoiseLevel, TimePoint};

    fn threshold(rule: DynamicThreshold, data: [[f64; 5]; 2]) -> ArrayD<f64> {
        let at = Times::Shared(TimePoint { t: 0.0, level: NoiseLevel::CLEAN });
        rule.map(arr2(&data).into_dyn(), at).unwrap()
    }

    #[test]
    fn each_sample_has_its_own_limit() {
        // absolute values in order 0, 1, 2, 3, 4: the quantile 0.8 lies a fifth of the way from 3 to 4
        let rule = DynamicThreshold::new(0.8).unwrap();
        let got = threshold(rule, [[0.0, -4.0, 1.0, 3.0, -2.0], [0.1, 0.5, -0.9, 0.2, 0.3]]);
        let s = 3.2;
        let expected = arr2(&[[0.0, -1.0, 1.0 / s, 3.0 / s, -2.0 / s], [0.1, 0.5, -0.9, 0.2, 0.3]]);
        assert!((got - expected.into_dyn()).iter().all(|error| error.abs() < 1e-15));
    }

    #[test]
    fn the_ceiling_wins_over_the_quantile_and_the_floor() {
        let rule = DynamicThreshold::new(1.0).unwrap().with_ceiling(2.0).unwrap();
        let got = threshold(rule, [[0.0, -4.0, 1.0, 3.0, -2.0]; 2]);
        assert_eq!(got.as_slice().unwrap()[..5], [0.0, -1.0, 0.5, 1.0, -1.0]);
        let clip = threshold(rule.with_ceiling(1.0).unwrap(), [[0.0, -4.0, 0.5, 3.0, -2.0]; 2]);
        assert_eq!(clip.as_slice().unwrap()[..5], [0.0, -1.0, 0.5, 1.0, -1.0]);
    }

    #[test]
    fn a_floor_divides_what_stays_inside() {
        let rule = DynamicThreshold::new(0.5).unwrap().with_floor(2.0).unwrap();
        let got = threshold(rule, [[0.0, 0.5, 1.0, -0.5, 3.0]; 2]);
        assert_eq!(got.as_slice().unwrap()[..5], [0.0, 0.25, 0.5, -0.25, 1.0]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let error = DynamicThreshold::new(1.5).unwrap_err();
        assert_eq!(error.to_string(), "quantile is 1.5, expected a value in [0, 1]");
        let rule = DynamicThreshold::new(0.995).unwrap();
        assert!(rule.with_floor(0.0).is_err() && rule.with_ceiling(-1.0).is_err());
        assert!(rule.with_ceiling(f64::NAN).is_err());
    }
}
