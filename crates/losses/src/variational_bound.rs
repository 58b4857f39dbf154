//! The variational bound on the likelihood, term by term, in nats.
//!
//! `-ln p(x_0) <= L_T + sum of L_t + L_0` (Ho et al. 2020, eq. 5): how far the end of the forward process
//! is from the prior ([`prior_kl`]), how far each reverse step is from the posterior ([`normal_kl`]),
//! and how well the last step tells which of its [`Bins`] a value lies in.
//!
//! A [`BoundChain`] plans the terms of all steps of a grid as numbers, and gives those of a batch value by
//! value ([`BoundChain::terms`]): on arrays for a likelihood, on tensors for training ([`BoundLoss`]). With one step it is
//! the bound of a variational auto-encoder whose encoder is fixed.

mod bins;
mod chain;
mod loss;
mod ndarray_state;
mod normal;
mod state;
#[cfg(feature = "tch")]
mod tch_state;
mod terms;

pub use bins::{Bins, NormalCdf, discretized_normal_log_likelihood};
pub use chain::{BoundChain, BoundStep, Decoder};
pub use loss::{BoundGradient, BoundLoss};
pub use normal::{Normal, normal_kl, prior_kl, prior_kl_each};
pub use state::BoundState;
pub use terms::NoisedBatch;
