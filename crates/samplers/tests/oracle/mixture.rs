//! A mixture of two normals in one dimension: not Gaussian, yet all of it is known.

use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction};
use tweedie_score::{ScoreError, ScoreFn, Times};

/// One part of the mixture: its weight, mean and standard deviation.
type Part = (f64, f64, f64);

const PARTS: [Part; 2] = [(0.3, -0.8, 0.2), (0.7, 0.6, 0.3)];

/// The mixture and its exact score.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mixture;

/// The parts as they are at a noise level.
fn parts_at(level: NoiseLevel) -> [Part; 2] {
    PARTS.map(|(weight, mean, deviation)| {
        (weight, level.alpha * mean, (level.alpha * deviation).hypot(level.sigma))
    })
}

impl Mixture {
    /// Mean of the noisy data.
    pub(crate) fn mean(level: NoiseLevel) -> f64 {
        parts_at(level).iter().map(|(weight, mean, _)| weight * mean).sum()
    }

    /// Central moment of order 2 or 4 of the noisy data.
    pub(crate) fn central_moment(order: i32, level: NoiseLevel) -> f64 {
        let centre = Self::mean(level);
        let moment = |(weight, mean, deviation): &Part| {
            let (shift, v) = (mean - centre, deviation.powi(2));
            let own = if order == 2 { v } else { 6.0 * shift.powi(2) * v + 3.0 * v * v };
            weight * (shift.powi(order) + own)
        };
        parts_at(level).iter().map(moment).sum()
    }

    /// Probability that the noisy data lies below `x`.
    pub(crate) fn share_below(x: f64, level: NoiseLevel) -> f64 {
        let below = |(weight, mean, deviation): &Part| {
            let scaled = (x - mean) / (deviation * std::f64::consts::SQRT_2);
            weight * 0.5 * libm::erfc(-scaled)
        };
        parts_at(level).iter().map(below).sum()
    }

    /// The value below which `share` of the noisy data lies, by bisection.
    pub(crate) fn quantile(share: f64, level: NoiseLevel) -> f64 {
        let (mut low, mut high) = (-20.0, 20.0);
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            if Self::share_below(middle, level) < share {
                low = middle;
            } else {
                high = middle;
            }
        }
        0.5 * (low + high)
    }

    fn score(x: f64, level: NoiseLevel) -> f64 {
        let (mut density, mut slope) = (0.0, 0.0);
        for (weight, mean, deviation) in parts_at(level) {
            let scaled = (x - mean) / deviation;
            let part = weight / deviation * (-0.5 * scaled * scaled).exp();
            density += part;
            slope -= part * scaled / deviation;
        }
        slope / density
    }
}

impl ScoreFn<ArrayD<f64>> for Mixture {
    fn prediction(&self) -> Prediction {
        Prediction::Score
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let level = at.of(0).level;
        Ok(x.mapv(|x| Self::score(x, level)))
    }
}
