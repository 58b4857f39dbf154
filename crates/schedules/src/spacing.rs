//! Which steps of a discrete model a shorter run visits.

use crate::ScheduleError;
use serde::{Deserialize, Serialize};

/// How `S` of a model's `N` steps are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Every `N / S`-th step from the first: 0 is visited, `N - 1` is not.
    Leading,
    /// `S` points in equal steps from 0 to `N - 1`, rounded: both ends are visited.
    Linspace,
    /// Steps counted back from the last: `N - 1` is visited, so that sampling starts from pure noise.
    #[default]
    Trailing,
}

impl Spacing {
    /// The chosen indices, noisiest first. // Lin et al. 2024, table 2
    ///
    /// # Errors
    /// When `steps` is 0 or above `available`.
    pub fn indices(self, available: usize, steps: usize) -> Result<Vec<usize>, ScheduleError> {
        if steps == 0 || steps > available {
            return Err(ScheduleError::StepsOutOfRange { steps, available });
        }
        let (n, s) = (available as f64, steps as f64);
        let index = |k: usize| match self {
            Self::Leading => k * (available / steps),
            Self::Linspace if steps == 1 => 0,
            Self::Linspace => ((n - 1.0) * k as f64 / (s - 1.0)).round_ties_even() as usize,
            Self::Trailing => (n * (k + 1) as f64 / s).round_ties_even() as usize - 1,
        };
        Ok((0..steps).rev().map(index).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spacing: Spacing, expected: &[usize]) {
        assert_eq!(spacing.indices(1000, 5).unwrap(), expected);
    }

    #[test]
    fn five_of_a_thousand() {
        check(Spacing::Leading, &[800, 600, 400, 200, 0]);
        check(Spacing::Linspace, &[999, 749, 500, 250, 0]);
        check(Spacing::Trailing, &[999, 799, 599, 399, 199]);
    }

    #[test]
    fn every_count_gives_that_many_distinct_steps() {
        for spacing in [Spacing::Leading, Spacing::Linspace, Spacing::Trailing] {
            for steps in 1..=100 {
                let indices = spacing.indices(100, steps).unwrap();
                assert_eq!(indices.len(), steps);
                assert!(indices.windows(2).all(|pair| pair[0] > pair[1]), "{spacing:?} {steps}");
                assert!(indices[0] < 100);
            }
        }
    }

    #[test]
    fn too_many_steps_are_refused() {
        let error = Spacing::Trailing.indices(100, 101).unwrap_err();
        assert!(error.to_string().contains("expected 1 to 100"));
        assert!(Spacing::Leading.indices(100, 0).is_err());
    }
}
