//! Which integral is solved: over the noise or over the data prediction, of the flow or of the SDE.

use crate::phi;
use tweedie_schedules::{Interval, Prediction};

/// The form in which the diffusion ODE or SDE is written before it is discretized.
///
/// With `h` the growth of lambda over a step, `u` the way in from its start and `m` the prediction,
/// the solution from level `s` to level `t` is, for the share `eta` of the reverse SDE's noise,
/// - noise form: `alpha_t/alpha_s x - (1+eta) sigma_t integral e^(h-u) m(u) du + n z`,
///   `n^2 = eta sigma_t^2 (e^(2h) - 1)`;
/// - data form: `sigma_t/sigma_s e^(-eta h) x + (1+eta) alpha_t integral e^(-(1+eta)(h-u)) m(u) du + n z`,
///   `n^2 = sigma_t^2 (1 - e^(-2 eta h))`.
///
/// `eta = 0` is the probability flow, `eta = 1` the reverse SDE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Algorithm {
    form: Form,
    eta: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Noise,
    Data,
}

impl Algorithm {
    /// DPM-Solver: the flow, over the noise prediction.
    pub const DPM_SOLVER: Self = Self { form: Form::Noise, eta: 0.0 };
    /// DPM-Solver++: the flow, over the data prediction.
    pub const DPM_SOLVER_PP: Self = Self { form: Form::Data, eta: 0.0 };
    /// SDE-DPM-Solver: the reverse SDE, over the noise prediction.
    pub const SDE_DPM_SOLVER: Self = Self { form: Form::Noise, eta: 1.0 };
    /// SDE-DPM-Solver++: the reverse SDE, over the data prediction.
    pub const SDE_DPM_SOLVER_PP: Self = Self { form: Form::Data, eta: 1.0 };

    /// The prediction that is integrated: noise or data.
    #[must_use]
    pub fn prediction(self) -> Prediction {
        match self.form {
            Form::Noise => Prediction::Noise,
            Form::Data => Prediction::Data,
        }
    }

    /// Share of the reverse SDE's noise.
    #[must_use]
    pub fn eta(self) -> f64 {
        self.eta
    }

    pub(crate) fn with_eta(self, eta: f64) -> Self {
        Self { eta, ..self }
    }

    /// The same equation in a form that has finite coefficients over `interval`.
    ///
    /// Over an infinite step (from `alpha = 0`, to `sigma = 0`) both forms of the first order are DDIM,
    /// but the noise form writes it as a difference of infinite terms.
    pub(crate) fn over(self, interval: Interval) -> Self {
        let noise_is_finite = self.eta == 0.0 && interval.from.level.alpha > 0.0;
        if interval.h().is_finite() || noise_is_finite {
            self
        } else {
            Self { form: Form::Data, ..self }
        }
    }

    /// The solution over `interval`, but for the values of the prediction along it.
    pub(crate) fn integral(self, interval: Interval) -> Integral {
        let (from, to, h, eta) = (interval.from.level, interval.to.level, interval.h(), self.eta);
        let grown = |rate: f64| if rate == 0.0 { 0.0 } else { (rate * h).exp_m1() };
        match self.form {
            Form::Noise => Integral {
                // Lu et al. 2022, eq. 3.4; with noise Lu et al. 2022a
                x: to.alpha / from.alpha,
                noise: to.sigma * (eta * grown(2.0)).max(0.0).sqrt(),
                scale: -(1.0 + eta) * to.sigma,
                // sigma_t (e^h - 1), which has a limit at sigma_t = 0
                whole: if h.is_finite() {
                    -(1.0 + eta) * to.sigma * grown(1.0)
                } else {
                    to.sigma - to.alpha / from.alpha * from.sigma
                },
                rate: 1.0,
                h,
            },
            Form::Data => Integral {
                // Lu et al. 2022a, the data form of the flow and of the SDE, for any share eta
                x: to.sigma / from.sigma * (1.0 + grown(-eta)),
                noise: to.sigma * (-grown(-2.0 * eta)).max(0.0).sqrt(),
                scale: (1.0 + eta) * to.alpha,
                whole: -to.alpha * grown(-(1.0 + eta)),
                rate: -(1.0 + eta),
                h,
            },
        }
    }
}

/// The solution over a step, `x x_from + scale integral over [0, h] of e^(rate (h-u)) m(u) du + noise z`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Integral {
    /// Coefficient of the state.
    pub(crate) x: f64,
    /// Standard deviation of the noise.
    pub(crate) noise: f64,
    scale: f64,
    whole: f64,
    rate: f64,
    h: f64,
}

impl Integral {
    /// The integral for `m(u) = u^k / k!`: the weight of the k-th derivative of the prediction.
    pub(crate) fn moment(&self, k: usize) -> f64 {
        if k == 0 {
            return self.whole;
        }
        // Lu et al. 2022, app. B
        self.scale * self.h.powi(k as i32 + 1) * phi(k + 1, self.rate * self.h)
    }

    /// The integral for `m = 1`, as if its kernel were the one at the end of the step.
    pub(crate) fn flat(&self) -> f64 {
        self.scale * self.h
    }

    /// The growth of lambda.
    pub(crate) fn h(&self) -> f64 {
        self.h
    }
}
