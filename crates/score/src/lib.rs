//! The seam between networks and samplers.
//!
//! A sampler needs three things from its surroundings, and each is one small trait here:
//! - a state it can form linear combinations of: [`VectorSpace`], and [`Batch`] where it must tell
//!   samples apart ([`Elementwise`] where it must look at single values, [`Threshold`] for quantiles,
//!   [`Axes`] where it mixes values along one axis, [`ErrorNorm`] where it adapts its steps);
//! - an estimate of the score: [`ScoreFn`], with [`ConditionalScoreFn`] for networks that take a class and
//!   [`DifferentiableScoreFn`] where its derivative is needed;
//! - randomness: [`NoiseSource`]. Nobody else draws any while sampling, so that a run can be repeated
//!   ([`Seeded`]), made independent of the batch size ([`PerSample`]) or replayed ([`Replay`]).
//!
//! What stands between network and sampler is a decorator on [`ScoreFn`]: [`MapData`] clips or
//! thresholds the data estimate, [`WatchData`] shows it, [`PosteriorMeans`] reads networks that
//! predict the mean one step down their chain.
//!
//! [`ReverseNoise`] says what the variance of a reverse step is, fixed or by the values that a network
//! gives beside its prediction.
//!
//! Backends: `ndarray` arrays of `f32` and `f64` (feature `ndarray`, on by default) and
//! `tch::Tensor` (feature `tch`). The whole of the numerics is tested on the first.

mod axes;
mod backend;
mod condition_gradient;
mod conditional;
pub mod conformance;
mod data_map;
mod differentiable;
mod error;
mod error_norm;
mod noise;
mod posterior_means;
mod probe;
mod reverse_noise;
mod score_fn;
mod threshold;
mod vector_space;
mod watch_data;

pub use axes::Axes;
pub use condition_gradient::ConditionGradient;
pub use conditional::{ConditionalScoreFn, Conditioned};
pub use data_map::{Clip, DataMap, MapData, Unchanged};
pub use differentiable::{DifferentiableConditionalScoreFn, DifferentiableScoreFn};
pub use error::{NoiseError, ScoreError};
pub use error_norm::{ErrorNorm, Tolerance};
pub use noise::{Draw, NoiseSource, PerSample, Replay, Seeded, Silent, stream_rng};
pub use posterior_means::PosteriorMeans;
pub use probe::{ProbeKind, unit_like};
pub use reverse_noise::{Deviation, Learned, ReverseNoise};
pub use score_fn::{ScoreFn, Times};
pub use threshold::{DynamicThreshold, Threshold};
pub use vector_space::{Batch, Elementwise, VectorSpace};
pub use watch_data::WatchData;
