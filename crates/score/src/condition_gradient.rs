//! Conditions on a noisy state, known by the gradient of their log probability.

use crate::{ScoreError, Times, VectorSpace};

/// `grad_x log p_t(y | x)` of something known about the data: a class, a measurement.
pub trait ConditionGradient<S: VectorSpace> {
    /// The gradient at `x`, a batch at its time; same shape as `x`.
    ///
    /// # Errors
    /// Whatever the classifier fails with.
    fn log_gradient(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError>;
}

impl<S: VectorSpace, G: ConditionGradient<S> + ?Sized> ConditionGradient<S> for &G {
    fn log_gradient(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        (**self).log_gradient(x, at)
    }
}
