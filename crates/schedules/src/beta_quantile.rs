//! The quantile of the beta distribution, for grids that are dense at both ends.

/// The `share`-quantile of the beta distribution with parameters `a` and `b`: a point in `[0, 1]`.
///
/// Noise levels at quantiles of a beta distribution with `a = b = 0.6` crowd at both ends of the
/// range (Lee et al. 2024, sec. 4).
///
/// # Panics
/// When a parameter is not positive and finite.
#[must_use]
pub fn beta_quantile(share: f64, a: f64, b: f64) -> f64 {
    let allowed = |value: f64| value > 0.0 && value.is_finite();
    assert!(allowed(a) && allowed(b), "beta distribution of parameters {a}, {b}");
    // bisection: the distribution is monotonous, and neighbouring floats bound the work
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    if share <= 0.0 || share >= 1.0 {
        return share.clamp(low, high);
    }
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if probability(middle, a, b) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
}

/// The regularized incomplete beta function `I_x(a, b)`.
fn probability(x: f64, a: f64, b: f64) -> f64 {
    // the continued fraction converges fast below the mean, and I_x(a, b) = 1 - I_(1-x)(b, a)
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - probability(1.0 - x, b, a);
    }
    let gammas = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    let front = (gammas + a * x.ln() + b * (-x).ln_1p()).exp();
    front / (a * fraction(x, a, b))
}

/// The continued fraction of the incomplete beta function, by its convergents from the far end.
/// Abramowitz and Stegun 1964, eq. 26.5.8.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TERMS: u32 = 100;
    (1..=TERMS).rev().map(f64::from).fold(1.0, |tail, k| {
        let m = (k / 2.0).floor();
        let term = if k % 2.0 == 0.0 {
            m * (b - m) / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        1.0 + term * x / tail
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn closed_forms() {
        for share in [0.01, 0.3, 0.5, 0.9] {
            assert!((beta_quantile(share, 1.0, 1.0) - share).abs() < 1e-14);
            assert!((beta_quantile(share, 2.0, 1.0) - share.sqrt()).abs() < 1e-14);
            let arcsine = (0.5 * std::f64::consts::PI * share).sin().powi(2);
            assert!((beta_quantile(share, 0.5, 0.5) - arcsine).abs() < 1e-13);
        }
        assert_eq!([beta_quantile(0.0, 0.6, 0.6), beta_quantile(1.0, 0.6, 0.6)], [0.0, 1.0]);
    }

    proptest! {
        #[test]
        fn a_symmetric_distribution_has_symmetric_quantiles(share in 0.001..0.999_f64) {
            let sum = beta_quantile(share, 0.6, 0.6) + beta_quantile(1.0 - share, 0.6, 0.6);
            prop_assert!((sum - 1.0).abs() < 1e-12);
        }
    }
}
