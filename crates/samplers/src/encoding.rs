//! From data to its latent: the probability flow walked backwards.
//!
//! `x_t = alpha_t x0_hat(x_s) + sigma_t eps_hat(x_s)`, Song et al. 2021a, sec. 4.3: DDIM without noise,
//! with the ends of each step exchanged. One evaluation a step, first order.
//! Derivation: docs/derivations/ddim.md.

use crate::estimates_apart::EstimatesApart;
use crate::predictor::{Ddim, DdimParts};
use crate::{SampleError, Solver, Stepper, sample};
use tweedie_schedules::{Interval, TimeGrid};
use tweedie_score::{DataMap, ScoreFn, Silent, Unchanged, VectorSpace};

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

impl<M> Encoding<M> {
    fn parts(&self, grid: &TimeGrid) -> Result<Vec<DdimParts>, SampleError> {
        let descends = |interval: &Interval| interval.h() > 0.0;
        if let Some(step) = grid.intervals().iter().position(descends) {
            let Interval { from, to } = grid.intervals()[step];
            let reason = "it leads to less noise; expected the reversed grid of a sampling";
            return Err(SampleError::ImpossibleStep { step, from: from.t, to: to.t, reason });
        }
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let parts = |interval: &Interval| Ddim::DETERMINISTIC.parts(*interval);
        Ok(grid.intervals().iter().map(parts).collect())
    }
}

impl<S: VectorSpace, M: DataMap<S>> Solver<S> for Encoding<M> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, parts) = (grid.intervals(), self.parts(grid)?);
        Ok(Box::new(EstimatesApart { intervals, parts, asked: self.asked, map: &self.map }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.parts(grid)?.len())
    }
}
