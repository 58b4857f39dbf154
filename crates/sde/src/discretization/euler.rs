//! Euler's rule: drift and diffusion held fixed over a step.

use super::Discretization;
use crate::{Sde, SdeError};
use tweedie_schedules::{Interval, Transition};

/// The chain `x_from = (1 + f dt) x_to + g sqrt(dt) z`, with `f` and `g` of the noisier end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Euler<N> {
    sde: N,
    step: Option<f64>,
}

impl<N> Euler<N> {
    /// Steps as long as the intervals.
    #[must_use]
    pub const fn new(sde: N) -> Self {
        Self { sde, step: None }
    }

    /// The same with steps of time `step`, whatever the intervals: the published code takes `1 / steps`, though
    /// its times lie further apart (see [`song_grid`](crate::song_grid)).
    ///
    /// # Errors
    /// When `step` is not positive and finite.
    pub fn with_step(self, step: f64) -> Result<Self, SdeError> {
        let holds = step > 0.0 && step.is_finite();
        let step = SdeError::check("step", step, holds, "a finite value above 0")?;
        Ok(Self { step: Some(step), ..self })
    }
}

impl<N: Sde> Discretization for Euler<N> {
    fn transition(&self, interval: Interval) -> Transition {
        let t = interval.from.t;
        let dt = self.step.unwrap_or(-interval.dt());
        Transition {
            scale: 1.0 + self.sde.drift(t) * dt,
            variance: self.sde.diffusion_squared(t) * dt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Exact;
    use tweedie_schedules::{NoiseSchedule, SubVpLinear, VeGeometric};

    fn check_first_order(sde: &dyn Sde) {
        let defect = |dt: f64| {
            let interval = Interval { from: sde.point(0.6), to: sde.point(0.6 - dt) };
            let (euler, exact) = (Euler::new(sde).transition(interval), Exact.transition(interval));
            (euler.scale - exact.scale).abs() + (euler.variance - exact.variance).abs()
        };
        let order = (defect(2e-3) / defect(1e-3)).log2();
        assert!((order - 2.0).abs() < 0.05, "one step is wrong by dt to the power {order}");
    }

    #[test]
    fn short_steps_are_those_of_the_process() {
        check_first_order(&SubVpLinear::new(0.1, 20.0).unwrap());
        check_first_order(&VeGeometric::new(0.01, 50.0).unwrap());
    }

    #[test]
    fn a_step_of_its_own_overrides_the_interval() {
        let sde = SubVpLinear::new(0.1, 20.0).unwrap();
        let interval = |to: f64| Interval { from: sde.point(0.6), to: sde.point(to) };
        let fixed = Euler::new(sde).with_step(0.1).unwrap().transition(interval(0.2));
        let own = Euler::new(sde).transition(interval(0.5));
        assert!((fixed.scale - own.scale).abs() < 1e-12);
        assert!((fixed.variance - own.variance).abs() < 1e-12);
        assert!(Euler::new(sde).with_step(0.0).is_err());
    }
}
