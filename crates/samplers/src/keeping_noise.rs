//! One-step methods whose data estimate is mapped while the noise stays the network's.
//!
//! One evaluation a step; the order is the method's own where the map changes nothing.

use crate::estimates_apart::EstimatesApart;
use crate::predictor::DdimParts;
use crate::{Asked, OneStep, Predictor, SampleError, Solver, StepCoefficients, Stepper};
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid};
use tweedie_score::{DataMap, VectorSpace};

/// A one-step method whose data estimate goes through a map while the noise stays as the network has
/// it: DDIM and [`AnalyticDpm`](crate::AnalyticDpm) as published.
///
/// With a [`MapData`](tweedie_score::MapData) around the network the noise would follow the mapped
/// data; samplers have been published with either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeepingNoise<P, M> {
    /// The method.
    pub predictor: P,
    /// The map of the data estimate.
    pub map: M,
}

impl<P: Predictor, M> KeepingNoise<P, M> {
    /// The steps over a grid, with `x_t = alpha_t x0_hat + sigma_t eps_hat` put into each.
    fn parts(&self, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
        let apart = |(step, interval): (StepCoefficients, &Interval)| {
            let NoiseLevel { alpha, sigma } = interval.from.level;
            DdimParts { data: step.data + step.x * alpha, eps: step.x * sigma, noise: step.noise }
        };
        let steps = OneStep(&self.predictor).coefficients(grid)?;
        Ok(steps.into_iter().zip(grid.intervals()).map(apart).collect())
    }
}

impl<S: VectorSpace, P: Predictor, M: DataMap<S>> Solver<S> for KeepingNoise<P, M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), self.parts(grid)?);
        Ok(Box::new(EstimatesApart { intervals, parts, asked: Asked::Here, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.parts(grid)?.len())
    }
}
