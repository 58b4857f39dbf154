//! A network whose calls are announced: to be counted, or to be the last.

use tch::Tensor;
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A network that announces each of its calls.
pub(crate) struct Counted<F, N> {
    inner: F,
    note: N,
}

impl<F, N: Fn(u64) -> Result<(), ScoreError>> Counted<F, N> {
    /// A network whose calls are announced to `note`: how many passes each takes, forward and backward. An
    /// error of it is that of the call, which is then not made.
    pub(crate) fn new(inner: F, note: N) -> Self {
        Self { inner, note }
    }

    fn count(&self, backward: usize) -> Result<(), ScoreError> {
        (self.note)(1 + backward as u64)
    }
}

impl<F: ScoreFn<Tensor>, N: Fn(u64) -> Result<(), ScoreError>> ScoreFn<Tensor> for Counted<F, N> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        self.count(0)?;
        self.inner.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &Tensor,
        at: Times<'_>,
    ) -> Result<(Tensor, Option<Tensor>), ScoreError> {
        self.count(0)?;
        self.inner.predict_with_variance(x, at)
    }
}

impl<F: DifferentiableScoreFn<Tensor>, N: Fn(u64) -> Result<(), ScoreError>>
    DifferentiableScoreFn<Tensor> for Counted<F, N>
{
    fn predict_vjps(
        &self,
        x: &Tensor,
        at: TimePoint,
        cotangents: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), ScoreError> {
        self.count(cotangents.len())?;
        self.inner.predict_vjps(x, at, cotangents)
    }
}
