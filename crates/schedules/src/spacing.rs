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
    ///
    /// # Precision
    /// Halves are rounded to even, and each index is computed in the order of operations of `NumPy`'s
    /// `linspace` and `arange`, so that a tie falls to the side it falls to in published code.
    pub fn indices(self, available: usize, steps: usize) -> Result<Vec<usize>, ScheduleError> {
        if steps == 0 || steps > available {
            return Err(ScheduleError::StepsOutOfRange { steps, available });
        }
        Ok(match self {
            Self::Leading => (0..steps).rev().map(|k| k * (available / steps)).collect(),
            Self::Linspace => linspace(steps, (available - 1) as f64, rounded),
            Self::Trailing => trailing(available as f64, steps),
        })
    }

    /// The indices of [`indices`](Self::indices), each raised by `offset`: published settings use 1
    /// with [`Spacing::Leading`], whose last step then leads to the data from index 1.
    ///
    /// # Errors
    /// As [`indices`](Self::indices), and when the largest index leaves the table.
    pub fn indices_with_offset(
        self,
        available: usize,
        steps: usize,
        offset: usize,
    ) -> Result<Vec<usize>, ScheduleError> {
        let mut indices = self.indices(available, steps)?;
        indices.iter_mut().for_each(|index| *index += offset);
        match indices[0] {
            index if index < available => Ok(indices),
            index => Err(ScheduleError::IndexOutOfRange { index, last: available - 1 }),
        }
    }
}

fn rounded(value: f64) -> usize {
    value.round_ties_even() as usize
}

/// `steps` values in equal parts from 0 to `end`, made whole, last first.
pub(crate) fn linspace(steps: usize, end: f64, whole: impl Fn(f64) -> usize) -> Vec<usize> {
    let step = end / (steps - 1).max(1) as f64;
    let value = |k: usize| if k > 0 && k == steps - 1 { end } else { k as f64 * step };
    (0..steps).rev().map(|k| whole(value(k))).collect()
}

/// Indices counted back from the last one in equal parts of `n`.
fn trailing(n: f64, steps: usize) -> Vec<usize> {
    let step = n - (n - n / steps as f64); // rounded as the second number of NumPy's arange is
    (0..steps).map(|k| rounded(n - k as f64 * step) - 1).collect()
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

    #[test]
    fn an_offset_raises_every_index_and_may_not_leave_the_table() {
        let raised = Spacing::Leading.indices_with_offset(1000, 5, 1).unwrap();
        assert_eq!(raised, [801, 601, 401, 201, 1]);
        let error = Spacing::Leading.indices_with_offset(1000, 1000, 1).unwrap_err();
        assert_eq!(error, ScheduleError::IndexOutOfRange { index: 1000, last: 999 });
        assert!(Spacing::Trailing.indices_with_offset(1000, 5, 1).is_err());
    }
}
