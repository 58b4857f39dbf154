//! What can go wrong when a likelihood is asked for.

use thiserror::Error;
use tweedie_samplers::SampleError;
use tweedie_score::{NoiseError, ScoreError};

/// A likelihood that cannot be given.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum LikelihoodError {
    /// A parameter is outside its range.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// The integration of the flow failed, or a chain cannot be walked as asked.
    #[error("the run over the times failed")]
    Run(#[from] SampleError),
    /// The network failed.
    #[error("the network gave no prediction at t = {t}")]
    Score {
        /// Time at which the network was called.
        t: f64,
        /// Its error.
        source: ScoreError,
    },
    /// The noise source failed.
    #[error("no noise")]
    Noise(#[from] NoiseError),
}
