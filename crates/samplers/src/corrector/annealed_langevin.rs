//! Langevin dynamics whose step size follows the noise level.
//!
//! `x' = x + e score + sqrt(2 e) z` with `e = 2 (a snr sigma)^2`, where `a` is the scale of the
//! forward chain's step (`a^2 = 1 - beta` for VP, 1 for VE). Song and Ermon 2019, algorithm 1, as a
//! corrector. One evaluation an iteration.

use super::{Corrector, check_options, normal_like, score_at};
use crate::SampleError;
use tweedie_schedules::Interval;
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};
use tweedie_sde::{Discretization, Exact};

/// The annealed Langevin corrector; no norms are taken, so samples do not depend on their batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnnealedLangevin<D = Exact> {
    snr: f64,
    iterations: usize,
    chain: D,
}

impl AnnealedLangevin {
    /// `iterations` moves of signal-to-noise ratio `snr` each time.
    ///
    /// # Errors
    /// When `snr` is not positive and finite, or `iterations` is 0.
    pub fn new(snr: f64, iterations: usize) -> Result<Self, SampleError> {
        check_options(snr, iterations)?;
        Ok(Self { snr, iterations, chain: Exact })
    }

    /// The step size as first published: `step_size` is that of the noise level `sigma`, the smallest
    /// of the run (SMLD: 0.00002 at 0.01), and grows with the square of the level.
    ///
    /// # Errors
    /// When `step_size` or `sigma` is not positive and finite, or `iterations` is 0.
    pub fn with_step_size(
        step_size: f64,
        sigma: f64,
        iterations: usize,
    ) -> Result<Self, SampleError> {
        for (name, value) in [("step_size", step_size), ("sigma", sigma)] {
            if !(value > 0.0 && value.is_finite()) {
                let allowed = "a finite value above 0";
                return Err(SampleError::ParameterOutOfRange { name, value, allowed });
            }
        }
        // Song and Ermon 2019, algorithm 1: 2 (snr s)^2 is half of step_size s^2 / sigma^2
        Self::new(0.5 * step_size.sqrt() / sigma, iterations)
    }
}

impl<D> AnnealedLangevin<D> {
    /// The same with the scale of another chain than the exact one.
    #[must_use]
    pub fn with_chain<E: Discretization>(self, chain: E) -> AnnealedLangevin<E> {
        let Self { snr, iterations, .. } = self;
        AnnealedLangevin { snr, iterations, chain }
    }
}

impl<S: VectorSpace, D: Discretization> Corrector<S> for AnnealedLangevin<D> {
    fn correct(
        &self,
        mut x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let scale = self.chain.transition(interval).scale;
        let step = 2.0 * (scale * self.snr * interval.from.level.sigma).powi(2);
        for _ in 0..self.iterations {
            let s = score_at(score, &x, interval.from)?;
            let z = normal_like(noise, &x)?;
            x = S::combine(&[(1.0, &x), (step, &s), ((2.0 * step).sqrt(), &z)]);
        }
        Ok(x)
    }

    fn evaluations(&self) -> usize {
        self.iterations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr1};
    use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
    use tweedie_score::{Replay, ScoreError, Times};

    /// The score is -3 everywhere.
    struct Steep;
    impl ScoreFn<ArrayD<f64>> for Steep {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict(&self, x: &ArrayD<f64>, _: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x.mapv(|_| -3.0))
        }
    }

    /// Where a state at 0.7 is after moves with the given noise.
    fn corrected(
        corrector: AnnealedLangevin,
        from: NoiseLevel,
        to: NoiseLevel,
        draws: &[f64],
    ) -> f64 {
        let interval = Interval {
            from: TimePoint { t: 0.5, level: from },
            to: TimePoint { t: 0.4, level: to },
        };
        let mut noise = Replay::new(draws.iter().map(|draw| vec![*draw]));
        let x = arr1(&[0.7]).into_dyn();
        corrector.correct(x, interval, &Steep, &mut noise).unwrap()[[0]]
    }

    #[test]
    fn a_move_is_the_pull_of_the_score_and_the_shake_of_the_noise() {
        let (from, to) =
            (NoiseLevel { alpha: 0.6, sigma: 0.8 }, NoiseLevel { alpha: 0.8, sigma: 0.6 });
        let corrector = AnnealedLangevin::new(0.25, 2).unwrap();
        let e = 0.045; // 2 (0.6 / 0.8 * 0.25 * 0.8)^2
        let first = 0.7 + e * -3.0 + 0.3 * 1.5; // sqrt(2 e) = 0.3
        let second = first + e * -3.0 + 0.3 * -0.4;
        assert!((corrected(corrector, from, to, &[1.5, -0.4]) - second).abs() < 1e-14);
    }

    #[test]
    fn a_published_step_size_is_that_of_the_smallest_level_and_grows_with_its_square() {
        let corrector = AnnealedLangevin::with_step_size(2e-5, 0.01, 1).unwrap();
        for sigma in [0.01, 0.2, 50.0_f64] {
            let step = 2e-5 * (sigma / 0.01).powi(2);
            let level = NoiseLevel { alpha: 1.0, sigma };
            // Song and Ermon 2019, algorithm 1
            let expected = 0.7 + 0.5 * step * -3.0 + step.sqrt() * 1.5;
            let got = corrected(corrector, level, level, &[1.5]);
            assert!((got / expected - 1.0).abs() < 1e-12, "{got} against {expected}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(AnnealedLangevin::with_step_size(2e-5, 0.0, 100).is_err());
        assert!(AnnealedLangevin::with_step_size(-1.0, 0.1, 100).is_err());
        assert!(AnnealedLangevin::new(f64::NAN, 1).is_err());
    }
}
