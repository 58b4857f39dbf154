//! The state between the ends of a step.

use super::field::Field;
use super::tableau::Tableau;
use crate::SampleError;
use tweedie_score::VectorSpace;

/// One accepted step, from which the state at any time within it can be computed.
#[derive(Debug)]
pub struct Interpolant<S> {
    pub(super) tableau: Tableau,
    /// Time at which the step begins.
    pub(super) from: f64,
    /// Its signed size.
    pub(super) h: f64,
    /// The state at its beginning.
    pub(super) x: S,
    /// All stages; those that only the interpolant needs are added by `complete`.
    pub(super) stages: Vec<S>,
}

impl<S: VectorSpace> Interpolant<S> {
    /// The time at which the step ends.
    #[must_use]
    pub fn end(&self) -> f64 {
        self.from + self.h
    }

    /// The state at time `t`, which may lie outside the step at the price of accuracy.
    #[must_use]
    pub fn at(&self, t: f64) -> S {
        let share = (t - self.from) / self.h;
        advance(&self.x, self.h, &self.tableau.dense_weights(share), &self.stages)
    }

    /// Evaluates the stages that only the interpolant needs, once.
    pub(super) fn complete(&mut self, field: &mut Field<'_, S>) -> Result<(), SampleError> {
        let dense = self.tableau.dense;
        let have = self.stages.len() - self.tableau.weights.len() - 1;
        for (node, row) in dense.nodes.iter().zip(dense.stages).skip(have) {
            let x = advance(&self.x, self.h, row, &self.stages);
            self.stages.push(field.at(self.from + node * self.h, &x)?);
        }
        Ok(())
    }

    /// The slope at the end of the step.
    pub(super) fn last_slope(&self) -> &S {
        &self.stages[self.tableau.weights.len()]
    }

    /// The slope at the end of the step, taken out.
    pub(super) fn into_last_slope(mut self) -> S {
        self.stages.swap_remove(self.tableau.weights.len())
    }
}

/// `x + h sum of weight * stage`. The slopes are summed on their own: the state, which is larger, rounds
/// that sum once, and the error estimate of a tight tolerance is not lost in it.
pub(super) fn advance<S: VectorSpace>(x: &S, h: f64, weights: &[f64], stages: &[S]) -> S {
    let slopes = weights.iter().zip(stages).filter(|(weight, _)| **weight != 0.0);
    let terms: Vec<_> = slopes.map(|(weight, stage)| (*weight, stage)).collect();
    if terms.is_empty() {
        return S::combine(&[(1.0, x)]);
    }
    S::combine(&[(h, &S::combine(&terms)), (1.0, x)])
}

/// The state at every time of a run.
#[derive(Debug)]
pub struct DenseOutput<S> {
    pub(super) steps: Vec<Interpolant<S>>,
    /// 1 forward in time, -1 backward.
    pub(super) direction: f64,
}

impl<S: VectorSpace> DenseOutput<S> {
    /// The state at time `t`, which may lie outside the run at the price of accuracy. Where two
    /// steps meet it is the end of the first.
    #[must_use]
    pub fn at(&self, t: f64) -> S {
        let before = |step: &Interpolant<S>| (t - step.end()) * self.direction > 0.0;
        let index = self.steps.partition_point(before).min(self.steps.len() - 1);
        self.steps[index].at(t)
    }

    /// The accepted steps, in the order taken.
    #[must_use]
    pub fn steps(&self) -> &[Interpolant<S>] {
        &self.steps
    }
}
