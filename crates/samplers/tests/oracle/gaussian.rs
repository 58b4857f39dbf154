//! Normal data, for which the exact noise prediction and every marginal are known.

use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction};
use tweedie_score::{ScoreError, ScoreFn, Times};

/// Data `N(mean, deviation^2)` in each coordinate, and its exact score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gaussian {
    pub(crate) mean: f64,
    pub(crate) deviation: f64,
}

impl Gaussian {
    /// Standard deviation of the noisy data.
    pub(crate) fn spread(&self, level: NoiseLevel) -> f64 {
        (self.deviation * level.alpha).hypot(level.sigma)
    }
}

impl ScoreFn<ArrayD<f64>> for Gaussian {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let level = at.of(0).level;
        // E[eps | x] = sigma (x - alpha mean) / (alpha^2 deviation^2 + sigma^2)
        let factor = level.sigma / self.spread(level).powi(2);
        Ok(x.mapv(|x| factor * (x - level.alpha * self.mean)))
    }
}
