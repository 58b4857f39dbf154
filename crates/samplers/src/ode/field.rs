//! The right-hand side of the equation, counted.

use super::runge_kutta::Slope;
use crate::SampleError;
use tweedie_score::Tolerance;

/// `dx/dt = f(t, x)`, with the number of times it was asked.
pub(super) struct Field<'a, S> {
    pub(super) slope: &'a mut Slope<'a, S>,
    pub(super) evaluations: usize,
    /// How often it may be asked; as often as needed if `None`.
    pub(super) budget: Option<Budget>,
    /// The step under way, for errors.
    pub(super) step: usize,
}

/// What a run may spend, and on what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Budget {
    pub(super) evaluations: usize,
    pub(super) tolerance: Tolerance,
}

impl<'a, S> Field<'a, S> {
    /// A field that was not asked yet.
    pub(super) fn new(slope: &'a mut Slope<'a, S>, budget: Option<Budget>) -> Self {
        Self { slope, evaluations: 0, budget, step: 0 }
    }

    pub(super) fn at(&mut self, t: f64, x: &S) -> Result<S, SampleError> {
        if let Some(Budget { evaluations, tolerance }) = self.budget
            && self.evaluations >= evaluations
        {
            return Err(SampleError::TooManyEvaluations { t, evaluations, tolerance });
        }
        self.evaluations += 1;
        (self.slope)(t, x).map_err(|source| SampleError::Score { step: self.step, t, source })
    }
}
