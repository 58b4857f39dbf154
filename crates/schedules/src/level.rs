//! How much signal and how much noise a state holds.

use serde::{Deserialize, Serialize};

/// The two coefficients of `x = alpha x_0 + sigma eps`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseLevel {
    /// Signal coefficient, `sqrt(alpha_bar)` in DDPM's terms.
    pub alpha: f64,
    /// Noise standard deviation.
    pub sigma: f64,
}

impl NoiseLevel {
    /// Data itself: no noise.
    pub const CLEAN: Self = Self { alpha: 1.0, sigma: 0.0 };

    /// The variance-preserving level of a given `ln alpha` (not above 0): `sigma^2 = 1 - alpha^2`.
    ///
    /// # Precision
    /// `sigma` keeps full relative precision for `alpha` near 1, where `1 - alpha^2` would cancel.
    #[must_use]
    pub fn variance_preserving(log_alpha: f64) -> Self {
        Self { alpha: log_alpha.exp(), sigma: (-(2.0 * log_alpha).exp_m1()).sqrt() }
    }

    /// The variance-preserving level at which half the log signal-to-noise ratio is `lambda`.
    ///
    /// # Precision
    /// Both coefficients keep full relative precision for every lambda; infinite ones give the clean
    /// level and pure noise.
    #[must_use]
    pub fn variance_preserving_at_lambda(lambda: f64) -> Self {
        let side = |twice: f64| (1.0 + twice.exp()).recip().sqrt();
        Self { alpha: side(-2.0 * lambda), sigma: side(2.0 * lambda) }
    }

    /// Noise-to-signal ratio `sigma / alpha`: what Karras et al. call sigma; infinite for pure noise.
    #[must_use]
    pub fn noise_to_signal(self) -> f64 {
        self.sigma / self.alpha
    }

    /// Half the log signal-to-noise ratio, `ln(alpha / sigma)`; infinite for a clean level.
    #[must_use]
    pub fn lambda(self) -> f64 {
        self.alpha.ln() - self.sigma.ln()
    }

    /// Signal-to-noise ratio, `alpha^2 / sigma^2`.
    #[must_use]
    pub fn snr(self) -> f64 {
        (self.alpha / self.sigma).powi(2)
    }

    /// Whether both coefficients are finite, not negative, and not both zero.
    #[must_use]
    pub fn is_valid(self) -> bool {
        let allowed = |value: f64| value.is_finite() && value >= 0.0;
        allowed(self.alpha) && allowed(self.sigma) && self.alpha + self.sigma > 0.0
    }
}

/// `ln alpha` of the variance-preserving level with this lambda: `alpha^2 = 1 / (1 + exp(-2 lambda))`.
pub(crate) fn log_alpha_at_lambda(lambda: f64) -> f64 {
    -0.5 * softplus(-2.0 * lambda)
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variance_preserving_level_preserves_variance() {
        for log_alpha in [-1e-12, -1e-3, -1.0, -20.0] {
            let level = NoiseLevel::variance_preserving(log_alpha);
            assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn sigma_does_not_cancel_near_the_data() {
        let level = NoiseLevel::variance_preserving(-1e-18);
        assert!((level.sigma / 2e-18_f64.sqrt() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn lambda_is_half_the_log_snr() {
        let level = NoiseLevel { alpha: 0.6, sigma: 0.8 };
        assert!((level.lambda() - 0.5 * level.snr().ln()).abs() < 1e-15);
        assert_eq!(NoiseLevel::CLEAN.lambda(), f64::INFINITY);
    }

    #[test]
    fn a_level_can_be_had_from_its_lambda() {
        for lambda in [-40.0, -3.0, 0.0, 0.7, 25.0] {
            let level = NoiseLevel::variance_preserving_at_lambda(lambda);
            assert!((level.lambda() - lambda).abs() < 1e-13, "{lambda}");
            assert!((level.alpha.powi(2) + level.sigma.powi(2) - 1.0).abs() < 1e-15, "{lambda}");
            assert!((level.noise_to_signal() / (-lambda).exp() - 1.0).abs() < 1e-13, "{lambda}");
        }
        let clean = NoiseLevel::variance_preserving_at_lambda(f64::INFINITY);
        assert_eq!(clean, NoiseLevel::CLEAN);
    }
}
