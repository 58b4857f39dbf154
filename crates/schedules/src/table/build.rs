//! Tables from betas, from `alpha_bar`, and by the published formulas.

use super::{BelowFirst, DiscreteTable};
use crate::schedule::TimeRange;
use crate::{
    ScheduleError, constant_betas, cosine_betas, jsd_betas, laplace_betas,
    length_scaled_linear_betas, linear_betas, quadratic_betas, sigmoid_betas,
};

impl DiscreteTable {
    /// The table that a list of betas leads to: `alpha_bar_i` is the product of `1 - beta_j` up to `i`.
    ///
    /// # Errors
    /// When the list is empty, a beta lies outside (0, 1) or is too small to change `alpha_bar`; the
    /// last may be 1, which ends the table at `alpha_bar = 0`.
    ///
    /// # Precision
    /// The product is a sum of `ln_1p(-beta)`, so `sigma` is exact to rounding for tiny betas.
    pub fn from_betas(betas: &[f64]) -> Result<Self, ScheduleError> {
        let last = betas.len().checked_sub(1).ok_or(ScheduleError::EmptyTable)?;
        let allowed =
            |index, beta: f64| (beta > 0.0 && beta < 1.0) || (beta == 1.0 && index == last);
        if let Some((index, value)) = first_outside(betas, allowed) {
            return Err(ScheduleError::BetaOutOfRange { index, value });
        }
        let log_alphas = betas.iter().scan(0.0, |sum, beta| {
            *sum += 0.5 * (-beta).ln_1p(); // Ho et al. 2020, eq. 4
            Some(*sum)
        });
        let table = Self::from_log_alphas(log_alphas.collect());
        match table.log_alphas.windows(2).position(|pair| pair[0] == pair[1]) {
            None => Ok(table),
            Some(before) => Err(ScheduleError::BetaTooSmall {
                index: before + 1,
                value: betas[before + 1],
                alpha_bar: table.alpha_bar(before)?,
            }),
        }
    }

    /// The table of these values of `alpha_bar = alpha^2`, the cleanest first.
    ///
    /// # Errors
    /// When the list is empty or does not fall strictly within (0, 1); the last may be 0.
    pub fn from_alpha_bars(alpha_bars: &[f64]) -> Result<Self, ScheduleError> {
        let last = alpha_bars.len().checked_sub(1).ok_or(ScheduleError::EmptyTable)?;
        let above = |index: usize| if index == 0 { 1.0 } else { alpha_bars[index - 1] };
        let allowed = |index, value: f64| {
            value < above(index) && (value > 0.0 || (value == 0.0 && index == last))
        };
        if let Some((index, value)) = first_outside(alpha_bars, allowed) {
            return Err(ScheduleError::AlphaBarOutOfRange { index, value, above: above(index) });
        }
        Ok(Self::from_log_alphas(alpha_bars.iter().map(|value| 0.5 * value.ln()).collect()))
    }

    /// A table known to be in order, over the whole of its time.
    pub(super) fn from_log_alphas(log_alphas: Vec<f64>) -> Self {
        let full_len = log_alphas.len();
        let range = TimeRange::known(1.0 / full_len as f64, 1.0);
        Self { log_alphas, full_len, range, below_first: BelowFirst::default() }
    }

    /// DDPM's table: betas in equal steps.
    ///
    /// # Errors
    /// As [`linear_betas`].
    pub fn linear(count: usize, start: f64, end: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(&linear_betas(count, start, end)?)
    }

    /// DDPM's table at any length, with the noise of its 1000 steps.
    ///
    /// # Errors
    /// As [`length_scaled_linear_betas`].
    pub fn length_scaled_linear(count: usize) -> Result<Self, ScheduleError> {
        Self::from_betas(&length_scaled_linear_betas(count)?)
    }

    /// The quadratic (also called scaled linear) table: square roots of betas in equal steps.
    ///
    /// # Errors
    /// As [`quadratic_betas`].
    pub fn quadratic(count: usize, start: f64, end: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(&quadratic_betas(count, start, end)?)
    }

    /// The sigmoid table.
    ///
    /// # Errors
    /// As [`sigmoid_betas`].
    pub fn sigmoid(count: usize, start: f64, end: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(&sigmoid_betas(count, start, end)?)
    }

    /// The Laplace table.
    ///
    /// # Errors
    /// As [`laplace_betas`].
    pub fn laplace(count: usize) -> Result<Self, ScheduleError> {
        Self::from_betas(&laplace_betas(count)?)
    }

    /// The table of one beta throughout.
    ///
    /// # Errors
    /// As [`constant_betas`].
    pub fn constant(count: usize, beta: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(&constant_betas(count, beta)?)
    }

    /// The table whose `alpha_bar` falls in a straight line to 0.
    ///
    /// # Errors
    /// As [`jsd_betas`].
    pub fn jsd(count: usize) -> Result<Self, ScheduleError> {
        Self::from_betas(&jsd_betas(count)?)
    }

    /// Improved DDPM's table: a cosine in `alpha_bar`.
    ///
    /// # Errors
    /// As [`cosine_betas`].
    pub fn cosine(count: usize) -> Result<Self, ScheduleError> {
        Self::from_betas(&cosine_betas(count)?)
    }
}

fn first_outside(values: &[f64], allowed: impl Fn(usize, f64) -> bool) -> Option<(usize, f64)> {
    values.iter().copied().enumerate().find(|(index, value)| !allowed(*index, *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_the_same_from_betas_and_from_alpha_bars() {
        let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
        let again = DiscreteTable::from_alpha_bars(&table.alpha_bars()).unwrap();
        for index in 0..100 {
            let (a, b) = (table.alpha_bar(index).unwrap(), again.alpha_bar(index).unwrap());
            assert!((a / b - 1.0).abs() < 1e-13);
        }
    }

    #[test]
    fn a_bad_beta_is_named() {
        let error = DiscreteTable::from_betas(&[0.1, 1.2]).unwrap_err();
        assert_eq!(error.to_string(), "beta[1] is 1.2, expected a value in (0, 1)");
        assert!(DiscreteTable::from_betas(&[f64::NAN]).is_err());
        assert!(DiscreteTable::from_betas(&[1.0, 0.1]).is_err());
        let error = DiscreteTable::from_betas(&[0.5, 1e-20]).unwrap_err();
        assert!(matches!(error, ScheduleError::BetaTooSmall { index: 1, .. }), "{error}");
    }

    #[test]
    fn alpha_bars_that_do_not_fall_are_named() {
        let error = DiscreteTable::from_alpha_bars(&[0.9, 0.9]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "alpha_bar[1] is 0.9, expected a value below 0.9 and above 0 (at the end 0 itself)"
        );
        assert!(DiscreteTable::from_alpha_bars(&[1.0]).is_err());
        assert!(DiscreteTable::from_alpha_bars(&[0.5, 0.0, 0.0]).is_err());
        assert_eq!(DiscreteTable::from_alpha_bars(&[]), Err(ScheduleError::EmptyTable));
    }

    #[test]
    fn a_table_may_end_in_pure_noise() {
        let table = DiscreteTable::jsd(10).unwrap();
        assert_eq!(table.alpha_bar(9), Ok(0.0));
        assert!((table.alpha_bar(3).unwrap() - 0.6).abs() < 1e-15);
    }
}
