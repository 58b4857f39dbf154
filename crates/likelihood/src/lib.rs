//! How likely data is under a diffusion model.
//!
//! [`FlowLikelihood`] integrates the probability flow and the divergence along it: the exact log density
//! of the flow, up to the tolerance and the variance of the probes ([`Divergence`]).
//!
//! [`VariationalBound`] gives the bound of the chain that ancestral sampling walks, term by term.
//!
//! Errors are [`LikelihoodError`].

mod bound;
mod data_scaling;
#[cfg(doctest)]
mod derivations;
mod divergence;
mod error;
mod flow;
mod with_log_density;

pub use bound::{BoundTerms, StepTerm, VariationalBound};
pub use data_scaling::DataScaling;
pub use divergence::{Divergence, LARGEST_EXACT_TRACE, ProbeKind};
pub use error::LikelihoodError;
pub use flow::{FlowLikelihood, FlowRun};
pub use with_log_density::WithLogDensity;
