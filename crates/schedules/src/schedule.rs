//! The one trait a noise schedule implements.

use crate::{NoiseLevel, TimePoint};

/// How signal and noise change with time.
///
/// Implementors promise that lambda falls strictly as `t` rises over `time_range`, and that
/// `level(time_at_lambda(l)).lambda()` is `l` for every lambda the range reaches.
pub trait NoiseSchedule {
    /// Earliest (cleanest) and latest (noisiest) time the schedule is defined for.
    fn time_range(&self) -> (f64, f64);

    /// Level at time `t`.
    fn level(&self, t: f64) -> NoiseLevel;

    /// The time at which half the log signal-to-noise ratio is `lambda`.
    fn time_at_lambda(&self, lambda: f64) -> f64;

    /// Time and level together.
    fn point(&self, t: f64) -> TimePoint {
        TimePoint { t, level: self.level(t) }
    }
}

impl<N: NoiseSchedule + ?Sized> NoiseSchedule for &N {
    fn time_range(&self) -> (f64, f64) {
        (**self).time_range()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        (**self).level(t)
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        (**self).time_at_lambda(lambda)
    }
}
