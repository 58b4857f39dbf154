//! Published tables of betas, the variances that a discrete forward process adds at each step.

use crate::ScheduleError;

/// Betas in equal steps from `start` to `end`, both included.
///
/// # Errors
/// When `count` is 0 or an end lies outside (0, 1).
pub fn linear_betas(count: usize, start: f64, end: f64) -> Result<Vec<f64>, ScheduleError> {
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
    // Ho et al. 2020, sec. 4
    Ok((0..count).map(|i| start + (end - start) * i as f64 / last).collect())
}

/// Betas of the cosine schedule, `alpha_bar(u) = cos^2((u + s) / (1 + s) pi / 2)` with `s = 0.008`.
///
/// The last betas are held at 0.999, since the formula would reach 1.
///
/// # Errors
/// When `count` is 0.
pub fn cosine_betas(count: usize) -> Result<Vec<f64>, ScheduleError> {
    if count == 0 {
        return Err(ScheduleError::EmptyTable);
    }
    let angle = |u: f64| (u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
    let beta = |i: usize| {
        let now = angle(i as f64 / count as f64);
        let next = angle((i + 1) as f64 / count as f64);
        // Nichol and Dhariwal 2021, eq. 17; cos^2 a - cos^2 b = sin(b - a) sin(b + a) does not cancel
        ((next - now).sin() * (next + now).sin() / now.cos().powi(2)).min(0.999)
    };
    Ok((0..count).map(beta).collect())
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
    fn cosine_betas_are_those_of_the_formula() {
        let bar = |u: f64| ((u + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        let betas = cosine_betas(1000).unwrap();
        for i in [0, 1, 500, 900] {
            let direct = 1.0 - bar((i + 1) as f64 / 1000.0) / bar(i as f64 / 1000.0);
            assert!((betas[i] - direct).abs() < 1e-13, "beta[{i}] is {}", betas[i]);
        }
        assert_eq!(betas[999], 0.999);
        assert!((betas[0] - 4.128e-5).abs() < 1e-8);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        assert_eq!(linear_betas(0, 0.1, 0.2), Err(ScheduleError::EmptyTable));
        let error = linear_betas(10, 0.1, 1.2).unwrap_err();
        assert_eq!(error.to_string(), "beta_end is 1.2, expected a value in (0, 1)");
    }
}
