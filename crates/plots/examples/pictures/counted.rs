//! A network that counts how often it is asked.

use std::cell::Cell;
use tweedie_schedules::Prediction;
use tweedie_score::{ScoreError, ScoreFn, Times, VectorSpace};

/// A score function and the number of its evaluations.
pub(crate) struct Counted<N> {
    network: N,
    calls: Cell<usize>,
}

impl<N> Counted<N> {
    pub(crate) fn new(network: N) -> Self {
        Self { network, calls: Cell::new(0) }
    }

    /// Evaluations so far.
    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl<S: VectorSpace, N: ScoreFn<S>> ScoreFn<S> for Counted<N> {
    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.network.predict(x, at)
    }
}
