//! Reverse diffusion: the forward chain run backwards, cut in the same way as forwards.
//!
//! With the chain's step `x_t = a x_s + sqrt(v) z`, the reverse step is
//! `x_s = (2 - a) x_t + (1 + eta^2)/2 v score + eta sqrt(v) z`. Song et al. 2021, eq. 46. One
//! evaluation a step, first order; `eta = 1` undoes the SDE, `eta = 0` follows the probability flow.

use super::{Predictor, StepCoefficients};
use crate::SampleError;
use tweedie_schedules::{Interval, Transition};
use tweedie_sde::{Discretization, Euler, Sde, SdeError};

/// The reverse-diffusion predictor of a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReverseDiffusion<D> {
    chain: D,
    eta: f64,
}

impl<D: Discretization> ReverseDiffusion<D> {
    /// The chain run backwards with `eta` times its noise: 1 for the SDE, 0 for the probability flow.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn new(chain: D, eta: f64) -> Result<Self, SampleError> {
        if eta >= 0.0 && eta.is_finite() {
            Ok(Self { chain, eta })
        } else {
            let allowed = "a finite value of at least 0";
            Err(SampleError::ParameterOutOfRange { name: "eta", value: eta, allowed })
        }
    }
}

impl<D: Discretization> Predictor for ReverseDiffusion<D> {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let Transition { scale, variance } = self.chain.transition(interval);
        let level = interval.from.level;
        // variance * score = pull * (alpha x0_hat - x)
        let pull = 0.5 * (1.0 + self.eta * self.eta) * variance / level.sigma.powi(2);
        StepCoefficients {
            x: 2.0 - scale - pull, // Song et al. 2021, eq. 46
            data: pull * level.alpha,
            noise: self.eta * variance.sqrt(),
        }
    }
}

/// Euler-Maruyama: drift and diffusion of the reverse SDE held fixed over a step.
///
/// This is [`ReverseDiffusion`] of the [`Euler`] chain. Song et al. 2021, sec. 4.1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EulerMaruyama<N>(ReverseDiffusion<Euler<N>>);

impl<N: Sde> EulerMaruyama<N> {
    /// Steps as long as the intervals, with `eta` times the noise of the forward process: 1 for the
    /// reverse-time SDE, 0 for the probability flow.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn new(sde: N, eta: f64) -> Result<Self, SampleError> {
        Ok(Self(ReverseDiffusion::new(Euler::new(sde), eta)?))
    }

    /// The same, with steps of time `step` whatever the intervals (see [`Euler::with_step`]).
    ///
    /// # Errors
    /// When `step` is not positive and finite.
    pub fn with_step(self, step: f64) -> Result<Self, SdeError> {
        let ReverseDiffusion { chain, eta } = self.0;
        Ok(Self(ReverseDiffusion { chain: chain.with_step(step)?, eta }))
    }
}

impl<N: Sde> Predictor for EulerMaruyama<N> {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        self.0.coefficients(interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{NoiseSchedule, SubVpLinear, VeGeometric, VpLinear};
    use tweedie_sde::{Exact, ReverseSde};

    fn check_against_the_reverse_family(sde: &dyn Sde, eta: f64) {
        let interval = Interval { from: sde.point(0.6), to: sde.point(0.57) };
        let got = EulerMaruyama::new(sde, eta).unwrap().coefficients(interval);
        let (x, x0_hat) = (0.8, -0.3);
        let level = interval.from.level;
        let score = (level.alpha * x0_hat - x) / level.sigma.powi(2);
        let reverse = ReverseSde::new(sde, eta).unwrap();
        let (of_x, of_score) = reverse.drift(0.6);
        let mean = x + (of_x * x + of_score * score) * interval.dt();
        assert!((got.x * x + got.data * x0_hat - mean).abs() < 1e-12);
        let noise = reverse.diffusion(0.6) * (-interval.dt()).sqrt();
        assert!((got.noise - noise).abs() < 1e-14);
    }

    #[test]
    fn euler_maruyama_is_a_step_of_the_reverse_sde() {
        for eta in [0.0, 0.4, 1.0, 1.5] {
            check_against_the_reverse_family(&VpLinear::new(0.1, 20.0).unwrap(), eta);
            check_against_the_reverse_family(&SubVpLinear::new(0.1, 20.0).unwrap(), eta);
            check_against_the_reverse_family(&VeGeometric::new(0.01, 50.0).unwrap(), eta);
        }
    }

    #[test]
    fn without_noise_none_is_drawn() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let interval = Interval { from: sde.point(0.6), to: sde.point(0.5) };
        let flow = ReverseDiffusion::new(Exact, 0.0).unwrap();
        assert_eq!(flow.coefficients(interval).noise, 0.0);
        assert!(ReverseDiffusion::new(Exact, -1.0).is_err());
        assert!(EulerMaruyama::new(sde, f64::INFINITY).is_err());
        assert!(EulerMaruyama::new(sde, 1.0).unwrap().with_step(-1.0).is_err());
    }
}
