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
    /// `scale` times the index in a table of `steps`: networks of improved diffusion take `1000 / steps`
    /// times it, so that chains of any length look alike.
    ScaledIndex {
        /// Length of the table.
        steps: usize,
        /// The factor.
        scale: f64,
    },
    /// The index in a series of `steps` noise levels, geometric in time `[0, 1]`, that begins with the
    /// noisiest; the nearest one between two.
    DescendingIndex {
        /// Levels in the series.
        steps: usize,
    },
    /// `scale t`. The score SDE code takes 999 t, so that a continuous time in `[0, 1]` looks to a
    /// sinusoidal embedding like the index in a table of 1000 steps.
    Time {
        /// The factor.
        scale: f64,
    },
    /// `scale ln(sigma / alpha)`: the noise itself, for schedules over many orders of magnitude of it.
    ///
    /// EDM takes a scale of 1/4 (Karras et al. 2022, table 1); a sinusoidal embedding, whose fastest
    /// wave has length 2 pi, tells neighbouring levels apart as well as the steps of a table with 1000
    /// times as much, 250.
    LogNoise {
        /// The factor.
        scale: f64,
    },
    /// `sigma / alpha`, whose logarithm Fourier embeddings take themselves.
    Noise,
}

impl TimeInput {
    /// The network's input at a point in time.
    #[must_use]
    pub fn of(self, point: TimePoint) -> f64 {
        match self {
            Self::Index { steps } => index(point.t, steps),
            Self::ScaledIndex { steps, scale } => scale * index(point.t, steps),
            // Song et al. 2021, the code released with it
            Self::DescendingIndex { steps } => ((1.0 - point.t) * (steps as f64 - 1.0)).round(),
            Self::Time { scale } => scale * point.t,
            Self::LogNoise { scale } => -scale * point.level.lambda(),
            Self::Noise => (-point.level.lambda()).exp(),
        }
    }
}

fn index(t: f64, steps: usize) -> f64 {
    let index = t * steps as f64 - 1.0;
    let nearest = index.round();
    // Times are stored as (index + 1) / steps: undo the rounding of that quotient.
    if (index - nearest).abs() < 1e-9 * steps as f64 { nearest } else { index }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{DiscreteTable, Edm, NoiseLevel, NoiseSchedule, VeGeometric};

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

    #[test]
    fn continuous_times_and_noise_are_scaled() {
        let point = Edm::new(0.002, 80.0).unwrap().point(0.5);
        assert_eq!(TimeInput::Time { scale: 999.0 }.of(point), 499.5);
        let quarter = TimeInput::LogNoise { scale: 0.25 }.of(point);
        assert!((quarter - 0.25 * 0.5_f64.ln()).abs() < 1e-15);
        assert!((TimeInput::Noise.of(point) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn indices_may_be_scaled_or_counted_from_the_noisy_end() {
        let table = DiscreteTable::cosine(4000).unwrap();
        let scaled = TimeInput::ScaledIndex { steps: 4000, scale: 0.25 };
        assert_eq!(scaled.of(table.node(3999).unwrap()), 999.75);
        let series = VeGeometric::new(0.01, 50.0).unwrap();
        let descending = TimeInput::DescendingIndex { steps: 10 };
        assert_eq!([1.0, 0.9, 0.0].map(|t| descending.of(series.point(t))), [0.0, 1.0, 9.0]);
    }
}
