//! A run whose last step ends at its mean.

use crate::{SampleError, Solver, Stepper};
use tweedie_schedules::TimeGrid;
use tweedie_score::{NoiseSource, ScoreFn, Silent, VectorSpace};

/// A solver whose last step adds no noise: what the published samplers call the denoised result.
///
/// It costs nothing, where [`Denoised`](crate::Denoised) takes one more evaluation. Around the
/// predictor of a [`PredictorCorrector`](crate::PredictorCorrector) it leaves the corrector's noise
/// alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeanAtEnd<V>(pub V);

struct Steps<'a, S> {
    inner: Box<dyn Stepper<S> + 'a>,
    last: usize,
}

impl<S: VectorSpace, V: Solver<S>> Solver<S> for MeanAtEnd<V> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let inner = self.0.plan(grid)?;
        Ok(Box::new(Steps { inner, last: self.0.steps(grid).saturating_sub(1) }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        self.0.evaluations(grid)
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        self.0.steps(grid)
    }
}

impl<S: VectorSpace> Stepper<S> for Steps<'_, S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        if index == self.last {
            return self.inner.step(index, x, score, &mut Silent);
        }
        self.inner.step(index, x, score, noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddim, OneStep, sample};
    use ndarray::{ArrayD, arr1};
    use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
    use tweedie_score::{Replay, ScoreError, Times};

    /// Knows the data: it is 0.4.
    struct Known;

    impl ScoreFn<ArrayD<f64>> for Known {
        fn prediction(&self) -> Prediction {
            Prediction::Data
        }

        fn predict(&self, x: &ArrayD<f64>, _: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x * 0.0 + 0.4)
        }
    }

    #[test]
    fn only_the_noise_of_the_last_step_is_left_out() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let grid = TimeGrid::uniform_time(&schedule, 3).unwrap();
        let run = |solver: &dyn Solver<ArrayD<f64>>, last: f64| {
            let mut noise = Replay::new([vec![0.3], vec![-1.2], vec![last]]);
            let x = sample(solver, &Known, &grid, arr1(&[0.8]).into_dyn(), &mut noise).unwrap();
            (x[0], noise.remaining())
        };
        let method = OneStep(Ddim::new(1.0).unwrap());
        let (mean, left) = run(&MeanAtEnd(method), 5.0);
        assert_eq!((mean, left), (run(&method, 0.0).0, 1));
        assert_ne!(mean, run(&method, 5.0).0);
        let level = schedule.level(1e-3);
        assert!((mean - level.alpha * 0.4).abs() < 3.0 * level.sigma);
    }
}
