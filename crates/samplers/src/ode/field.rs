//! The right-hand side of the equation, counted.

use crate::SampleError;
use tweedie_score::ScoreError;

/// `dx/dt = f(t, x)`, with the number of times it was asked.
pub(super) struct Field<'a, S> {
    pub(super) slope: &'a mut dyn FnMut(f64, &S) -> Result<S, ScoreError>,
    pub(super) evaluations: usize,
    /// The step under way, for errors.
    pub(super) step: usize,
}

impl<S> Field<'_, S> {
    pub(super) fn at(&mut self, t: f64, x: &S) -> Result<S, SampleError> {
        self.evaluations += 1;
        (self.slope)(t, x).map_err(|source| SampleError::Score { step: self.step, t, source })
    }
}
