//! Analytic-DPM: the variance of each reverse step that is right on average.
//!
//! `x_s = A x_t + B x0_hat + c z` with DDIM's `A` and `B`, and `c^2 = lambda^2 + B^2 v`: the variance
//! of the forward process's posterior and what the state leaves open about the data,
//! `v = (sigma_t / alpha_t)^2 (1 - E |eps_hat|^2 / d)`. Bao et al. 2022, theorem 1, between any two
//! times. One evaluation a step, stochastic. Derivation: docs/derivations/analytic-dpm.md.

use super::{Ddim, Predictor, StepCoefficients};
use crate::{NoiseMoments, SampleError};
use tweedie_schedules::{Interval, NoiseLevel, Posterior};
use tweedie_score::{Deviation, ReverseNoise};

/// Analytic-DDPM and Analytic-DDIM.
#[derive(Clone, Debug, PartialEq)]
pub struct AnalyticDpm {
    forward: Ddim,
    moments: NoiseMoments,
    most: f64,
    final_noise: bool,
}

impl AnalyticDpm {
    /// The optimal variance for the forward process of DDIM with noise `eta`: 0 is Analytic-DDIM, 1
    /// Analytic-DDPM.
    ///
    /// # Errors
    /// When `eta` is negative or not finite.
    pub fn new(eta: f64, moments: NoiseMoments) -> Result<Self, SampleError> {
        let forward = Ddim::new(eta)?;
        Ok(Self { forward, moments, most: f64::INFINITY, final_noise: false })
    }

    /// The same for data that lies in `[low, high]`, whose variance is then at most
    /// `((high - low) / 2)^2`: an error of the moment can do less harm.
    ///
    /// # Errors
    /// When the range is not finite or has no width.
    pub fn with_data_range(self, low: f64, high: f64) -> Result<Self, SampleError> {
        let width = high - low;
        if !(width.is_finite() && width > 0.0) {
            let (name, allowed) = ("width of the data's range", "a finite value above 0");
            return Err(SampleError::ParameterOutOfRange { name, value: width, allowed });
        }
        // Bao et al. 2022, theorem 2
        Ok(Self { most: (0.5 * width).powi(2), ..self })
    }

    /// The same with noise in a step that ends clean, too: a draw from what the last state leaves
    /// open instead of its mean. Published samplers leave it out, since it shows as grain.
    #[must_use]
    pub fn with_final_noise(self) -> Self {
        Self { final_noise: true, ..self }
    }
}

impl Predictor for AnalyticDpm {
    fn coefficients(&self, interval: Interval) -> StepCoefficients {
        let step = self.forward.coefficients(interval);
        if interval.to.level == NoiseLevel::CLEAN && !self.final_noise {
            return step;
        }
        let open = self.moments.data_variance(interval.from.level).clamp(0.0, self.most);
        // Bao et al. 2022, theorem 1
        let variance = step.noise.powi(2) + step.data.powi(2) * open;
        StepCoefficients { noise: variance.sqrt(), ..step }
    }

    fn why_not(&self, interval: Interval) -> &'static str {
        if !self.forward.coefficients(interval).x.is_finite() {
            self.forward.why_not(interval)
        } else if interval.from.level.alpha == 0.0 {
            "it starts in pure noise (alpha = 0), which leaves the data open; give the data's range"
        } else {
            "it starts at a noise level outside the range of the moments; measure them there, too"
        }
    }
}

/// What it reverses is the forward process of DDIM with its `eta`.
impl ReverseNoise for AnalyticDpm {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let noise = self.coefficients(interval).noise;
        (noise != 0.0).then_some(Deviation::Fixed(noise))
    }

    fn posterior(&self, interval: Interval) -> Posterior {
        let StepCoefficients { x, data, noise } = self.forward.coefficients(interval);
        Posterior { x, data, variance: noise.powi(2) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::TimePoint;

    fn interval(noisy: f64, clean: f64) -> Interval {
        let point = |log: f64| TimePoint { t: log, level: NoiseLevel::variance_preserving(-log) };
        Interval { from: point(noisy), to: point(clean) }
    }

    fn moment(at: TimePoint, value: f64) -> NoiseMoments {
        NoiseMoments::new(&[at.level], &[value]).unwrap()
    }

    proptest! {
        #[test]
        fn the_variance_lies_within_both_published_bounds(
            noisy in 1e-5..6.0, share in 0.001..0.999, eta in 0.0..=1.0, value in 0.0..=1.0,
        ) {
            let interval = interval(noisy, noisy * share);
            let (t, s) = (interval.from.level, interval.to.level);
            let method = AnalyticDpm::new(eta, moment(interval.from, value)).unwrap();
            let ranged = method.clone().with_data_range(-1.0, 1.0).unwrap();
            let least = Ddim::new(eta).unwrap().coefficients(interval).noise.powi(2);

            // Bao et al. 2022, theorem 2: its two upper bounds, for any data and for data in [-1, 1]
            let kept = (s.sigma.powi(2) - least).max(0.0).sqrt();
            let any = least + (s.alpha * t.sigma / t.alpha - kept).powi(2);
            let bounded = least + (s.alpha - kept * t.alpha / t.sigma).powi(2);
            let slack = 1.0 + 1e-6; // the bounds as published cancel
            let variance = method.coefficients(interval).noise.powi(2);
            prop_assert!(least <= variance * slack && variance <= any * slack + 1e-9, "{variance}");
            let variance = ranged.coefficients(interval).noise.powi(2);
            prop_assert!(least <= variance * slack && variance <= bounded * slack + 1e-9, "{variance}");
        }
    }

    #[test]
    fn a_moment_of_one_is_ddim_and_less_adds_noise() {
        let interval = interval(0.7, 0.2);
        let ddim = Ddim::new(0.0).unwrap().coefficients(interval);
        let noise = |value| {
            let method = AnalyticDpm::new(0.0, moment(interval.from, value)).unwrap();
            let step = method.coefficients(interval);
            assert_eq!((step.x, step.data), (ddim.x, ddim.data));
            step.noise
        };
        assert_eq!(noise(1.0), 0.0);
        assert!(0.0 < noise(0.9) && noise(0.9) < noise(0.5));
    }

    #[test]
    fn the_last_step_adds_no_noise_unless_asked() {
        let to = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
        let interval = Interval { to, ..interval(0.1, 0.05) };
        let method = AnalyticDpm::new(1.0, moment(interval.from, 0.36)).unwrap();
        assert_eq!(method.coefficients(interval).noise, 0.0);
        let NoiseLevel { alpha, sigma } = interval.from.level;
        let step = method.with_final_noise().coefficients(interval);
        assert!((step.noise - 0.8 * sigma / alpha).abs() < 1e-15);
    }

    #[test]
    fn pure_noise_needs_the_range_of_the_data() {
        let from = TimePoint { t: 1.0, level: NoiseLevel { alpha: 0.0, sigma: 1.0 } };
        let interval = Interval { from, ..interval(0.7, 0.2) };
        let method = AnalyticDpm::new(1.0, moment(from, 1.0)).unwrap();
        assert!(!method.coefficients(interval).noise.is_finite());
        let step = method.with_data_range(-1.0, 1.0).unwrap().coefficients(interval);
        // nothing is known: the state is drawn anew, of variance sigma_s^2 and that of the data
        assert!((step.noise.powi(2) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_range_without_width_is_refused() {
        let method = AnalyticDpm::new(1.0, moment(interval(0.7, 0.2).from, 0.5)).unwrap();
        assert!(method.clone().with_data_range(1.0, 1.0).is_err());
        assert!(method.with_data_range(-1.0, f64::INFINITY).is_err());
    }
}
