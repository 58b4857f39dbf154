//! DDIM with its two estimates apart: sampling with a mapped data estimate, and encoding.
//!
//! `x_s = alpha_s x0_hat + sqrt(sigma_s^2 - c^2) eps_hat + c z`, Song et al. 2021a, eq. 12, where both
//! estimates come straight from the network's output. In `OneStep(Ddim)` the noise follows from the
//! data; here the data estimate may be changed alone, and the state may hold no noise at all.
//! One evaluation a step, first order.

use crate::predictor::{Ddim, DdimParts};
use crate::{SampleError, Solver, Stepper, sample};
use tweedie_schedules::{Interval, Prediction, TimeGrid, TimePoint};
use tweedie_score::{
    DataMap, NoiseSource, ScoreError, ScoreFn, Silent, Times, Unchanged, VectorSpace,
};

/// DDIM whose data estimate goes through a map while the noise stays as the network has it.
///
/// With a [`MapData`](tweedie_score::MapData) around the network the noise would follow the mapped
/// data; samplers have been published with either.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DdimKeepingNoise<M> {
    /// The method.
    pub ddim: Ddim,
    /// The map of the data estimate.
    pub map: M,
}

/// Deterministic encoding: DDIM without noise, walked from data to noise (DDIM inversion).
///
/// It runs on the [`reversed`](TimeGrid::reversed) grid of the sampling that decodes. Sampling from the
/// result gives the data back up to an error of first order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoding<M = Unchanged> {
    /// The time the network is told.
    pub asked: Asked,
    /// The map of the data estimate; the noise stays as the network has it.
    pub map: M,
}

/// The time a network is told in a step of encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    /// That of the state, the cleaner end of the step. Dhariwal and Nichol's code.
    #[default]
    Here,
    /// That of the noisier end, where decoding asks in the same interval, although the state is not there
    /// yet. The code of diffusers.
    Ahead,
}

/// Carries data `x` to its latent, over the intervals of a sampling `grid` walked backwards.
///
/// # Errors
/// When the network fails, or predicts data and the grid ends clean: the noise in a state without
/// noise cannot be told from the data.
pub fn encode<S: VectorSpace>(
    score: &dyn ScoreFn<S>,
    grid: &TimeGrid,
    x: S,
) -> Result<S, SampleError> {
    sample(&Encoding::<Unchanged>::default(), score, &grid.clone().reversed(), x, &mut Silent)
}

struct Steps<'a, M> {
    intervals: &'a [Interval],
    parts: Vec<DdimParts>,
    asked: Asked,
    map: &'a M,
}

/// The steps of `ddim` over a grid.
fn plan(ddim: Ddim, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
    if grid.is_empty() {
        return Err(SampleError::EmptyGrid);
    }
    let checked = |(step, interval): (usize, &Interval)| {
        let parts = ddim.parts(*interval);
        if parts.noise.is_nan() {
            let (from, to) = (interval.from.t, interval.to.t);
            let reason = "it leads to more noise, where only eta = 0 goes";
            return Err(SampleError::ImpossibleStep { step, from, to, reason });
        }
        Ok(parts)
    };
    grid.intervals().iter().enumerate().map(checked).collect()
}

impl<S: VectorSpace, M: DataMap<S>> Solver<S> for DdimKeepingNoise<M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), plan(self.ddim, grid)?);
        Ok(Box::new(Steps { intervals, parts, asked: Asked::Here, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(plan(self.ddim, grid)?.len())
    }
}

impl<M> Encoding<M> {
    fn parts(&self, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
        let descends = |interval: &Interval| interval.h() > 0.0;
        if let Some(step) = grid.intervals().iter().position(descends) {
            let Interval { from, to } = grid.intervals()[step];
            let reason = "it leads to less noise; expected the reversed grid of a sampling";
            return Err(SampleError::ImpossibleStep { step, from: from.t, to: to.t, reason });
        }
        plan(Ddim::DETERMINISTIC, grid)
    }
}

impl<S: VectorSpace, M: DataMap<S>> Solver<S> for Encoding<M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), self.parts(grid)?);
        Ok(Box::new(Steps { intervals, parts, asked: self.asked, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.parts(grid)?.len())
    }
}

impl<M> Steps<'_, M> {
    /// The mean of the step: both estimates are read at the level of the state, `here`.
    fn mean<S: VectorSpace>(
        &self,
        parts: DdimParts,
        (here, asked): (TimePoint, TimePoint),
        x: &S,
        score: &dyn ScoreFn<S>,
    ) -> Result<S, ScoreError>
    where
        M: DataMap<S>,
    {
        let output = score.predict(x, Times::Shared(asked))?;
        let (data_x, data_output) = score.conversion(Prediction::Data, here)?;
        let (eps_x, eps_output) = score.conversion(Prediction::Noise, here)?;
        let data = S::combine(&[(data_x, x), (data_output, &output)]);
        let data = self.map.map(data, Times::Shared(here))?;
        let terms =
            [(parts.data, &data), (parts.eps * eps_x, x), (parts.eps * eps_output, &output)];
        Ok(S::combine(&terms))
    }
}

impl<S: VectorSpace, M: DataMap<S>> Stepper<S> for Steps<'_, M> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (interval, parts) = (self.intervals[index], self.parts[index]);
        let asked = match self.asked {
            Asked::Here => interval.from,
            Asked::Ahead => interval.to,
        };
        let mean = self
            .mean(parts, (interval.from, asked), &x, score)
            .map_err(|source| SampleError::Score { step: index, t: asked.t, source })?;
        if parts.noise == 0.0 {
            return Ok(mean);
        }
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        Ok(S::combine(&[(1.0, &mean), (parts.noise, &z)]))
    }
}
