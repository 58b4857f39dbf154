//! How long a run has trained.

use std::time::Instant;

/// Seconds of training, over all resumptions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    before: f64,
    start: Instant,
    lap: Instant,
}

impl Clock {
    /// Goes on from the seconds that earlier parts of the run took.
    pub(crate) fn resume(before: f64) -> Self {
        let now = Instant::now();
        Self { before, start: now, lap: now }
    }

    /// Seconds of training up to now.
    pub(crate) fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64()
    }

    /// Seconds since the last call, never zero.
    pub(crate) fn lap(&mut self) -> f64 {
        let now = Instant::now();
        let seconds = now.duration_since(std::mem::replace(&mut self.lap, now)).as_secs_f64();
        seconds.max(1e-9)
    }
}
