//! Clipping of the data estimate, as a decorator: samplers never hear of it.

use crate::{Batch, Elementwise, ScoreError, ScoreFn, Times};
use tweedie_schedules::Prediction;

/// A score function whose estimate of the data is held within the data's own range.
///
/// Whatever the network predicts, this predicts data. The code published with DDPM clips so.
#[derive(Clone, Copy, Debug)]
pub struct ClipData<F> {
    /// The score function to clip.
    pub inner: F,
    /// Smallest value of the data.
    pub low: f64,
    /// Largest value of the data.
    pub high: f64,
}

impl<S: Batch + Elementwise, F: ScoreFn<S>> ScoreFn<S> for ClipData<F> {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        Ok(self.inner.predict_data(x, at)?.clamp(self.low, self.high))
    }
}
