//! Tables made from other tables: shorter, respaced, rescaled.

use super::DiscreteTable;
use crate::schedule::TimeRange;
use crate::{NoiseLevel, ScheduleError};

impl DiscreteTable {
    /// The same table without its steps of `lambda` below a bound; the others keep their times, and
    /// the time range ends at the last of them.
    ///
    /// For methods that need a finite lambda at the start, or none too far down.
    ///
    /// # Errors
    /// When fewer than two steps remain.
    pub fn truncated_below_lambda(self, lambda: f64) -> Result<Self, ScheduleError> {
        let kept = self.kept(lambda)?;
        let (clean, noisy) = self.range.ends();
        let last = self.time_of(kept - 1);
        let range = TimeRange::new(clean, noisy.min(last), last)?;
        let log_alphas = self.log_alphas[..kept].to_vec();
        Ok(Self { log_alphas, range, ..self })
    }

    /// The steps of `lambda` not below a bound, as a table of their own spread over the time from 0
    /// to 1: what DPM-Solver's code makes of any discrete model, with the bound -5.1.
    ///
    /// Step `i` is still step `i`, but no longer stands at its old time.
    ///
    /// # Errors
    /// When fewer than two steps remain.
    pub fn respaced_below_lambda(&self, lambda: f64) -> Result<Self, ScheduleError> {
        let kept = self.kept(lambda)?;
        let table = Self::from_log_alphas(self.log_alphas[..kept].to_vec());
        Ok(table.with_below_first(self.below_first))
    }

    /// Number of steps whose lambda is not below the bound.
    fn kept(&self, lambda: f64) -> Result<usize, ScheduleError> {
        let level = |log: f64| NoiseLevel::variance_preserving(log);
        let kept = self.log_alphas.partition_point(|log| level(*log).lambda() >= lambda);
        if kept < 2 {
            return Err(ScheduleError::TooFewSteps { lambda, kept });
        }
        Ok(kept)
    }

    /// The steps listed, in any order, as a table of their own: the shorter model that walks them.
    ///
    /// Its step `k` is the `k`-th smallest index, which is the label that the network still wants.
    ///
    /// # Errors
    /// When there is no index, one is outside the table, or one is repeated.
    pub fn respaced(&self, indices: &[usize]) -> Result<Self, ScheduleError> {
        let mut indices = indices.to_vec();
        indices.sort_unstable();
        if let Some(pair) = indices.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ScheduleError::RepeatedIndex { index: pair[0] });
        }
        let logs: Result<Vec<_>, _> = indices.into_iter().map(|i| self.log_alpha_of(i)).collect();
        let logs = logs?;
        if logs.is_empty() {
            return Err(ScheduleError::EmptyTable);
        }
        Ok(Self::from_log_alphas(logs).with_below_first(self.below_first))
    }

    /// The table shifted and scaled so that it ends in pure noise, `alpha_bar = 0`, with its first step
    /// unchanged.
    ///
    /// # Errors
    /// When the table has one step alone.
    pub fn rescaled_to_zero_snr(self) -> Result<Self, ScheduleError> {
        let (first, last) = (self.log_alphas[0], self.log_alphas[self.len() - 1]);
        if first == last {
            return Err(ScheduleError::TooFewPoints { points: 1 });
        }
        // ln(1 - alpha_last / alpha), which cancels neither near the first step nor near the last
        let share_above = |log: f64| (-(last - log).exp_m1()).ln();
        // Lin et al. 2024, algorithm 1: alpha - alpha_last, scaled to the old alpha at the first step
        let rescaled = |log: &f64| log + share_above(*log) - share_above(first);
        let log_alphas = self.log_alphas.iter().map(rescaled).collect();
        Ok(Self { log_alphas, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoiseSchedule;

    fn cosine() -> DiscreteTable {
        DiscreteTable::cosine(1000).unwrap()
    }

    #[test]
    fn a_truncated_table_keeps_its_time_axis() {
        let table = cosine().truncated_below_lambda(-5.1).unwrap();
        assert_eq!((table.len(), table.time_range()), (996, (0.001, 0.996)));
        for index in [0, 500, 995] {
            assert_eq!(table.node(index), cosine().node(index));
        }
        assert!(table.node(995).unwrap().level.lambda() >= -5.1);
        assert!(cosine().node(996).unwrap().level.lambda() < -5.1);
        assert_eq!(table.node(996), Err(ScheduleError::IndexOutOfRange { index: 996, last: 995 }));
    }

    #[test]
    fn a_respaced_table_fills_the_time_again() {
        let table = cosine().respaced_below_lambda(-5.1).unwrap();
        assert_eq!((table.len(), table.time_range()), (996, (1.0 / 996.0, 1.0)));
        assert_eq!(table.node(500).unwrap().level, cosine().node(500).unwrap().level);
        assert!(table.node(500).unwrap().t > cosine().node(500).unwrap().t);
        let error = cosine().respaced_below_lambda(9.0).unwrap_err();
        assert!(error.to_string().contains("lambda 9"), "{error}");
    }

    #[test]
    fn a_table_above_the_bound_is_left_alone() {
        let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        assert_eq!(table.clone().truncated_below_lambda(-5.1).unwrap(), table);
        assert_eq!(table.respaced_below_lambda(-5.1).unwrap(), table);
    }

    #[test]
    fn a_subsequence_keeps_its_levels_and_gets_its_own_betas() {
        let table = cosine().respaced(&[900, 0, 450]).unwrap();
        assert_eq!(table.len(), 3);
        assert_eq!(table.alpha_bar(2), cosine().alpha_bar(900));
        let ratio = cosine().alpha_bar(900).unwrap() / cosine().alpha_bar(450).unwrap();
        assert!((table.betas()[2] - (1.0 - ratio)).abs() < 1e-13);
        assert_eq!(cosine().respaced(&[3, 3]), Err(ScheduleError::RepeatedIndex { index: 3 }));
        assert!(cosine().respaced(&[1000]).is_err());
        assert!(cosine().respaced(&[]).is_err());
    }

    #[test]
    fn zero_snr_changes_the_end_and_keeps_the_first_step() {
        let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        let rescaled = table.clone().rescaled_to_zero_snr().unwrap();
        assert_eq!(rescaled.alpha_bar(0), table.alpha_bar(0));
        assert_eq!(rescaled.alpha_bar(999), Ok(0.0));
        let root = |index| table.alpha_bar(index).unwrap().sqrt();
        let direct = (root(500) - root(999)) * root(0) / (root(0) - root(999));
        assert!((rescaled.alpha_bar(500).unwrap().sqrt() - direct).abs() < 1e-14);
        assert!(DiscreteTable::linear(1, 0.1, 0.2).unwrap().rescaled_to_zero_snr().is_err());
    }

    #[test]
    fn zero_snr_keeps_falling_where_hardly_any_signal_is_left() {
        let table = DiscreteTable::linear(4000, 1e-3, 0.2).unwrap();
        let rescaled = table.clone().rescaled_to_zero_snr().unwrap();
        assert!(rescaled.alpha_bars().windows(2).all(|pair| pair[1] < pair[0]));
        let (kept, beta) = (rescaled.betas()[3997], table.betas()[3997..].to_vec());
        // sqrt(1 - beta) of a step is the ratio of what its two alphas have above the last one
        let above = |betas: &[f64]| 1.0 - betas.iter().map(|b| (1.0 - b).sqrt()).product::<f64>();
        let expected = (1.0 - beta[0]).sqrt() * above(&beta[1..]) / above(&beta);
        assert!(((1.0 - kept).sqrt() / expected - 1.0).abs() < 1e-12, "{kept}");
    }
}
