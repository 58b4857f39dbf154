//! Divergences of normal distributions.

use tweedie_schedules::NoiseLevel;
use tweedie_score::Batch;

/// A normal distribution of one value, by the logarithm of its variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// Mean.
    pub mean: f64,
    /// Natural logarithm of the variance.
    pub log_variance: f64,
}

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
    prior_kl_of(x0.powi(2), 1.0, at, 1.0)
}

/// The same for each sample of a batch, summed over its values, from a prior of deviation `prior_std`.
#[must_use]
pub fn prior_kl_each<S: Batch>(x0: &S, at: NoiseLevel, prior_std: f64) -> Vec<f64> {
    let of_item = |square| prior_kl_of(square, x0.item_len() as f64, at, prior_std);
    x0.dot_each(x0).into_iter().map(of_item).collect()
}

/// The sum over `count` values of the data whose squares add up to `square`.
fn prior_kl_of(square: f64, count: f64, at: NoiseLevel, prior_std: f64) -> f64 {
    // Ho et al. 2020, eq. 5, L_T; the shift of the mean is linear in the square of the data
    let log = |std: f64| 2.0 * std.ln();
    let end = Normal { mean: 0.0, log_variance: log(at.sigma) };
    let spread = normal_kl(end, Normal { mean: 0.0, log_variance: log(prior_std) });
    count * spread + 0.5 * square * (at.alpha / prior_std).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

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
    fn the_prior_term_of_a_sample_is_the_sum_over_its_values_for_any_prior() {
        let at = NoiseLevel { alpha: 0.9, sigma: 3.0 };
        let x0 = arr2(&[[0.3, -1.0], [0.0, 0.7]]).into_dyn();
        let of = |x0: f64| normal_kl(normal(0.9 * x0, 3.0), normal(0.0, 3.1));
        let want = [of(0.3) + of(-1.0), of(0.0) + of(0.7)];
        for (got, want) in prior_kl_each(&x0, at, 3.1).into_iter().zip(want) {
            assert!((got - want).abs() < 1e-14, "{got}, expected {want}");
        }
    }
}
