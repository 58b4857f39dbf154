//! Langevin dynamics with a step size that follows the signal-to-noise ratio of the move.
//!
//! `x' = x + e score + sqrt(2 e) z` with `e = 2 (a snr |z| / |score|)^2`, where `a` is the scale of
//! the forward chain's step (`a^2 = 1 - beta` for VP, 1 for VE). Song et al. 2021, algorithms 4 and 5.
//! One evaluation an iteration.

use super::{Corrector, check_options, normal_like, score_at};
use crate::SampleError;
use tweedie_schedules::Interval;
use tweedie_score::{Batch, NoiseSource, ScoreFn};
use tweedie_sde::{Discretization, Exact};

/// Whose norms set the step size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Norms {
    BatchMean,
    PerSample,
}

/// The Langevin corrector; it works for every linear SDE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Langevin<D = Exact> {
    snr: f64,
    iterations: usize,
    norms: Norms,
    chain: D,
}

impl Langevin {
    /// `iterations` moves (1 is usual) of signal-to-noise ratio `snr` (0.16 for small images).
    ///
    /// One step size serves the whole batch, from the means of the norms, as published: what a
    /// sample becomes depends on its batch. [`per_sample`](Self::per_sample) does not couple them.
    ///
    /// # Errors
    /// When `snr` is not positive and finite, or `iterations` is 0.
    pub fn new(snr: f64, iterations: usize) -> Result<Self, SampleError> {
        check_options(snr, iterations)?;
        Ok(Self { snr, iterations, norms: Norms::BatchMean, chain: Exact })
    }
}

impl<D> Langevin<D> {
    /// The same with a step size for each sample, from its own norms.
    #[must_use]
    pub fn per_sample(self) -> Self {
        Self { norms: Norms::PerSample, ..self }
    }

    /// The same with the scale of another chain than the exact one.
    #[must_use]
    pub fn with_chain<E: Discretization>(self, chain: E) -> Langevin<E> {
        let Self { snr, iterations, norms, .. } = self;
        Langevin { snr, iterations, norms, chain }
    }

    /// The step size for the norms of the noise and of the score. Without a score there is nothing
    /// to follow, and no step is taken.
    fn step_size(&self, scale: f64, noise: f64, score: f64) -> f64 {
        if score == 0.0 {
            return 0.0;
        }
        2.0 * (scale * self.snr * noise / score).powi(2) // Song et al. 2021, algorithm 5
    }

    /// `x + e score + sqrt(2 e) z`.
    fn moved<S: Batch>(&self, x: &S, scale: f64, score: &S, z: &S) -> S {
        let (score_norms, noise_norms) = (score.norm_each(), z.norm_each());
        match self.norms {
            Norms::BatchMean => {
                let step = self.step_size(scale, mean(&noise_norms), mean(&score_norms));
                S::combine(&[(1.0, x), (step, score), ((2.0 * step).sqrt(), z)])
            }
            Norms::PerSample => {
                let norms = noise_norms.into_iter().zip(score_norms);
                let steps: Vec<f64> = norms.map(|(z, s)| self.step_size(scale, z, s)).collect();
                let roots: Vec<f64> = steps.iter().map(|step| (2.0 * step).sqrt()).collect();
                let (pull, kick) = (score.scale_each(&steps), z.scale_each(&roots));
                S::combine(&[(1.0, x), (1.0, &pull), (1.0, &kick)])
            }
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl<S: Batch, D: Discretization> Corrector<S> for Langevin<D> {
    fn correct(
        &self,
        mut x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let scale = self.chain.transition(interval).scale;
        for _ in 0..self.iterations {
            let s = score_at(score, &x, interval.from)?;
            let z = normal_like(noise, &x)?;
            x = self.moved(&x, scale, &s, &z);
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
    use ndarray::{ArrayD, Axis, arr2};
    use tweedie_schedules::{NoiseSchedule, Prediction, SubVpLinear};
    use tweedie_score::{Replay, ScoreError, Times};

    /// Minus the state: the score of standard normal data.
    struct Normal;

    impl ScoreFn<ArrayD<f64>> for Normal {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict(&self, x: &ArrayD<f64>, _: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(-x)
        }
    }

    fn corrected(corrector: &dyn Corrector<ArrayD<f64>>, x: [[f64; 2]; 2]) -> ArrayD<f64> {
        let schedule = SubVpLinear::new(0.1, 20.0).unwrap();
        let interval = Interval { from: schedule.point(0.6), to: schedule.point(0.5) };
        let mut noise = Replay::new([vec![3.0, 4.0, 0.0, 1.0]]);
        corrector.correct(arr2(&x).into_dyn(), interval, &Normal, &mut noise).unwrap()
    }

    /// The first sample after a correction, for two companions.
    fn with_two_companions(langevin: Langevin) -> [ArrayD<f64>; 2] {
        [2.0, 7.0].map(|companion| {
            let x = corrected(&langevin, [[1.0, 0.0], [0.0, companion]]);
            x.index_axis(Axis(0), 0).to_owned()
        })
    }

    #[test]
    fn one_step_size_comes_from_the_means_of_the_norms() {
        let langevin = Langevin::new(0.2, 1).unwrap();
        let got = corrected(&langevin, [[1.0, 0.0], [0.0, 2.0]]);
        let schedule = SubVpLinear::new(0.1, 20.0).unwrap();
        let scale = schedule.level(0.6).alpha / schedule.level(0.5).alpha;
        // norms of the noise 5 and 1, of the score 1 and 2
        let step = 2.0 * scale.powi(2) * (0.2_f64 * 3.0 / 1.5).powi(2);
        let kick = (2.0 * step).sqrt();
        let want = arr2(&[[1.0 - step + 3.0 * kick, 4.0 * kick], [0.0, 2.0 - 2.0 * step + kick]]);
        assert!((got - want.into_dyn()).iter().all(|off| off.abs() < 1e-14));
    }

    #[test]
    fn a_step_size_of_its_own_frees_a_sample_of_its_batch() {
        let langevin = Langevin::new(0.2, 1).unwrap();
        let [first, other] = with_two_companions(langevin.per_sample());
        assert_eq!(first, other);
        let [first, other] = with_two_companions(langevin);
        assert_ne!(first, other);
    }

    #[test]
    fn without_a_score_nothing_moves() {
        let x = [[0.0, 0.0], [0.0, 0.0]];
        let langevin = Langevin::new(0.2, 1).unwrap();
        assert_eq!(corrected(&langevin, x), arr2(&x).into_dyn());
        assert_eq!(corrected(&langevin.per_sample(), x), arr2(&x).into_dyn());
    }

    #[test]
    fn nonsense_is_refused() {
        let error = Langevin::new(0.0, 1).unwrap_err();
        assert_eq!(error.to_string(), "snr is 0, expected a finite value above 0");
        assert!(Langevin::new(0.16, 0).is_err());
    }
}
