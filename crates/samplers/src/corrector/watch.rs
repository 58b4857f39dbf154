//! A look at every corrected state.

use super::Corrector;
use crate::SampleError;
use tweedie_schedules::Interval;
use tweedie_score::{NoiseSource, ScoreFn};

/// A corrector that shows each state it leaves to `watch`, and is otherwise unchanged.
#[derive(Clone, Copy, Debug)]
pub struct WatchCorrector<C, W> {
    /// The corrector.
    pub inner: C,
    /// Called with each corrected state.
    pub watch: W,
}

impl<S, C: Corrector<S>, W: Fn(&S)> Corrector<S> for WatchCorrector<C, W> {
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let x = self.inner.correct(x, interval, score, noise)?;
        (self.watch)(&x);
        Ok(x)
    }

    fn evaluations(&self) -> usize {
        self.inner.evaluations()
    }

    fn is_idle(&self) -> bool {
        self.inner.is_idle()
    }
}
