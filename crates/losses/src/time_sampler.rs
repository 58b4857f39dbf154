//! At which times an objective is looked at, and what a loss found there counts.
//!
//! A loss is a mean over times, `E[ loss(t) ]` under some law, mostly the uniform one. A sampler may draw
//! from another law with density `p` and multiply each loss by `1 / p` (relative to the law meant): the
//! mean stays, its variance changes. Everything here is made from numbers uniform in `[0, 1)`, one a
//! sample.

mod discrete;
mod importance;
mod log_normal;
mod loss_second_moment;
mod stratified;
mod uniform;

pub use discrete::DiscreteTime;
pub use importance::ImportanceTime;
pub use log_normal::LogNormalTime;
pub use loss_second_moment::LossSecondMoment;
pub use stratified::Stratified;
pub use uniform::UniformTime;

use crate::LossError;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A time, and what the loss found there is multiplied by so that its mean is that of the law meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DrawnTime {
    /// The time, in units of the schedule.
    pub t: f64,
    /// The factor on the loss: 1 where times are drawn from the law meant.
    pub weight: f64,
}

/// What a sampler has learnt, to be saved with a run: rows of numbers whose meaning is the sampler's
/// own. Empty for one that learns nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SamplerState {
    /// The rows.
    pub rows: Vec<Vec<f64>>,
}

/// A law of times.
pub trait TimeSampler: Debug {
    /// One time for each number, which is uniform in `[0, 1)`; rising with it.
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime>;

    /// Takes note of the losses found at times it drew, before they are multiplied by their weights.
    /// Most samplers learn nothing.
    ///
    /// # Errors
    /// When the lists differ in length, or a time is not one that the sampler draws.
    fn observe(&mut self, times: &[f64], losses: &[f64]) -> Result<(), LossError> {
        if times.len() == losses.len() {
            return Ok(());
        }
        Err(LossError::BatchMismatch { name: "losses", got: losses.len(), batch: times.len() })
    }

    /// What it has learnt so far.
    fn state(&self) -> SamplerState {
        SamplerState::default()
    }

    /// Goes on from what it had learnt when `state` was saved.
    ///
    /// # Errors
    /// When the state is not one of this sampler's.
    fn resume(&mut self, state: &SamplerState) -> Result<(), LossError> {
        match state.rows.len() {
            0 => Ok(()),
            got => Err(LossError::StateMismatch { got, expected: 0 }),
        }
    }
}

impl<T: TimeSampler + ?Sized> TimeSampler for Box<T> {
    fn draw(&self, uniform: &[f64]) -> Vec<DrawnTime> {
        (**self).draw(uniform)
    }

    fn observe(&mut self, times: &[f64], losses: &[f64]) -> Result<(), LossError> {
        (**self).observe(times, losses)
    }

    fn state(&self) -> SamplerState {
        (**self).state()
    }

    fn resume(&mut self, state: &SamplerState) -> Result<(), LossError> {
        (**self).resume(state)
    }
}

/// # Errors
/// When not `first < last`, both finite.
fn check_range(first: f64, last: f64) -> Result<(), LossError> {
    if first < last && first.is_finite() && last.is_finite() {
        Ok(())
    } else {
        Err(LossError::TimeRange { first, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_that_learns_nothing_has_nothing_to_save() {
        let mut sampler: Box<dyn TimeSampler> = Box::new(UniformTime::new(0.1, 1.0).unwrap());
        sampler.observe(&[0.5], &[2.0]).unwrap();
        let state = sampler.state();
        assert_eq!(state, SamplerState::default());
        sampler.resume(&state).unwrap();
        let error = sampler.resume(&SamplerState { rows: vec![vec![1.0]] }).unwrap_err();
        assert_eq!(error, LossError::StateMismatch { got: 1, expected: 0 });
        assert!(sampler.observe(&[0.5], &[]).is_err());
    }
}
