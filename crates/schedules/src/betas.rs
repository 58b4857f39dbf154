//! Published tables of betas, the variances that a discrete forward process adds at each step.

use crate::ScheduleError;
use std::f64::consts::FRAC_PI_2;

/// Betas in equal steps from `start` to `end`, both included (published with 1e-4 and 0.02).
///
/// # Errors
/// When `count` is 0 or an end lies outside (0, 1).
pub fn linear_betas(count: usize, start: f64, end: f64) -> Result<Vec<f64>, ScheduleError> {
    let share = between(count, start, end)?;
    // Ho et al. 2020, sec. 4
    Ok((0..count).map(|i| start + (end - start) * share(i)).collect())
}

/// Linear betas whose ends shrink as the table grows, from `0.1 / count` to `20 / count`, so that a
/// table of any length adds the noise of DDPM's 1000 steps.
///
/// # Errors
/// When `count` is 20 or less: the last beta would reach 1.
pub fn length_scaled_linear_betas(count: usize) -> Result<Vec<f64>, ScheduleError> {
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    linear_betas(count, 0.1 / count as f64, 20.0 / count as f64) // Song et al. 2021, appendix C
}

/// Betas whose square roots grow in equal steps from that of `start` to that of `end`: the quadratic
/// table of DDIM's code, the scaled linear one of latent diffusion.
///
/// # Errors
/// As [`linear_betas`].
pub fn quadratic_betas(count: usize, start: f64, end: f64) -> Result<Vec<f64>, ScheduleError> {
    let share = between(count, start, end)?;
    let (low, high) = (start.sqrt(), end.sqrt());
    Ok((0..count).map(|i| (low + (high - low) * share(i)).powi(2)).collect())
}

/// Betas that grow from near `start` to near `end` along the logistic function over `[-6, 6]`.
///
/// # Errors
/// As [`linear_betas`].
pub fn sigmoid_betas(count: usize, start: f64, end: f64) -> Result<Vec<f64>, ScheduleError> {
    let share = between(count, start, end)?;
    let logistic = |x: f64| (1.0 + (-x).exp()).recip();
    Ok((0..count).map(|i| start + (end - start) * logistic(12.0 * share(i) - 6.0)).collect())
}

/// The same beta at each step.
///
/// # Errors
/// As [`linear_betas`].
pub fn constant_betas(count: usize, beta: f64) -> Result<Vec<f64>, ScheduleError> {
    linear_betas(count, beta, beta)
}

/// Betas that grow in equal steps from `start` to `end` over the first `share` of the table and stay
/// there (published with shares 0.1 and 0.5).
///
/// # Errors
/// As [`linear_betas`], and when `share` lies outside [0, 1].
pub fn warmup_betas(
    count: usize,
    start: f64,
    end: f64,
    share: f64,
) -> Result<Vec<f64>, ScheduleError> {
    if !(0.0..=1.0).contains(&share) {
        let allowed = "a value in [0, 1]";
        return Err(ScheduleError::ParameterOutOfRange { name: "share", value: share, allowed });
    }
    let mut betas = constant_betas(count, end)?;
    let warm = (count as f64 * share) as usize;
    if warm > 0 {
        betas[..warm].copy_from_slice(&linear_betas(warm, start, end)?);
    }
    Ok(betas)
}

/// `1/N, 1/(N-1), ..., 1`: each step takes an equal part of `alpha_bar`, which falls in a straight
/// line and ends at exactly 0.
///
/// # Errors
/// When `count` is 0.
pub fn jsd_betas(count: usize) -> Result<Vec<f64>, ScheduleError> {
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    // Sohl-Dickstein et al. 2015, sec. 2.4.1
    Ok((0..count).map(|i| ((count - i) as f64).recip()).collect())
}

/// Betas of the cosine schedule, `alpha_bar(u) = cos^2((u + s) / (1 + s) pi / 2)` with `s = 0.008`.
///
/// The last betas are held at 0.999, since the formula would reach 1.
///
/// # Errors
/// When `count` is 0.
pub fn cosine_betas(count: usize) -> Result<Vec<f64>, ScheduleError> {
    cosine_betas_with(count, 0.008, 0.999)
}

/// Betas of the cosine schedule with offset `s`, held at `max_beta`; with 1 the table ends at
/// `alpha_bar = 0`.
///
/// # Errors
/// When `count` is 0, `offset` is negative or not finite, or `max_beta` lies outside (0, 1].
pub fn cosine_betas_with(
    count: usize,
    offset: f64,
    max_beta: f64,
) -> Result<Vec<f64>, ScheduleError> {
    let fault =
        |name, value, allowed| Err(ScheduleError::ParameterOutOfRange { name, value, allowed });
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    if !(offset >= 0.0 && offset.is_finite()) {
        return fault("offset", offset, "a finite value >= 0");
    }
    if !(max_beta > 0.0 && max_beta <= 1.0) {
        return fault("max_beta", max_beta, "a value in (0, 1]");
    }
    let angle = |u: f64| (u + offset) / (1.0 + offset) * FRAC_PI_2;
    let beta = |i: usize| {
        let now = angle(i as f64 / count as f64);
        let next = angle((i + 1) as f64 / count as f64);
        // Nichol and Dhariwal 2021, eq. 17; cos^2 a - cos^2 b = sin(b - a) sin(b + a) does not cancel
        ((next - now).sin() * (next + now).sin() / now.cos().powi(2)).min(max_beta)
    };
    Ok((0..count).map(beta).collect())
}

/// Betas of the Laplace schedule as diffusers tabulates it: `alpha_bar(u) = sqrt(r / (1 + r))`, where `r` falls
/// from `1 / sqrt(w)` over the first half to `sqrt(w)` over the second, with `w = 1 - |1 - 2 u| + 1e-6`. Most of
/// its levels lie about the middle one.
///
/// The betas are held at 0.999.
///
/// # Errors
/// When `count` is 0.
pub fn laplace_betas(count: usize) -> Result<Vec<f64>, ScheduleError> {
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    let alpha_bar = |i: usize| {
        let u = i as f64 / count as f64;
        let root = (1.0 - (1.0 - 2.0 * u).abs() + 1e-6).sqrt();
        let ratio = if u <= 0.5 { root.recip() } else { root };
        (ratio / (1.0 + ratio)).sqrt()
    };
    Ok((0..count).map(|i| (1.0 - alpha_bar(i + 1) / alpha_bar(i)).min(0.999)).collect())
}

/// Checks the ends of a table that grows between them; gives back how far step `i` has come, 0 to 1.
fn between(count: usize, start: f64, end: f64) -> Result<impl Fn(usize) -> f64, ScheduleError> {
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    for (name, value) in [("beta_start", start), ("beta_end", end)] {
        if !(value > 0.0 && value < 1.0) {
            let allowed = "a value in (0, 1)";
            return Err(ScheduleError::ParameterOutOfRange { name, value, allowed });
        }
    }
    let last = (count - 1).max(1) as f64;
    Ok(move |i| i as f64 / last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_betas_hit_both_ends() {
        let betas = linear_betas(1000, 1e-4, 0.02).unwrap();
        assert_eq!((betas[0], betas.len()), (1e-4, 1000));
        assert!((betas[999] - 0.02).abs() < 1e-17);
        assert_eq!(linear_betas(1, 0.1, 0.2).unwrap(), vec![0.1]);
    }

    #[test]
    fn length_scaled_betas_are_those_of_ddpm_at_a_thousand() {
        let (scaled, plain) = (length_scaled_linear_betas(1000), linear_betas(1000, 1e-4, 0.02));
        for (a, b) in scaled.unwrap().iter().zip(plain.unwrap()) {
            assert!((a - b).abs() < 1e-17);
        }
        assert!(length_scaled_linear_betas(20).is_err());
        assert!(length_scaled_linear_betas(0).is_err());
    }

    #[test]
    fn quadratic_betas_are_linear_in_their_roots() {
        let betas = quadratic_betas(11, 0.01, 0.04).unwrap();
        assert!((betas[5] - 0.15_f64.powi(2)).abs() < 1e-16);
        assert!((betas[10] - 0.04).abs() < 1e-16);
    }

    #[test]
    fn sigmoid_betas_are_symmetric_about_the_middle() {
        let betas = sigmoid_betas(101, 0.1, 0.2).unwrap();
        assert!((betas[50] - 0.15).abs() < 1e-15);
        for i in 0..101 {
            assert!((betas[i] + betas[100 - i] - 0.3).abs() < 1e-15);
        }
        assert!((betas[0] - (0.1 + 0.1 / (1.0 + 6.0_f64.exp()))).abs() < 1e-15);
    }

    #[test]
    fn warmup_grows_and_then_stays() {
        let betas = warmup_betas(10, 0.1, 0.3, 0.5).unwrap();
        for (got, expected) in
            betas.iter().zip([0.1, 0.15, 0.2, 0.25, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3])
        {
            assert!((got - expected).abs() < 1e-15, "{betas:?}");
        }
        assert_eq!(warmup_betas(3, 0.1, 0.3, 0.1).unwrap(), constant_betas(3, 0.3).unwrap());
        assert!(warmup_betas(3, 0.1, 0.3, 1.5).is_err());
    }

    #[test]
    fn jsd_takes_equal_parts_of_alpha_bar() {
        let mut alpha_bar = 1.0;
        for (i, beta) in jsd_betas(8).unwrap().into_iter().enumerate() {
            alpha_bar *= 1.0 - beta;
            assert!((alpha_bar - (7 - i) as f64 / 8.0).abs() < 1e-15);
        }
    }

    #[test]
    fn cosine_betas_are_those_of_the_formula() {
        let bar = |u: f64| ((u + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
        let betas = cosine_betas(1000).unwrap();
        for i in [0, 1, 500, 900] {
            let direct = 1.0 - bar((i + 1) as f64 / 1000.0) / bar(i as f64 / 1000.0);
            assert!((betas[i] - direct).abs() < 1e-13, "beta[{i}] is {}", betas[i]);
        }
        assert_eq!(betas[999], 0.999);
        assert!((betas[0] - 4.128e-5).abs() < 1e-8);
    }

    #[test]
    fn an_uncapped_cosine_ends_at_one() {
        let betas = cosine_betas_with(100, 0.008, 1.0).unwrap();
        assert!(betas[98] < 1.0);
        assert_eq!(betas[99], 1.0);
        assert_eq!(cosine_betas_with(100, 0.008, 0.02).unwrap()[99], 0.02);
    }

    #[test]
    fn laplace_betas_are_those_of_diffusers() {
        let betas = laplace_betas(8).unwrap();
        let recorded = [
            0.1830955445766449,
            0.06262073665857315,
            0.04352947697043419,
            0.034074146300554276,
            0.03656666353344917,
            0.05527443811297417,
            0.10292784124612808,
            0.9452551603317261,
        ];
        for (beta, recorded) in betas.iter().zip(recorded) {
            assert!((beta - recorded).abs() < 1e-7, "{beta}, expected {recorded}");
        }
        assert!(laplace_betas(0).is_err());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(linear_betas(0, 0.1, 0.2), Err(ScheduleError::EmptyTable));
        let error = linear_betas(10, 0.1, 1.2).unwrap_err();
        assert_eq!(error.to_string(), "beta_end is 1.2, expected a value in (0, 1)");
        assert!(sigmoid_betas(10, 0.0, 0.2).is_err());
        assert!(cosine_betas_with(10, -1.0, 0.999).is_err());
        assert!(cosine_betas_with(10, 0.008, 1.5).is_err());
    }
}
