//! A network whose calls are counted.

use tch::Tensor;
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A network that says each of its calls.
pub(crate) struct Counted<F, N> {
    inner: F,
    note: N,
}

impl<F, N: Fn(u64)> Counted<F, N> {
    /// A network whose calls are told to `note`: how many passes each takes, forward and backward.
    pub(crate) fn new(inner: F, note: N) -> Self {
        Self { inner, note }
    }

    fn count(&self, backward: usize) {
        (self.note)(1 + backward as u64);
    }
}

impl<F: ScoreFn<Tensor>, N: Fn(u64)> ScoreFn<Tensor> for Counted<F, N> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        self.count(0);
        self.inner.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &Tensor,
        at: Times<'_>,
    ) -> Result<(Tensor, Option<Tensor>), ScoreError> {
        self.count(0);
        self.inner.predict_with_variance(x, at)
    }
}

impl<F: DifferentiableScoreFn<Tensor>, N: Fn(u64)> DifferentiableScoreFn<Tensor> for Counted<F, N> {
    fn predict_vjps(
        &self,
        x: &Tensor,
        at: TimePoint,
        cotangents: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>), ScoreError> {
        self.count(cotangents.len());
        self.inner.predict_vjps(x, at, cotangents)
    }
}
