//! What a network was trained to take as its time.

use tweedie_schedules::TimePoint;

/// The number a network wants in place of a time: a property of its checkpoint, not of the schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimeInput {
    /// The index of the step in a table of `steps`, from 0: `t steps - 1`.
    ///
    /// Times between two steps give a fraction, which sinusoidal embeddings take as it is.
    Index {
        /// Length of the table.
        steps: usize,
    },
}

impl TimeInput {
    /// The network's input at a point in time.
    #[must_use]
    pub fn of(self, point: TimePoint) -> f64 {
        match self {
            Self::Index { steps } => {
                let index = point.t * steps as f64 - 1.0;
                let nearest = index.round();
                // Times are stored as (index + 1) / steps: undo the rounding of that quotient.
                if (index - nearest).abs() < 1e-9 * steps as f64 { nearest } else { index }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{DiscreteTable, NoiseLevel};

    #[test]
    fn every_step_gives_its_own_index() {
        let table = DiscreteTable::cosine(997).unwrap();
        let input = TimeInput::Index { steps: 997 };
        for index in 0..997 {
            assert_eq!(input.of(table.node(index).unwrap()), index as f64);
        }
    }

    #[test]
    fn a_time_between_two_steps_gives_a_fraction() {
        let point = TimePoint { t: 0.0125, level: NoiseLevel::CLEAN };
        assert!((TimeInput::Index { steps: 1000 }.of(point) - 11.5).abs() < 1e-9);
    }
}
