//! The seam between networks and samplers.
//!
//! A sampler needs three things from its surroundings, and each is one small trait here:
//! - a state it can form linear combinations of: [`VectorSpace`], and [`Batch`] where it must tell
//!   samples apart ([`Elementwise`] where it must look at single values, [`ErrorNorm`] where it adapts
//!   its steps);
//! - an estimate of the score: [`ScoreFn`], with [`ConditionalScoreFn`] for networks that take a class;
//! - randomness: [`NoiseSource`]. Nobody else draws any while sampling, so that a run can be repeated
//!   ([`Seeded`]), made independent of the batch size ([`PerSample`]) or replayed ([`Replay`]).
//!
//! Backends: `ndarray` arrays of `f32` and `f64` (feature `ndarray`, on by default) and
//! `tch::Tensor` (feature `tch`). The whole of the numerics is tested on the first.

mod backend;
mod clip;
mod condition_gradient;
mod conditional;
pub mod conformance;
mod error;
mod error_norm;
mod noise;
mod score_fn;
mod vector_space;

pub use clip::ClipData;
pub use condition_gradient::ConditionGradient;
pub use conditional::{ConditionalScoreFn, Conditioned};
pub use error::{NoiseError, ScoreError};
pub use error_norm::{ErrorNorm, Tolerance};
pub use noise::{Draw, NoiseSource, PerSample, Replay, Seeded, stream_rng};
pub use score_fn::{ScoreFn, Times};
pub use vector_space::{Batch, Elementwise, VectorSpace};
