//! How likely data is under a diffusion model.
//!
//! Errors are [`LikelihoodError`].

mod error;

pub use error::LikelihoodError;
