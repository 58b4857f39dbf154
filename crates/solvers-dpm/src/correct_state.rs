//! A function applied to the state at the end of each step.

use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{TimeGrid, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};

/// A solver whose state is corrected after each step: `correct(state, point, step)` gets the state, the
/// time and level it stands at, and the number of the step, from 0.
///
/// A correction of the data estimate is a decorator of the score function instead.
#[derive(Clone, Copy, Debug)]
pub struct CorrectState<M, F> {
    /// The solver.
    pub solver: M,
    /// The correction.
    pub correct: F,
}

struct Corrected<'a, S, F> {
    stepper: Box<dyn Stepper<S> + 'a>,
    correct: &'a F,
    grid: &'a TimeGrid,
}

impl<S: VectorSpace, M: Solver<S>, F: Fn(S, TimePoint, usize) -> S> Solver<S>
    for CorrectState<M, F>
{
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let stepper = self.solver.plan(grid)?;
        Ok(Box::new(Corrected { stepper, correct: &self.correct, grid }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        self.solver.evaluations(grid)
    }
}

impl<S: VectorSpace, F: Fn(S, TimePoint, usize) -> S> Stepper<S> for Corrected<'_, S, F> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let x = self.stepper.step(index, x, score, noise)?;
        Ok((self.correct)(x, self.grid.intervals()[index].to, index))
    }
}
