//! Training objectives of diffusion models.
//!
//! A network is shown `x_t = alpha x_0 + sigma eps` ([`noised`]) and asked for some linear form of
//! `x_0` and `eps` ([`target`], chosen by `Prediction`). [`Denoising`] is every loss of that kind: a
//! [`Weighting`] says how much an error counts at which noise level, a [`Distance`] and a
//! [`Reduction`] how a sample's errors become one number. All of it is arithmetic on `f64`, planned
//! for the times of a batch ([`DenoisingPlan`]), but the last line, the one reduction
//! ([`LossSpace`]): values on `ndarray`, differentiable on libtorch tensors (feature `tch`).
//!
//! [`ScoreMatching`] needs no denoising target but the network's Jacobian: implicit and sliced.
//!
//! Times come from a [`TimeSampler`]: uniform, stratified, by importance, log-normal, of a chain, by
//! the losses seen ([`LossSecondMoment`]).
//!
//! The terms of the variational bound on the likelihood: [`normal_kl`] and its kin for single values, a
//! [`BoundChain`] for batches, a [`BoundLoss`] to train learned variances with.

mod denoising;
#[cfg(doctest)]
mod derivations;
mod distance;
mod error;
mod forward;
mod loss_space;
mod reduction;
mod score_matching;
mod time_sampler;
mod variational_bound;
mod weighting;

pub use denoising::{Denoising, DenoisingPlan};
pub use distance::Distance;
pub use error::LossError;
pub use forward::{noised, target};
pub use loss_space::{Counting, LossSpace};
pub use reduction::Reduction;
#[cfg(feature = "tch")]
pub use score_matching::jacobian_products;
pub use score_matching::{MatchingForm, ScoreMatching, ScoreMatchingPlan, Slices};
pub use time_sampler::{
    DiscreteTime, DrawnTime, ImportanceTime, LogNormalTime, LossSecondMoment, SamplerState,
    Stratified, TimeSampler, UniformTime,
};
pub use variational_bound::{
    Bins, BoundChain, BoundGradient, BoundLoss, BoundState, BoundStep, Decoder, NoisedBatch,
    Normal, NormalCdf, discretized_normal_log_likelihood, normal_kl, prior_kl, prior_kl_each,
};
pub use weighting::Weighting;
