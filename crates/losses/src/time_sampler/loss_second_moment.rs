//! Steps drawn in proportion to the size of the losses seen there.
//!
//! `p_t` in proportion to `sqrt(E[L_t^2])` over the last losses of each step, which makes the variance of
//! the sampled bound least. Nichol and Dhariwal 2021, eq. 18. Until every step has a full history
//! all are equally likely.

use super::{DrawnTime, SamplerState, TimeSampler};
use crate::LossError;
use tweedie_schedules::DiscreteTable;

/// A law over the steps of a chain that learns from the losses found there.
#[derive(Clone, Debug, PartialEq)]
pub struct LossSecondMoment {
    /// Rising.
    times: Vec<f64>,
    /// The last losses of each step, oldest first.
    histories: Vec<Vec<f64>>,
    length: usize,
    uniform: f64,
}

impl LossSecondMoment {
    /// A law over these times, rising, that remembers the last `length` losses of each and draws a
    /// share `uniform` of its steps uniformly. Published: 10 and 0.001.
    ///
    /// # Errors
    /// When there is no time, one is not finite, they do not rise, `length` is 0, or `uniform` is not in `[0, 1]`.
    pub fn new(times: Vec<f64>, length: usize, uniform: f64) -> Result<Self, LossError> {
        if times.is_empty() {
            return Err(LossError::NoTimes);
        }
        for t in &times {
            LossError::check("time", *t, t.is_finite(), "a finite value")?;
        }
        let rises = |pair: &[f64]| pair[0] < pair[1];
        if let Some(pair) = times.windows(2).find(|pair| !rises(pair)) {
            return Err(LossError::TimeRange { first: pair[0], last: pair[1] });
        }
        LossError::check("length of the history", length as f64, length > 0, "at least 1")?;
        let allowed = "a share in [0, 1]";
        LossError::check("uniform share", uniform, (0.0..=1.0).contains(&uniform), allowed)?;
        let histories = vec![Vec::with_capacity(length); times.len()];
        Ok(Self { times, histories, length, uniform })
    }

    /// The law over the steps of a table, as published.
    #[must_use]
    pub fn of_table(table: &DiscreteTable) -> Self {
        let times: Vec<_> = table.nodes().into_iter().map(|node| node.t).collect();
        let histories = vec![Vec::with_capacity(10); times.len()];
        Self { times, histories, length: 10, uniform: 0.001 }
    }

    /// The last losses of each step, oldest first.
    #[must_use]
    pub fn histories(&self) -> &[Vec<f64>] {
        &self.histories
    }

    /// Whether every step has a full history, from which on the law follows the losses.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        self.histories.iter().all(|history| history.len() == self.length)
    }

    /// The probability of each step.
    #[must_use]
    pub fn probabilities(&self) -> Vec<f64> {
        let count = self.times.len() as f64;
        let largest =
            self.histories.iter().flatten().fold(0.0_f64, |most, loss| most.max(loss.abs()));
        if !self.is_warm() || largest == 0.0 {
            return vec![1.0 / count; self.times.len()];
        }
        // in units of the largest, whose square may be too large a number
        let square = |loss: &f64| (loss / largest).powi(2);
        // Nichol and Dhariwal 2021, eq. 18
        let root = |history: &Vec<f64>| {
            (history.iter().map(square).sum::<f64>() / self.length as f64).sqrt()
        };
        let roots: Vec<f64> = self.histories.iter().map(root).collect();
        let total: f64 = roots.iter().sum();
        let mixed = |root| (1.0 - self.uniform) * root / total + self.uniform / count;
        roots.into_iter().map(mixed).collect()
    }

    fn index_of(&self, t: f64) -> Result<usize, LossError> {
        let unknown = |_| LossError::UnknownTime { t, count: self.times.len() };
        self.times.binary_search_by(|known| known.total_cmp(&t)).map_err(unknown)
    }
}

impl TimeSampler for LossSecondMoment {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let probabilities = self.probabilities();
        let ends: Vec<f64> = probabilities
            .iter()
            .scan(0.0, |end, probability| {
                *end += probability;
                Some(*end)
            })
            .collect();
        let count = self.times.len();
        let drawn = |u: &f64| {
            let index = ends.partition_point(|end| end <= u).min(count - 1);
            DrawnTime { t: self.times[index], weight: 1.0 / (count as f64 * probabilities[index]) }
        };
        uniform.iter().map(drawn).collect()
    }

    fn observe(&mut self, times: &[f64], losses: &[f64]) -> Result<(), LossError> {
        if times.len() != losses.len() {
            let (got, batch) = (losses.len(), times.len());
            return Err(LossError::BatchMismatch { name: "losses", got, batch });
        }
        for loss in losses {
            // one NaN would stay in the law for as long as the history
            LossError::check("loss", *loss, loss.is_finite(), "a finite value")?;
        }
        let indices = times.iter().map(|t| self.index_of(*t)).collect::<Result<Vec<_>, _>>()?;
        for (index, loss) in indices.into_iter().zip(losses) {
            let history = &mut self.histories[index];
            if history.len() == self.length {
                history.remove(0);
            }
            history.push(*loss);
        }
        Ok(())
    }

    fn state(&self) -> SamplerState {
        SamplerState { rows: self.histories.clone() }
    }

    fn resume(&mut self, state: &SamplerState) -> Result<(), LossError> {
        let (got, expected) = (state.rows.len(), self.times.len());
        if got != expected {
            return Err(LossError::StateMismatch { got, expected });
        }
        if let Some(row) = state.rows.iter().find(|row| row.len() > self.length) {
            let (name, value) = ("saved losses of a step", row.len() as f64);
            let allowed = "no more than the history is long";
            return Err(LossError::ParameterOutOfRange { name, value, allowed });
        }
        if let Some(value) = state.rows.iter().flatten().copied().find(|loss| !loss.is_finite()) {
            let (name, allowed) = ("saved loss", "a finite value");
            return Err(LossError::ParameterOutOfRange { name, value, allowed });
        }
        self.histories.clone_from(&state.rows);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [f64; 3] = [0.1, 0.2, 0.3];

    fn sampler() -> LossSecondMoment {
        LossSecondMoment::new(TIMES.to_vec(), 2, 0.1).unwrap()
    }

    fn warm() -> LossSecondMoment {
        let mut sampler = sampler();
        for (t, losses) in TIMES.iter().zip([[9.0, 3.0, 4.0], [7.0, 0.0, 1.0], [1.0, 0.0, 0.0]]) {
            sampler.observe(&[*t; 3], &losses).unwrap();
        }
        sampler
    }

    #[test]
    fn it_is_uniform_until_every_step_has_a_full_history() {
        let mut sampler = sampler();
        sampler.observe(&[0.1, 0.1, 0.2, 0.2, 0.3], &[9.0; 5]).unwrap();
        assert!(!sampler.is_warm());
        assert_eq!(sampler.probabilities(), [1.0 / 3.0; 3]);
        sampler.observe(&[0.3], &[1.0]).unwrap();
        assert!(sampler.is_warm());
    }

    #[test]
    fn steps_are_drawn_by_the_root_of_the_mean_square_of_their_last_losses() {
        // roots of 25 / 2, 1 / 2 and 0: shares 5 / 6, 1 / 6, 0
        let expected = [0.9 * 5.0 / 6.0 + 0.1 / 3.0, 0.9 / 6.0 + 0.1 / 3.0, 0.1 / 3.0];
        for (got, expected) in warm().probabilities().into_iter().zip(expected) {
            assert!((got - expected).abs() < 1e-14, "{got}, expected {expected}");
        }
    }

    #[test]
    fn losses_of_any_size_have_their_law() {
        for size in [1e-200, 1e200, 1e307] {
            let mut sampler = sampler();
            for (t, losses) in TIMES.iter().zip([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]]) {
                sampler.observe(&[*t; 2], &losses.map(|loss| size * loss)).unwrap();
            }
            for (got, expected) in sampler.probabilities().into_iter().zip(warm().probabilities()) {
                assert!((got - expected).abs() < 1e-14, "{size}: {got}, expected {expected}");
            }
        }
    }

    #[test]
    fn a_list_that_is_refused_leaves_nothing_behind() {
        let mut sampler = warm();
        assert!(sampler.observe(&[0.1, 0.2], &[5.0, f64::INFINITY]).is_err());
        assert!(sampler.observe(&[0.1, 0.25], &[5.0, 6.0]).is_err());
        assert_eq!(sampler, warm());
    }

    #[test]
    fn weighted_losses_have_the_mean_over_all_steps() {
        let sampler = warm();
        let count = 100_000;
        let uniform: Vec<f64> = (0..count).map(|k| (k as f64 + 0.5) / count as f64).collect();
        for step in TIMES {
            let drawn = sampler.draw(&uniform);
            let hits = drawn.iter().filter(|drawn| drawn.t == step).map(|drawn| drawn.weight);
            let mean = hits.sum::<f64>() / count as f64;
            assert!((mean - 1.0 / 3.0).abs() < 1e-3, "{step}: {mean}");
        }
        assert_eq!(sampler.draw(&[0.0, 1.0 - 1e-17])[1].t, 0.3);
    }

    #[test]
    fn a_resumed_law_is_the_saved_one() {
        let text = serde_json::to_string(&warm().state()).unwrap();
        let mut resumed = sampler();
        resumed.resume(&serde_json::from_str(&text).unwrap()).unwrap();
        assert_eq!(resumed, warm());
    }

    #[test]
    fn the_state_of_another_law_is_refused() {
        let state = |rows: Vec<Vec<f64>>| SamplerState { rows };
        let resume = |state| sampler().resume(&state);
        let error = resume(state(vec![vec![]])).unwrap_err();
        assert_eq!(error, LossError::StateMismatch { got: 1, expected: 3 });
        assert!(resume(state(vec![vec![1.0; 3], vec![], vec![]])).is_err());
        assert!(resume(state(vec![vec![f64::NAN], vec![], vec![]])).is_err());
    }

    #[test]
    fn losses_of_no_step_and_losses_that_are_no_numbers_are_refused() {
        let error = sampler().observe(&[0.15], &[1.0]).unwrap_err();
        assert_eq!(error, LossError::UnknownTime { t: 0.15, count: 3 });
        assert!(sampler().observe(&[0.1], &[f64::NAN]).is_err());
        assert!(sampler().observe(&[0.1], &[]).is_err());
        assert!(LossSecondMoment::new(vec![0.2, 0.1], 2, 0.1).is_err());
        assert!(LossSecondMoment::new(vec![0.2], 0, 0.1).is_err());
        assert!(LossSecondMoment::new(vec![f64::NAN], 1, 0.1).is_err());
        assert!(LossSecondMoment::new(vec![0.2], 1, 1.1).is_err());
    }
}
