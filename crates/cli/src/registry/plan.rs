//! A method made ready for a model: everything checked, nothing computed yet.

use super::adaptive::AdaptiveMethod;
use anyhow::Result;
use tch::Tensor;
use tweedie_samplers::{SampleError, Solver, sample_observed};
use tweedie_schedules::{TimeGrid, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn};

/// A method and where it goes.
pub(crate) enum Plan {
    /// Over a list of times.
    Steps {
        /// The method.
        solver: Box<dyn Solver<Tensor>>,
        /// The times.
        grid: TimeGrid,
    },
    /// As its tolerance allows.
    Adaptive {
        /// The method.
        method: Box<AdaptiveMethod>,
        /// Where it starts.
        start: TimePoint,
    },
}

impl Plan {
    /// The noisiest time, at which a run starts from noise alone.
    pub(crate) fn start(&self) -> TimePoint {
        match self {
            Self::Steps { grid, .. } => grid.start(),
            Self::Adaptive { start, .. } => *start,
        }
    }

    /// Network evaluations of a run, where they are known before it.
    ///
    /// # Errors
    /// When the method cannot walk these times.
    pub(crate) fn evaluations(&self) -> Result<Option<usize>> {
        Ok(match self {
            Self::Steps { solver, grid } => Some(solver.evaluations(grid)?),
            Self::Adaptive { .. } => None,
        })
    }

    /// Steps of a run, where they are known before it.
    pub(crate) fn steps(&self) -> Option<usize> {
        match self {
            Self::Steps { solver, grid } => Some(solver.steps(grid)),
            Self::Adaptive { .. } => None,
        }
    }

    /// Carries a batch of noise to data, and shows the state after each step where they are known.
    ///
    /// # Errors
    /// When the network or the noise source fails, or no step meets the tolerance.
    pub(crate) fn run(
        &self,
        score: &dyn ScoreFn<Tensor>,
        x: Tensor,
        noise: &mut dyn NoiseSource<Tensor>,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor, SampleError> {
        match self {
            Self::Steps { solver, .. } => self.run_by(&**solver, score, (x, noise), observe),
            Self::Adaptive { method, .. } => method.run(score, x, noise),
        }
    }

    /// The same over the list of times by another method; one that finds its steps goes its own way.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub(crate) fn run_by(
        &self,
        solver: &dyn Solver<Tensor>,
        score: &dyn ScoreFn<Tensor>,
        (x, noise): (Tensor, &mut dyn NoiseSource<Tensor>),
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor, SampleError> {
        match self {
            Self::Steps { grid, .. } => sample_observed(solver, score, grid, x, noise, observe),
            Self::Adaptive { method, .. } => method.run(score, x, noise),
        }
    }
}
