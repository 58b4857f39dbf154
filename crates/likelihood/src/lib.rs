//! How likely data is under a diffusion model.
//!
//! [`FlowLikelihood`] integrates the probability flow and the divergence along it: the exact log density
//! of the flow, up to the tolerance and the variance of the probes ([`Divergence`]).
//!
//! [`DataScaling`] makes bits per dimension of log densities and dequantizes the data, [`FlowSummary`] takes
//! the mean over many batches, and [`prior_share`] and [`lower_limit_share`] say what the two ends of the flow
//! add. [`slerp`] leads from one latent to another, and
//! [`RoundTripError`] is how far states end from themselves after the way there and back.
//!
//! ```
//! use tweedie_closed_form::{ExactScore, Mixture};
//! use tweedie_likelihood::{DataScaling, FlowLikelihood};
//! use tweedie_samplers::RungeKutta;
//! use tweedie_schedules::{Prediction, VpLinear};
//! use tweedie_score::Seeded;
//!
//! let data = Mixture::gaussian(vec![0.2, -0.1], 0.4)?;
//! let x = data.draw(3, &mut Seeded::new(0))?;
//! let sde = VpLinear::new(0.1, 20.0)?.with_time_range(1e-5, 1.0)?;
//! let likelihood = FlowLikelihood::new(sde, RungeKutta::new(1e-5, 1e-5)?);
//! let score = ExactScore::new(data, Prediction::Noise);
//! let run = likelihood.run(&score, x, &mut Seeded::new(1))?;
//! let bits = run.log_density().into_iter().map(|nats| DataScaling::BYTES.bits_per_dimension(nats, 2));
//! println!("{:?} in {} evaluations", bits.collect::<Vec<_>>(), run.counters.evaluations);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
mod interpolation;
mod round_trip;
mod shares;
mod with_log_density;

pub use bound::{BoundSummary, BoundTerms, StepSummary, StepTerm, VariationalBound};
pub use data_scaling::DataScaling;
pub use divergence::{Divergence, LARGEST_EXACT_TRACE, ProbeKind};
pub use error::LikelihoodError;
pub use flow::{FlowLikelihood, FlowRun};
pub use flow_summary::{FlowSummary, Shares};
pub use interpolation::slerp;
pub use round_trip::RoundTripError;
pub use shares::{lower_limit_share, prior_share};
pub use with_log_density::WithLogDensity;
