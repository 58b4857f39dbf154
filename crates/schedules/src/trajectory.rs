//! Trajectories: the steps of a discrete model that Analytic-DPM's shorter runs visit.
//!
//! Like [`Spacing`](crate::Spacing) they choose `S` of `N` steps; these always start at the cleanest
//! step, index 0, and all but one end at the noisiest, `N - 1`.

mod least_cost;

pub use least_cost::least_cost;

use crate::ScheduleError;
use crate::spacing::linspace;
use serde::{Deserialize, Serialize};

/// How the steps of a shorter run are spread, by a rule that knows nothing of the data.
///
/// [`least_cost`] is the choice that does know the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trajectory {
    /// Equal steps, both ends visited: the even trajectory of Bao et al. 2022.
    Even,
    /// Denser towards the data: even in `y` where `1 - y^(1/P)` is the share of the way to noise.
    Power(u32),
    /// Squares of equal steps, up to `0.8 N`: the last fifth is never visited. When the steps are many
    /// small indices repeat, which makes steps of no length that still cost an evaluation.
    /// // Song et al. 2021a, appendix D.2
    Quadratic,
}

impl Trajectory {
    /// The chosen indices, noisiest first.
    ///
    /// # Errors
    /// When `steps` is above `available` or below 2 (1 for `Quadratic`), or the trajectory cannot
    /// give every step an index of its own.
    pub fn indices(self, available: usize, steps: usize) -> Result<Vec<usize>, ScheduleError> {
        let fewest = if self == Self::Quadratic { 1 } else { 2 };
        if steps < fewest || steps > available {
            return Err(ScheduleError::StepsOutOfRange { steps, available });
        }
        let mut indices = match self {
            Self::Even => even(available, steps),
            Self::Power(power) => apart(&power_law(available, steps, power)?),
            Self::Quadratic => {
                let root = (available as f64 * 0.8).sqrt();
                let mut indices = linspace(steps, root, |value| (value * value) as usize);
                indices.reverse();
                indices
            }
        };
        match indices.last() {
            Some(last) if *last < available => {}
            _ => return Err(ScheduleError::StepsOutOfRange { steps, available }),
        }
        indices.reverse();
        Ok(indices)
    }
}

/// The stride is added up, step by step: at half-way points the rounding of the sum decides.
fn even(available: usize, steps: usize) -> Vec<usize> {
    let stride = (available - 1) as f64 / (steps - 1) as f64;
    let mut position = 1.0_f64;
    let mut next = || {
        let index = position.round_ties_even() as usize - 1;
        position += stride;
        index
    };
    (0..steps).map(|_| next()).collect()
}

/// Real positions, counted from 1, that rise from 1 to `available`.
fn power_law(available: usize, steps: usize, power: u32) -> Result<Vec<f64>, ScheduleError> {
    if power == 0 {
        let (name, allowed) = ("power of the trajectory", "a whole number from 1");
        return Err(ScheduleError::ParameterOutOfRange { name, value: 0.0, allowed });
    }
    let last = (steps - 1) as f64;
    let share = |k: usize| 1.0 - (k as f64 / last).powf(1.0 / f64::from(power));
    Ok((0..steps).rev().map(|k| (available - 1) as f64 * share(k) + 1.0).collect())
}

/// Rounds positions to indices from 0; one that is taken moves on to the next.
fn apart(positions: &[f64]) -> Vec<usize> {
    let mut free = 0;
    let mut take = |position: &f64| {
        let index = (position.round_ties_even() as usize - 1).max(free);
        free = index + 1;
        index
    };
    positions.iter().map(&mut take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares with indices counted from 1, cleanest first, as the papers print them.
    #[track_caller]
    fn check(trajectory: Trajectory, steps: usize, expected: &[usize]) {
        let indices = trajectory.indices(100, steps).unwrap();
        let counted: Vec<_> = indices.into_iter().rev().map(|index| index + 1).collect();
        assert_eq!(counted, expected);
    }

    #[test]
    fn published_trajectories_of_a_hundred_steps() {
        check(Trajectory::Even, 10, &[1, 12, 23, 34, 45, 56, 67, 78, 89, 100]);
        check(Trajectory::Power(2), 10, &[1, 7, 13, 19, 26, 34, 43, 53, 67, 100]);
        check(Trajectory::Power(3), 10, &[1, 5, 9, 14, 19, 24, 31, 40, 52, 100]);
        check(Trajectory::Quadratic, 10, &[1, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
    }

    #[test]
    fn all_but_the_quadratic_one_visit_both_ends_and_no_index_twice() {
        for steps in 2..=100 {
            for trajectory in [Trajectory::Even, Trajectory::Power(2), Trajectory::Power(3)] {
                let Ok(indices) = trajectory.indices(100, steps) else {
                    panic!("{trajectory:?} of {steps} steps");
                };
                assert_eq!((indices.len(), indices[0], indices[steps - 1]), (steps, 99, 0));
                assert!(indices.windows(2).all(|pair| pair[0] > pair[1]), "{trajectory:?} {steps}");
            }
        }
    }

    #[test]
    fn impossible_requests_are_refused() {
        for steps in [0, 1, 101] {
            let error = Trajectory::Even.indices(100, steps).unwrap_err();
            assert_eq!(error, ScheduleError::StepsOutOfRange { steps, available: 100 });
        }
        assert_eq!(Trajectory::Quadratic.indices(100, 1).unwrap(), [0]);
        assert!(Trajectory::Power(0).indices(100, 10).is_err());
    }
}
