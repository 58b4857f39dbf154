//! The schedule of a discrete model: a table of levels, joined by log-linear interpolation.

mod build;
mod cut;

use crate::level::log_alpha_at_lambda;
use crate::schedule::TimeRange;
use crate::{NoiseLevel, NoiseSchedule, ScheduleError, TimePoint};

/// The noise levels of a discrete model with `N` steps, as a schedule in continuous time.
///
/// Step `i` (from 0) stands at `t = (i + 1) / N`; between two steps `ln alpha` is linear in time,
/// so the table is exact at its nodes. Time range: `1/N` to `1`, unless told otherwise.
///
/// A table may end at `alpha_bar = 0`, pure noise. On the way there `ln alpha` cannot be linear, so
/// `alpha` itself is. What a table is before its first step is a choice, [`BelowFirst`].
#[derive(Clone, Debug, PartialEq)]
pub struct DiscreteTable {
    /// `ln alpha` of each step, falling; the last may be minus infinity.
    log_alphas: Vec<f64>,
    /// `N`, the number of steps that fill the time from 0 to 1; more than there are log alphas when
    /// the table was truncated.
    full_len: usize,
    range: TimeRange,
    below_first: BelowFirst,
}

/// How a [`DiscreteTable`] goes on from its first step, at `t = 1/N`, towards `t = 0`.
///
/// The model was never trained there, and the default time range leaves it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BelowFirst {
    /// Along the line through the first two steps, as DPM-Solver's code does, but never above
    /// `alpha = 1`: where the line would pass it, the level is the clean one (that code gives NaN).
    #[default]
    FirstSegment,
    /// Along the line from the data, `alpha = 1` at `t = 0`: lambda falls strictly all the way.
    Origin,
}

impl DiscreteTable {
    /// The same table with another continuation below its first step.
    #[must_use]
    pub fn with_below_first(self, below_first: BelowFirst) -> Self {
        Self { below_first, ..self }
    }

    /// The same table used from time `clean` to time `noisy`.
    ///
    /// # Errors
    /// When not `0 <= clean < noisy <=` the time of the last step.
    pub fn with_time_range(self, clean: f64, noisy: f64) -> Result<Self, ScheduleError> {
        let last = self.time_of(self.len() - 1);
        Ok(Self { range: TimeRange::new(clean, noisy, last)?, ..self })
    }

    /// Number of steps in the table.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a table has at least one step")]
    pub fn len(&self) -> usize {
        self.log_alphas.len()
    }

    /// Time of step `index`, `(index + 1) / N`.
    #[must_use]
    pub fn time_of(&self, index: usize) -> f64 {
        (index + 1) as f64 / self.full_len as f64
    }

    /// Time and level of step `index`.
    ///
    /// # Errors
    /// When the table has no such step.
    pub fn node(&self, index: usize) -> Result<TimePoint, ScheduleError> {
        let level = NoiseLevel::variance_preserving(self.log_alpha_of(index)?);
        Ok(TimePoint { t: self.time_of(index), level })
    }

    /// Time and level of every step, cleanest first.
    #[must_use]
    pub fn nodes(&self) -> Vec<TimePoint> {
        let level = |log: &f64| NoiseLevel::variance_preserving(*log);
        let node = |(index, log)| TimePoint { t: self.time_of(index), level: level(log) };
        self.log_alphas.iter().enumerate().map(node).collect()
    }

    /// `alpha^2` of step `index`.
    ///
    /// # Errors
    /// When the table has no such step.
    pub fn alpha_bar(&self, index: usize) -> Result<f64, ScheduleError> {
        Ok((2.0 * self.log_alpha_of(index)?).exp())
    }

    /// `alpha^2` of each step.
    #[must_use]
    pub fn alpha_bars(&self) -> Vec<f64> {
        self.log_alphas.iter().map(|log| (2.0 * log).exp()).collect()
    }

    /// The variance that each step adds, `1 - alpha_bar_i / alpha_bar_(i-1)`.
    #[must_use]
    pub fn betas(&self) -> Vec<f64> {
        let before = std::iter::once(&0.0).chain(&self.log_alphas);
        // Ho et al. 2020, eq. 4, solved for beta
        self.log_alphas
            .iter()
            .zip(before)
            .map(|(log, before)| -(2.0 * (log - before)).exp_m1())
            .collect()
    }

    /// Rate at time `t`, `-2 d ln alpha / dt`: the variance added per unit of time. At a step it is
    /// that of the segment towards the data; it is infinite where `alpha` reaches 0, and 0 where the level
    /// is held at the clean one.
    #[must_use]
    pub fn beta(&self, t: f64) -> f64 {
        let position = self.position(t);
        if self.log_alpha(position) > 0.0 {
            return 0.0; // held at the clean level
        }
        let first = usize::from(!self.starts_at_origin());
        // the step at the noisier end of the segment
        let right = (position.max(0.0).ceil() as usize).max(first).min(self.len() - 1);
        let before = if right == 0 { 0.0 } else { self.log_alphas[right - 1] };
        let per_step = match self.log_alphas[right] - before {
            // alpha falls in a straight line to 0
            f64::NEG_INFINITY => -1.0 / (right as f64 - position),
            slope => slope,
        };
        -2.0 * per_step * self.full_len as f64
    }

    fn log_alpha_of(&self, index: usize) -> Result<f64, ScheduleError> {
        let last = self.len() - 1;
        self.log_alphas.get(index).copied().ok_or(ScheduleError::IndexOutOfRange { index, last })
    }

    /// Position in the table as a real number, `t N - 1`; whole where it is so but for rounding.
    fn position(&self, t: f64) -> f64 {
        let position = t * self.full_len as f64 - 1.0;
        let nearest = position.round();
        let rounding = 4.0 * f64::EPSILON * self.full_len as f64;
        if (position - nearest).abs() <= rounding { nearest } else { position }
    }

    /// `ln alpha` at a real position; beyond the last step along the last segment.
    fn log_alpha(&self, position: f64) -> f64 {
        if position < 0.0 && self.starts_at_origin() {
            return (position + 1.0) * self.log_alphas[0];
        }
        if self.len() == 1 {
            return self.log_alphas[0];
        }
        let left = (position.max(0.0) as usize).min(self.len() - 2);
        let share = position - left as f64;
        let (a, b) = (self.log_alphas[left], self.log_alphas[left + 1]);
        if share == 0.0 {
            a
        } else if share == 1.0 {
            b
        } else if b == f64::NEG_INFINITY {
            a + (-share.min(1.0)).ln_1p() // alpha falls in a straight line to 0
        } else {
            a + share * (b - a)
        }
    }

    /// The position at which `ln alpha` has a given value: the inverse of [`Self::log_alpha`].
    fn position_at(&self, log_alpha: f64) -> f64 {
        if log_alpha > self.log_alphas[0] && self.starts_at_origin() {
            return log_alpha / self.log_alphas[0] - 1.0;
        }
        if self.len() == 1 {
            return 0.0;
        }
        let above = self.log_alphas.partition_point(|value| *value > log_alpha);
        let left = above.clamp(1, self.len() - 1) - 1;
        let (a, b) = (self.log_alphas[left], self.log_alphas[left + 1]);
        let share = if b == f64::NEG_INFINITY {
            -(log_alpha - a).exp_m1()
        } else {
            (log_alpha - a) / (b - a)
        };
        left as f64 + share
    }

    /// Whether `ln alpha` comes from 0 at `t = 0`; also where there is no first segment to extend.
    fn starts_at_origin(&self) -> bool {
        let second = self.log_alphas.get(1).copied().unwrap_or(f64::NEG_INFINITY);
        self.below_first == BelowFirst::Origin || second == f64::NEG_INFINITY
    }
}

impl NoiseSchedule for DiscreteTable {
    fn time_range(&self) -> (f64, f64) {
        self.range.ends()
    }

    fn level(&self, t: f64) -> NoiseLevel {
        NoiseLevel::variance_preserving(self.log_alpha(self.position(t)).min(0.0))
    }

    fn time_at_lambda(&self, lambda: f64) -> f64 {
        (self.position_at(log_alpha_at_lambda(lambda)) + 1.0) / self.full_len as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear_betas;
    use proptest::prelude::*;

    fn tables() -> Vec<DiscreteTable> {
        vec![
            DiscreteTable::linear(1000, 1e-4, 0.02).unwrap(),
            DiscreteTable::cosine(1000).unwrap(),
            DiscreteTable::linear(1000, 1e-4, 0.02).unwrap().rescaled_to_zero_snr().unwrap(),
            DiscreteTable::jsd(1000).unwrap(),
        ]
    }

    #[test]
    fn nodes_are_exact() {
        for table in tables() {
            for index in 0..1000 {
                let node = table.node(index).unwrap();
                assert_eq!(table.nodes()[index], node, "step {index}");
                assert_eq!(table.level(node.t), node.level, "step {index}");
            }
        }
    }

    #[test]
    fn alpha_bar_is_the_product_of_one_minus_beta() {
        let betas = linear_betas(1000, 1e-4, 0.02).unwrap();
        let product: f64 = betas.iter().map(|beta| 1.0 - beta).product();
        assert!((tables()[0].alpha_bar(999).unwrap() / product - 1.0).abs() < 1e-12);
        assert_eq!(tables()[0].alpha_bars()[999], tables()[0].alpha_bar(999).unwrap());
        for (got, beta) in tables()[0].betas().iter().zip(betas) {
            assert!((got / beta - 1.0).abs() < 1e-10);
        }
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
                prop_assert!((back - t).abs() < 1e-11, "{back} for {t}");
            }
        }

        #[test]
        fn a_table_from_the_origin_falls_strictly_from_time_zero(t in 1e-9..0.002) {
            for table in tables() {
                let table = table.with_below_first(BelowFirst::Origin);
                prop_assert!(table.level(t * 1.001).lambda() < table.level(t).lambda());
                let back = table.time_at_lambda(table.level(t).lambda());
                prop_assert!((back / t - 1.0).abs() < 1e-9, "{back} for {t}");
            }
        }
    }

    #[test]
    fn below_the_first_step_the_first_segment_goes_on_until_the_data() {
        let table = DiscreteTable::from_alpha_bars(&[0.9, 0.6]).unwrap();
        let slope = (0.6_f64 / 0.9).ln();
        let expected = 0.9 * (-0.2 * slope).exp(); // t = 0.4 is a fifth of a step before the first
        assert!((table.level(0.4).alpha.powi(2) - expected).abs() < 1e-15);
        assert_eq!(table.level(0.1), NoiseLevel::CLEAN);
        assert_eq!(table.with_below_first(BelowFirst::Origin).level(0.0), NoiseLevel::CLEAN);
    }

    #[test]
    fn the_way_to_pure_noise_is_a_straight_line_in_alpha() {
        let table = DiscreteTable::from_alpha_bars(&[0.64, 0.0]).unwrap();
        assert!((table.level(0.75).alpha - 0.4).abs() < 1e-15);
        assert_eq!(table.level(1.0), NoiseLevel { alpha: 0.0, sigma: 1.0 });
        assert_eq!(table.time_at_lambda(f64::NEG_INFINITY), 1.0);
        assert_eq!(table.betas()[1], 1.0);
    }

    #[test]
    fn the_time_range_can_be_narrowed() {
        let table = tables().remove(0).with_time_range(1e-4, 0.5).unwrap();
        assert_eq!(table.time_range(), (1e-4, 0.5));
        assert!(table.with_time_range(0.5, 1.1).is_err());
    }
}
