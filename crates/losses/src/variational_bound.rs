//! Terms of the variational bound on the likelihood, value by value, in nats.
//!
//! `-ln p(x_0) <= L_T + sum of L_t + L_0` (Ho et al. 2020, eq. 5): how far the end of the forward process
//! is from the prior ([`prior_kl`]), how far each reverse step is from the posterior ([`normal_kl`]),
//! and how well the last step tells the 8-bit value ([`discretized_normal_log_likelihood`]).

use tweedie_schedules::NoiseLevel;

/// A normal distribution of one value, by the logarithm of its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// Mean.
    pub mean: f64,
    /// Natural logarithm of the variance.
    pub log_variance: f64,
}

/// How the distribution function of the normal distribution is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormalCdf {
    /// By the error function, exact to rounding.
    #[default]
    Exact,
    /// By a hyperbolic tangent, off by up to 2e-4: what the published bounds were computed with.
    Tanh,
}

impl NormalCdf {
    fn at(self, x: f64) -> f64 {
        match self {
            Self::Exact => 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
            Self::Tanh => {
                let argument = std::f64::consts::FRAC_2_PI.sqrt() * (x + 0.044715 * x.powi(3));
                0.5 * (1.0 + argument.tanh())
            }
        }
    }
}

/// Half the distance of two neighbouring 8-bit values scaled to `[-1, 1]`.
const HALF_BIN: f64 = 1.0 / 255.0;
/// Values beyond this are the outermost ones, whose bins reach to infinity.
const EDGE: f64 = 0.999;
/// The least probability that a bin is given.
const FLOOR: f64 = 1e-12;

/// The Kullback-Leibler divergence of `from` from `to`, in nats.
#[must_use]
pub fn normal_kl(from: Normal, to: Normal) -> f64 {
    let excess = from.log_variance - to.log_variance;
    let shift = (from.mean - to.mean).powi(2) * (-to.log_variance).exp();
    0.5 * (excess.exp_m1() - excess + shift) // exp_m1: equal variances cancel exactly
}

/// The divergence, in nats, of the end of the forward process, where a value `x0` of the data has become
/// noise of this level, from the standard normal prior.
#[must_use]
pub fn prior_kl(x0: f64, at: NoiseLevel) -> f64 {
    // Ho et al. 2020, eq. 5, L_T
    let end = Normal { mean: at.alpha * x0, log_variance: 2.0 * at.sigma.ln() };
    normal_kl(end, Normal { mean: 0.0, log_variance: 0.0 })
}

/// The log probability, in nats, that a normal variable falls into the bin of `x`, an 8-bit value
/// scaled to `[-1, 1]`; no less than that of probability 1e-12.
#[must_use]
pub fn discretized_normal_log_likelihood(x: f64, normal: Normal, cdf: NormalCdf) -> f64 {
    let per_std = (-0.5 * normal.log_variance).exp();
    let upper = (x - normal.mean + HALF_BIN) * per_std;
    let lower = (x - normal.mean - HALF_BIN) * per_std;
    // Ho et al. 2020, eq. 13
    let probability = if x < -EDGE {
        cdf.at(upper)
    } else if x > EDGE {
        1.0 - cdf.at(lower)
    } else {
        cdf.at(upper) - cdf.at(lower)
    };
    probability.max(FLOOR).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(mean: f64, std: f64) -> Normal {
        Normal { mean, log_variance: 2.0 * std.ln() }
    }

    #[test]
    fn the_divergence_is_the_mean_of_the_log_ratio() {
        let (from, to) = (normal(0.3, 0.7), normal(-0.2, 1.1));
        let log = |x: f64, n: Normal| {
            -0.5 * (n.log_variance + (x - n.mean).powi(2) / n.log_variance.exp())
        };
        // the trapezoidal rule, exact to rounding for what vanishes at both ends
        let step = 1e-3;
        let point = |k: i32| 0.3 + 0.7 * step * f64::from(k);
        let density = |x: f64| (log(x, from)).exp() / std::f64::consts::TAU.sqrt();
        let integrand = |x: f64| density(x) * (log(x, from) - log(x, to)) * 0.7 * step;
        let mean: f64 = (-12_000..=12_000).map(|k| integrand(point(k))).sum();
        assert!((normal_kl(from, to) - mean).abs() < 1e-12, "{mean}");
        assert_eq!(normal_kl(from, from), 0.0);
    }

    #[test]
    fn pure_noise_is_the_prior() {
        assert_eq!(prior_kl(0.8, NoiseLevel { alpha: 0.0, sigma: 1.0 }), 0.0);
        assert!(prior_kl(0.8, NoiseLevel { alpha: 0.1, sigma: 0.99_f64.sqrt() }) > 0.0);
    }

    #[test]
    fn the_probabilities_of_all_values_add_up_to_one() {
        for cdf in [NormalCdf::Exact, NormalCdf::Tanh] {
            let value = |k: i32| f64::from(2 * k - 255) / 255.0;
            let at = |k| discretized_normal_log_likelihood(value(k), normal(0.35, 0.5), cdf).exp();
            let total: f64 = (0..=255).map(at).sum();
            assert!((total - 1.0).abs() < 1e-12, "{cdf:?}: {total}");
        }
    }

    #[test]
    fn the_approximation_is_as_close_as_stated() {
        let off = |k: i32| {
            let x = f64::from(k) / 100.0;
            (NormalCdf::Exact.at(x) - NormalCdf::Tanh.at(x)).abs()
        };
        let worst = (-600..=600).map(off).fold(0.0, f64::max);
        assert!(worst < 2e-4 && worst > 1e-4, "{worst}");
    }

    #[test]
    fn an_impossible_value_has_the_least_probability() {
        let log = discretized_normal_log_likelihood(0.9, normal(-0.9, 0.01), NormalCdf::Exact);
        assert_eq!(log, 1e-12_f64.ln());
    }
}
