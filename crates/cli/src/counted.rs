//! A network that counts its calls.

use indicatif::ProgressBar;
use std::cell::Cell;
use tch::Tensor;
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A network whose calls are counted, forward and backward passes apart, and shown on a bar if there is
/// one for them.
pub(crate) struct Counted<'a, F> {
    inner: F,
    bar: Option<&'a ProgressBar>,
    forward: Cell<u64>,
    backward: Cell<u64>,
}

impl<'a, F> Counted<'a, F> {
    /// A network that moves the bar on with each call.
    pub(crate) fn on(bar: &'a ProgressBar, inner: F) -> Self {
        Self { inner, bar: Some(bar), forward: Cell::new(0), backward: Cell::new(0) }
    }

    /// A network that counts and is silent.
    pub(crate) fn new(inner: F) -> Self {
        Self { inner, bar: None, forward: Cell::new(0), backward: Cell::new(0) }
    }

    /// Forward and backward passes so far.
    pub(crate) fn passes(&self) -> (u64, u64) {
        (self.forward.get(), self.backward.get())
    }

    fn count(&self, backward: usize) {
        self.forward.set(self.forward.get() + 1);
        self.backward.set(self.backward.get() + backward as u64);
        if let Some(bar) = self.bar {
            bar.inc(1);
        }
    }
}

impl<F: ScoreFn<Tensor>> ScoreFn<Tensor> for Counted<'_, F> {
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

impl<F: DifferentiableScoreFn<Tensor>> DifferentiableScoreFn<Tensor> for Counted<'_, F> {
    fn predict_vjp(
        &self,
        x: &Tensor,
        at: TimePoint,
        cotangent: &Tensor,
    ) -> Result<(Tensor, Tensor), ScoreError> {
        self.count(1);
        self.inner.predict_vjp(x, at, cotangent)
    }

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
