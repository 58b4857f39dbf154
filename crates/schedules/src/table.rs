//! The schedule of a discrete model: a table of levels, joined by log-linear interpolation.

use crate::level::log_alpha_at_lambda;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError, TimePoint, cosine_betas, linear_betas};

/// The noise levels of a discrete model with `N` steps, as a schedule in continuous time.
///
/// Step `i` (from 0) stands at `t = (i + 1) / N`; between two steps `ln alpha` is linear in time,
/// so the table is exact at its nodes. Time range: `1/N` to `1`.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscreteTable {
    log_alphas: Vec<f64>,
}

impl DiscreteTable {
    /// The table that a list of betas leads to: `alpha_bar_i` is the product of `1 - beta_j` up to `i`.
    ///
    /// # Errors
    /// When the list is empty or a beta lies outside (0, 1).
    ///
    /// # Precision
    /// The product is a sum of `ln_1p(-beta)`, so `sigma` is exact to rounding for tiny betas.
    pub fn from_betas(betas: &[f64]) -> Result<Self, ScheduleError> {
        if betas.is_empty() {
            return Err(ScheduleError::EmptyTable);
        }
        let bad = betas.iter().position(|beta| !(*beta > 0.0 && *beta < 1.0));
        if let Some(index) = bad {
            return Err(ScheduleError::BetaOutOfRange { index, value: betas[index] });
        }
        let log_alphas = betas.iter().scan(0.0, |sum, beta| {
            *sum += 0.5 * (-beta).ln_1p(); // Ho et al. 2020, eq. 4
            Some(*sum)
        });
        Ok(Self { log_alphas: log_alphas.collect() })
    }

    /// DDPM's table: betas in equal steps.
    ///
    /// # Errors
    /// As [`linear_betas`].
    pub fn linear(count: usize, start: f64, end: f64) -> Result<Self, ScheduleError> {
        Self::from_betas(&linear_betas(count, start, end)?)
    }

    /// Improved DDPM's table: a cosine in `alpha_bar`.
    ///
    /// # Errors
    /// As [`cosine_betas`].
    pub fn cosine(count: usize) -> Result<Self, ScheduleError> {
        Self::from_betas(&cosine_betas(count)?)
    }

    /// Number of steps `N`.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a table has at least one step")]
    pub fn len(&self) -> usize {
        self.log_alphas.len()
    }

    /// Time of step `index`, `(index + 1) / N`.
    #[must_use]
    pub fn time_of(&self, index: usize) -> f64 {
        (index + 1) as f64 / self.len() as f64
    }

    /// Time and level of step `index`.
    ///
    /// # Errors
    /// When the table has no such step.
    pub fn node(&self, index: usize) -> Result<TimePoint, ScheduleError> {
        let last = self.len() - 1;
        let found = self.log_alphas.get(index);
        let log_alpha = *found.ok_or(ScheduleError::IndexOutOfRange { index, last })?;
        let level = NoiseLevel::variance_preserving(log_alpha);
        Ok(TimePoint { t: self.time_of(index), level })
    }

    /// Position in the table as a real number: `t N - 1`, snapped to the node it rounds to.
    fn position(&self, t: f64) -> f64 {
        let position = t * self.len() as f64 - 1.0;
        let nearest = position.round();
        if (position - nearest).abs() < 1e-9 * self.len() as f64 { nearest } else { position }
    }

    /// `ln alpha` at a real position, extended beyond both ends by the nearest segment.
    fn log_alpha(&self, position: f64) -> f64 {
        let last = self.len() - 1;
        if last == 0 || position == last as f64 {
            return self.log_alphas[last];
        }
        let left = (position.max(0.0) as usize).min(last - 1);
        let share = position - left as f64;
        let (a, b) = (self.log_alphas[left], self.log_alphas[left + 1]);
        if share == 0.0 { a } else { a + share * (b - a) }
    }
}

impl NoiseSchedule for DiscreteTable {
    fn time_range(&self) -> (f64, f64) {
        (self.time_of(0), 1.0)
    }

    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel::variance_preserving(self.log_alpha(self.position(t)).min(0.0))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        let log_alpha = log_alpha_at_lambda(lambda);
        let last = self.len() - 1;
        if last == 0 {
            return 1.0;
        }
        let above = self.log_alphas.partition_point(|value| *value > log_alpha);
        let left = above.clamp(1, last) - 1;
        let (a, b) = (self.log_alphas[left], self.log_alphas[left + 1]);
        (left as f64 + (log_alpha - a) / (b - a) + 1.0) / self.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tables() -> Vec<DiscreteTable> {
        vec![DiscreteTable::linear(1000, 1e-4, 0.02).unwrap(), DiscreteTable::cosine(1000).unwrap()]
    }

    #[test]
    fn nodes_are_exact() {
        for table in tables() {
            for index in 0..1000 {
                let node = table.node(index).unwrap();
                assert_eq!(table.level(node.t), node.level, "step {index}");
            }
        }
    }

    #[test]
    fn alpha_bar_is_the_product_of_one_minus_beta() {
        let betas = linear_betas(1000, 1e-4, 0.02).unwrap();
        let product: f64 = betas.iter().map(|beta| 1.0 - beta).product();
        let alpha = tables()[0].node(999).unwrap().level.alpha;
        assert!((alpha.powi(2) / product - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn lambda_falls_strictly_with_time(t in 0.001..0.999, dt in 1e-6..1e-3) {
            for table in tables() {
                prop_assert!(table.level(t + dt).lambda() < table.level(t).lambda());
            }
        }

        #[test]
        fn time_at_lambda_inverts_level(t in 0.001..1.0) {
            for table in tables() {
                let back = table.time_at_lambda(table.level(t).lambda());
                prop_assert!((back - t).abs() < 1e-9, "{back} for {t}");
            }
        }
    }

    #[test]
    fn a_bad_beta_is_named() {
        let error = DiscreteTable::from_betas(&[0.1, 1.2]).unwrap_err();
        assert_eq!(error.to_string(), "beta[1] is 1.2, expected a value in (0, 1)");
        assert!(DiscreteTable::from_betas(&[f64::NAN]).is_err());
    }
}
