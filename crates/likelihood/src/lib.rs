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
mod flow_summary;
mod shares;
mod with_log_density;

pub use bound::{BoundSummary, BoundTerms, StepSummary, StepTerm, VariationalBound};
pub use data_scaling::DataScaling;
pub use divergence::{Divergence, LARGEST_EXACT_TRACE, ProbeKind};
pub use error::LikelihoodError;
pub use flow::{FlowLikelihood, FlowRun};
pub use flow_summary::{FlowSummary, Shares};
pub use shares::{lower_limit_share, prior_share};
pub use with_log_density::WithLogDensity;
