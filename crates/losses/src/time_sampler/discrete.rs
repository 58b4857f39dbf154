//! Times of a chain, each as likely as any other.

use super::{DrawnTime, TimeSampler};
use crate::LossError;
use tweedie_schedules::DiscreteTable;

/// Uniform over a list of times: the steps of DDPM, the levels of SMLD.
#[derive(Clone, Debug, PartialEq)]
pub struct DiscreteTime {
    times: Vec<f64>,
}

impl DiscreteTime {
    /// The times given.
    ///
    /// # Errors
    /// When there is none, or one is not finite.
    pub fn new(times: Vec<f64>) -> Result<Self, LossError> {
        if times.is_empty() {
            return Err(LossError::NoTimes);
        }
        for t in &times {
            LossError::check("time", *t, t.is_finite(), "a finite value")?;
        }
        Ok(Self { times })
    }

    /// The steps of a table.
    #[must_use]
    pub fn of_table(table: &DiscreteTable) -> Self {
        Self { times: table.nodes().into_iter().map(|node| node.t).collect() }
    }

    /// The times.
    #[must_use]
    pub fn times(&self) -> &[f64] {
        &self.times
    }
}

impl TimeSampler for DiscreteTime {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        let count = self.times.len();
        let index = |u: &f64| ((u * count as f64) as usize).min(count - 1);
        uniform.iter().map(|u| DrawnTime { t: self.times[index(u)], weight: 1.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_drawn_for_an_equal_share_of_the_numbers() {
        let table = DiscreteTable::linear(8, 1e-3, 0.2).unwrap();
        let uniform: Vec<_> = (0..80).map(|k| f64::from(k) / 80.0).collect();
        let drawn = DiscreteTime::of_table(&table).draw(&uniform);
        for step in 0..8 {
            let t = table.time_of(step);
            assert_eq!(drawn.iter().filter(|drawn| drawn.t == t).count(), 10, "step {step}");
        }
    }

    #[test]
    fn a_list_without_times_is_refused() {
        assert_eq!(DiscreteTime::new(vec![]).unwrap_err(), LossError::NoTimes);
        assert!(DiscreteTime::new(vec![0.5, f64::INFINITY]).is_err());
    }
}
