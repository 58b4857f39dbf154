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
