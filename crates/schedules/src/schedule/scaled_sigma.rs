//! A schedule given by its relative noise and its scaling, `x = s(t) (x_0 + sigma(t) eps)`.
//!
//! In Karras et al. 2022, sec. 2, every published process is such a pair, which can be chosen
//! independently: `alpha = s`, and the noise level of the state is `s sigma`. Time is whatever
//! `sigma(t)` makes of it, which decides where straight steps in time err least.

use super::check_sigmas;
use super::time_range::TimeRange;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError};

/// The relative noise `sigma(t)`. // Karras et al. 2022, table 1, "Schedule"
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SigmaOfTime {
    /// `sigma = t`: EDM, DDIM.
    Linear,
    /// `sigma = sqrt(t)`: VE, a Brownian motion.
    SquareRoot,
    /// `sigma^2 = exp(beta_d t^2 / 2 + beta_min t) - 1`: VP.
    VariancePreserving {
        /// Growth of the rate over a unit of time.
        beta_d: f64,
        /// Rate at `t = 0`; slightly negative where a fit needs it.
        beta_min: f64,
    },
}

impl SigmaOfTime {
    /// The VP noise that is `sigma_min` at time `epsilon` and `sigma_max` at time 1.
    #[must_use]
    pub fn variance_preserving(sigma_min: f64, sigma_max: f64, epsilon: f64) -> Self {
        let (low, high) = ((sigma_min * sigma_min).ln_1p(), (sigma_max * sigma_max).ln_1p());
        // Karras et al. 2022, app. C.1: the noise of the VP column, solved for both rates
        let beta_d = 2.0 * (low / epsilon - high) / (epsilon - 1.0);
        Self::VariancePreserving { beta_d, beta_min: high - 0.5 * beta_d }
    }

    /// `sigma` at time `t`.
    #[must_use]
    pub fn sigma(self, t: f64) -> f64 {
        match self {
            Self::Linear => t,
            Self::SquareRoot => t.sqrt(),
            Self::VariancePreserving { beta_d, beta_min } => {
                (t * (0.5 * beta_d * t + beta_min)).exp_m1().sqrt()
            }
        }
    }

    /// The time at which the noise is `sigma`.
    #[must_use]
    pub fn time(self, sigma: f64) -> f64 {
        match self {
            Self::Linear => sigma,
            Self::SquareRoot => sigma * sigma,
            Self::VariancePreserving { beta_d, beta_min } => {
                let log = (sigma * sigma).ln_1p();
                let root = (beta_min * beta_min + 2.0 * beta_d * log).sqrt();
                // the root of a quadratic, in the form that does not cancel
                if beta_min > 0.0 {
                    2.0 * log / (root + beta_min)
                } else {
                    (root - beta_min) / beta_d
                }
            }
        }
    }

    /// Relative growth of the noise, `sigma'(t) / sigma(t)`.
    #[must_use]
    pub fn growth(self, t: f64) -> f64 {
        match self {
            Self::Linear => 1.0 / t,
            Self::SquareRoot => 0.5 / t,
            Self::VariancePreserving { beta_d, beta_min } => {
                0.5 * (beta_min + beta_d * t) * (1.0 + self.sigma(t).powi(-2))
            }
        }
    }
}

/// The scaling `s(t)`. // Karras et al. 2022, table 1, "Scaling"
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// `s = 1`: the data keeps its size.
    #[default]
    None,
    /// `s = 1 / sqrt(1 + sigma^2)`: `alpha^2 + sigma^2` of the state stays 1.
    VariancePreserving,
}

/// A schedule made of a relative noise and a scaling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaledSigma {
    sigma: SigmaOfTime,
    scaling: Scaling,
    range: TimeRange,
}

impl ScaledSigma {
    /// The schedule used from relative noise `sigma_min` to `sigma_max`.
    ///
    /// # Errors
    /// When not `0 < sigma_min < sigma_max`, both finite, or `sigma` has no time for one of them.
    pub fn new(
        sigma: SigmaOfTime,
        scaling: Scaling,
        sigma_min: f64,
        sigma_max: f64,
    ) -> Result<Self, ScheduleError> {
        check_sigmas(sigma_min, sigma_max)?;
        let (clean, noisy) = (sigma.time(sigma_min), sigma.time(sigma_max));
        Ok(Self { sigma, scaling, range: TimeRange::new(clean, noisy, f64::INFINITY)? })
    }

    /// The relative noise as a function of time.
    #[must_use]
    pub fn sigma(&self) -> SigmaOfTime {
        self.sigma
    }

    /// The scaling.
    #[must_use]
    pub fn scaling(&self) -> Scaling {
        self.scaling
    }

    /// The level at relative noise `sigma`.
    #[must_use]
    pub fn level_at_sigma(&self, sigma: f64) -> NoiseLevel {
        match self.scaling {
            Scaling::None => NoiseLevel { alpha: 1.0, sigma },
            Scaling::VariancePreserving => {
                let norm = sigma.hypot(1.0);
                NoiseLevel { alpha: 1.0 / norm, sigma: sigma / norm }
            }
        }
    }
}

impl NoiseSchedule for ScaledSigma {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        self.level_at_sigma(self.sigma.sigma(t))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        self.sigma.time((-lambda).exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> Vec<ScaledSigma> {
        let fitted = SigmaOfTime::variance_preserving(0.002, 80.0, 1e-3);
        let published = SigmaOfTime::VariancePreserving { beta_d: 19.9, beta_min: 0.1 };
        let kinds = [SigmaOfTime::Linear, SigmaOfTime::SquareRoot, fitted, published];
        let scalings = [Scaling::None, Scaling::VariancePreserving];
        let pairs = kinds.iter().flat_map(|kind| scalings.iter().map(move |s| (*kind, *s)));
        pairs.map(|(kind, s)| ScaledSigma::new(kind, s, 0.002, 80.0).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn time_inverts_the_noise(share in 0.0..=1.0_f64) {
            for schedule in all() {
                let lambda = 0.002_f64.recip().ln() * share - 80.0_f64.ln() * (1.0 - share);
                let back = schedule.level(schedule.time_at_lambda(lambda)).lambda();
                prop_assert!((back - lambda).abs() < 1e-8, "{schedule:?}: {back} for {lambda}");
            }
        }

        #[test]
        fn growth_is_the_slope_of_the_log_of_the_noise(share in 0.0..=1.0_f64) {
            for schedule in all() {
                let (clean, noisy) = schedule.time_range();
                let t = clean + share * (noisy - clean);
                let log = |t: f64| schedule.sigma().sigma(t).ln();
                let step = 1e-5 * t;
                let slope = (log(t + step) - log(t - step)) / (2.0 * step);
                let growth = schedule.sigma().growth(t);
                prop_assert!((slope / growth - 1.0).abs() < 1e-5, "{schedule:?} at {t}");
            }
        }
    }

    #[test]
    fn a_fit_meets_both_ends() {
        let fitted = SigmaOfTime::variance_preserving(0.002, 80.0, 1e-3);
        assert!((fitted.sigma(1.0) / 80.0 - 1.0).abs() < 1e-12);
        assert!((fitted.sigma(1e-3) / 0.002 - 1.0).abs() < 1e-8);
    }
}
