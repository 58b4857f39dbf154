//! No prediction: the state passes from level to level unchanged.

use crate::{SampleError, Solver, Stepper};
use tweedie_schedules::TimeGrid;
use tweedie_score::{NoiseSource, ScoreFn};

/// The predictor that does nothing, for correctors that do all the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPredictor;

impl<S> Solver<S> for NoPredictor {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        if grid.is_empty() { Err(SampleError::EmptyGrid) } else { Ok(Box::new(Self)) }
    }

    fn evaluations(&self, _: &TimeGrid) -> Result<usize, SampleError> {
        Ok(0)
    }
}

impl<S> Stepper<S> for NoPredictor {
    fn step(
        &mut self,
        _: usize,
        x: S,
        _: &dyn ScoreFn<S>,
        _: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        Ok(x)
    }
}
