//! The variable in which steps are straight.

use tweedie_schedules::{NoiseLevel, NoiseSchedule, TimePoint};
use tweedie_sde::Sde;

/// A way to write the probability flow as `dy/du = a y + b x0_hat`, with `x = scale y`.
pub trait StepVariable {
    /// The variable `u` at a point; it falls as noise does. Where it is infinite, in pure noise, a
    /// step to a finite one is DDIM's.
    fn value(&self, at: TimePoint) -> f64;

    /// The point at a value of `u`.
    fn point(&self, value: f64) -> TimePoint;

    /// The point at a relative noise `sigma / alpha`.
    fn point_at_sigma(&self, sigma: f64) -> TimePoint;

    /// Factor between `y` and the state at a level.
    fn scale(&self, level: NoiseLevel) -> f64;

    /// The coefficients `(a, b)` at a point with noise.
    fn slope(&self, at: TimePoint) -> (f64, f64);
}

/// Steps straight in the relative noise `sigma / alpha`, of `y = x / alpha`.
///
/// The choice of EDM, DDIM and most later samplers: a step is exact where the data estimate does
/// not change. Any schedule, any network. Karras et al. 2022, sec. 3.
#[derive(Clone, Copy, Debug)]
pub struct InSigma<N>(pub N);

impl<N: NoiseSchedule> StepVariable for InSigma<N> {
    fn value(&self, at: TimePoint) -> f64 {
        at.level.noise_to_signal()
    }

    fn point(&self, value: f64) -> TimePoint {
        self.0.point(self.0.time_at_lambda(-value.ln()))
    }

    fn point_at_sigma(&self, sigma: f64) -> TimePoint {
        self.point(sigma)
    }

    fn scale(&self, level: NoiseLevel) -> f64 {
        level.alpha
    }

    fn slope(&self, at: TimePoint) -> (f64, f64) {
        let sigma = self.value(at);
        (1.0 / sigma, -1.0 / sigma) // Karras et al. 2022, eqs. 1 and 3
    }
}

/// Steps straight in the schedule's own time, of the state itself.
///
/// What a general solver of differential equations does with the probability flow of an SDE: here
/// the schedule decides where steps err. Karras et al. 2022, algorithm 1.
#[derive(Clone, Copy, Debug)]
pub struct InTime<M>(pub M);

impl<M: Sde> StepVariable for InTime<M> {
    fn value(&self, at: TimePoint) -> f64 {
        at.t
    }

    fn point(&self, value: f64) -> TimePoint {
        self.0.point(value)
    }

    fn point_at_sigma(&self, sigma: f64) -> TimePoint {
        self.point(self.0.time_at_lambda(-sigma.ln()))
    }

    fn scale(&self, _: NoiseLevel) -> f64 {
        1.0
    }

    fn slope(&self, at: TimePoint) -> (f64, f64) {
        let NoiseLevel { alpha, sigma } = at.level;
        // Karras et al. 2022, eq. 4, with sigma' / sigma = g^2 / (2 sigma^2) of the state's sigma
        let growth = self.0.diffusion_squared(at.t) / (2.0 * sigma * sigma);
        (self.0.drift(at.t) + growth, -alpha * growth)
    }
}
