//! No correction.

use super::Corrector;
use crate::SampleError;
use tweedie_schedules::Interval;
use tweedie_score::{NoiseSource, ScoreFn};

/// The corrector that leaves the state alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoCorrector;

impl<S> Corrector<S> for NoCorrector {
    fn correct(
        &self,
        x: S,
        _: Interval,
        _: &dyn ScoreFn<S>,
        _: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        Ok(x)
    }

    fn evaluations(&self) -> usize {
        0
    }
}
