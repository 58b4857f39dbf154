//! Training objectives of diffusion models.
//!
//! A network is shown `x_t = alpha x_0 + sigma eps` ([`noised`]) and asked for some linear form of
//! `x_0` and `eps` ([`target`], chosen by `Prediction`); the [`Distance`] says how an error is
//! counted, and `Objective` (feature `tch`) puts the two together. Everything up to the last line, the one
//! differentiable reduction, is arithmetic on `f64` coefficients (Ho et al. 2020, eq. 14).
//!
//! The terms of the variational bound on the likelihood, value by value: [`normal_kl`] and its kin.
//!
//! Feature `tch` adds the reduction on libtorch tensors.

#[cfg(doctest)]
mod derivations;
mod distance;
mod error;
mod forward;
#[cfg(feature = "tch")]
mod objective;
mod variational_bound;

pub use distance::Distance;
pub use error::LossError;
pub use forward::{noised, target};
#[cfg(feature = "tch")]
pub use objective::Objective;
pub use variational_bound::{
    Normal, NormalCdf, discretized_normal_log_likelihood, normal_kl, prior_kl,
};
