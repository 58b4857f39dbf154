//! A correction several times over, with whatever belongs to it.

use super::Corrector;
use crate::SampleError;
use tweedie_schedules::Interval;
use tweedie_score::{NoiseSource, ScoreFn};

/// A corrector that is called several times a step.
///
/// By itself it is what correctors do with their own number of iterations. It differs where something is
/// done to the state after each correction: around that, it is done as often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated<C> {
    inner: C,
    times: usize,
}

impl<C> Repeated<C> {
    /// `inner`, so many times; 0 leaves the state alone.
    #[must_use]
    pub const fn new(inner: C, times: usize) -> Self {
        Self { inner, times }
    }
}

impl<S, C: Corrector<S>> Corrector<S> for Repeated<C> {
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        (0..self.times).try_fold(x, |x, _| self.inner.correct(x, interval, score, noise))
    }

    fn evaluations(&self) -> usize {
        self.times * self.inner.evaluations()
    }

    fn is_idle(&self) -> bool {
        self.times == 0 || self.inner.is_idle()
    }
}
