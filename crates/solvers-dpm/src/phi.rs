//! The phi functions of exponential integrators.
//!
//! `phi_0(z) = e^z` and `phi_{k+1}(z) = (phi_k(z) - 1/k!) / z`; as integrals, for `k > 0`,
//! `phi_k(z) = integral over [0, 1] of e^((1-u) z) u^(k-1) / (k-1)! du`. They weigh the Taylor
//! coefficients of a network's prediction over one step (Lu et al. 2022, app. B).

/// `phi_k(z)`.
///
/// At minus infinity it is 0; at infinity it is infinite.
///
/// # Precision
/// A few units in the last place for small `k`, near `z = 0` too: there the definition would lose all
/// digits, and the series `sum of z^n / (n + k)!` takes its place.
#[must_use]
pub fn phi(k: usize, z: f64) -> f64 {
    let inverse_factorial = |k: usize| 1.0 / (1..=k).map(|i| i as f64).product::<f64>();
    match k {
        _ if z == f64::INFINITY => z,
        0 => z.exp(),
        1 if z != 0.0 => z.exp_m1() / z,
        // up to here no term of the series exceeds the one before it
        k if z.abs() <= (k + 1) as f64 => series(k, z, inverse_factorial(k)),
        k => (phi(k - 1, z) - inverse_factorial(k - 1)) / z, // Lu et al. 2022, app. B
    }
}

fn series(k: usize, z: f64, first: f64) -> f64 {
    let (mut term, mut sum) = (first, first);
    for n in 1.. {
        term *= z / (n + k) as f64;
        sum += term;
        if term.abs() <= f64::EPSILON * 0.25 * sum.abs() {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The series in fixed point with 80 binary digits, at `z = p / 1024`, `|z| <= 16`.
    fn exact(k: u32, p: i64) -> f64 {
        let one = 1_i128 << 80;
        let mut term = (1..=i128::from(k)).fold(one, |term, i| term / i);
        let mut sum = term;
        for n in 1..200 {
            term = term * i128::from(p) / (1024 * i128::from(n + k));
            sum += term;
        }
        sum as f64 / one as f64
    }

    proptest! {
        #[test]
        fn phi_is_the_series_of_high_precision(k in 0_u32..6, p in -16 * 1024_i64..=16 * 1024) {
            let (got, expected) = (phi(k as usize, p as f64 / 1024.0), exact(k, p));
            let error = (got / expected - 1.0).abs();
            prop_assert!(error < 2e-14, "phi_{k}({}) is {got}, not {expected}", p as f64 / 1024.0);
        }

        #[test]
        fn phi_keeps_its_digits_near_zero(k in 1_usize..6, exponent in -300_i32..-9) {
            let z = 10_f64.powi(exponent);
            let factorial: f64 = (1..=k).map(|i| i as f64).product();
            for z in [z, -z] {
                let two_terms = (1.0 + z / (k + 1) as f64) / factorial;
                prop_assert!((phi(k, z) / two_terms - 1.0).abs() < 4e-16, "phi_{k}({z})");
            }
        }
    }

    #[test]
    fn phi_has_its_limits_at_zero_and_at_infinity() {
        assert_eq!([0, 1, 2, 3].map(|k| phi(k, 0.0)), [1.0, 1.0, 0.5, 1.0 / 6.0]);
        assert_eq!([0, 1, 2, 3].map(|k| phi(k, f64::NEG_INFINITY)), [0.0; 4]);
        assert_eq!([0, 1, 2, 3].map(|k| phi(k, f64::INFINITY)), [f64::INFINITY; 4]);
    }
}
