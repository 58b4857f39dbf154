//! Final denoising by Tweedie's formula, after the steps of any solver.

use crate::{SampleError, Solver, Stepper};
use tweedie_schedules::{Prediction, TimeGrid, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// A solver followed by one more step, which replaces the state by the estimate of its data.
///
/// `x_0 = (x + sigma^2 score(x)) / alpha` at the grid's last time. Efron 2011, eq. 1.4. For grids that
/// stop at a small positive noise level; it costs one evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Denoised<V>(pub V);

struct Steps<'a, S> {
    inner: Box<dyn Stepper<S> + 'a>,
    count: usize,
    end: TimePoint,
}

/// The time at which the data is estimated.
fn end(grid: &TimeGrid) -> Result<TimePoint, SampleError> {
    let last = grid.intervals().last().ok_or(SampleError::EmptyGrid)?;
    let (step, from, to) = (grid.len() - 1, last.from.t, last.to.t);
    if last.to.level.sigma == 0.0 {
        let reason = "it ends at the data itself, which leaves nothing to denoise";
        return Err(SampleError::ImpossibleStep { step, from, to, reason });
    }
    if last.to.level.alpha == 0.0 {
        let reason = "it ends in pure noise, which holds no data";
        return Err(SampleError::ImpossibleStep { step, from, to, reason });
    }
    Ok(last.to)
}

impl<S: VectorSpace, V: Solver<S>> Solver<S> for Denoised<V> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (inner, count, end) = (self.0.plan(grid)?, self.0.steps(grid), end(grid)?);
        Ok(Box::new(Steps { inner, count, end }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        end(grid)?;
        Ok(self.0.evaluations(grid)? + 1)
    }

    fn steps(&self, grid: &TimeGrid) -> usize {
        self.0.steps(grid) + 1
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
        if index < self.count {
            return self.inner.step(index, x, score, noise);
        }
        let failed = |source| SampleError::Score { step: index, t: self.end.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Data, self.end).map_err(failed)?;
        let output = score.predict(&x, Times::Shared(self.end)).map_err(failed)?;
        Ok(S::combine(&[(of_x, &x), (of_output, &output)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ddim, OneStep, sample_observed};
    use ndarray::{ArrayD, arr1};
    use tweedie_schedules::{DiscreteTable, Spacing};
    use tweedie_score::{ScoreError, Silent};

    /// The score of data that is always 0.4.
    struct Point;

    impl ScoreFn<ArrayD<f64>> for Point {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            let level = at.of(0).level;
            Ok(x.mapv(|x| (level.alpha * 0.4 - x) / level.sigma.powi(2)))
        }
    }

    #[test]
    fn the_last_step_removes_the_noise_that_the_grid_leaves() {
        let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
        let grid = TimeGrid::discrete(&table, 5, Spacing::Trailing).unwrap();
        let solver = Denoised(OneStep(Ddim::DETERMINISTIC));
        assert_eq!(Solver::<ArrayD<f64>>::evaluations(&solver, &grid).unwrap(), 5);
        let (mut states, start) = (Vec::new(), arr1(&[1.3, -0.2]).into_dyn());
        let mut keep = |_: usize, state: &ArrayD<f64>| states.push(state.clone());
        let end = sample_observed(&solver, &Point, &grid, start, &mut Silent, &mut keep).unwrap();
        assert!(end.iter().all(|value| (value - 0.4).abs() < 1e-12), "{end}");
        assert_eq!((states.len(), states.last()), (5, Some(&end)));
        assert!(states[3].iter().all(|value| (value - 0.4).abs() > 1e-3), "noise is left");
    }

    #[test]
    fn a_grid_that_ends_clean_leaves_nothing_to_denoise() {
        let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
        let grid = TimeGrid::discrete(&table, 5, Spacing::Trailing).unwrap().ending_clean();
        let solver = Denoised(OneStep(Ddim::DETERMINISTIC));
        let error = Solver::<ArrayD<f64>>::evaluations(&solver, &grid).unwrap_err();
        assert!(error.to_string().contains("nothing to denoise"), "{error}");
    }
}
