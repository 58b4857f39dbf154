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
    /// A time limit outside of what the schedule covers.
    #[error("the likelihood is asked at t = {t}, expected a time in [{low}, {high})")]
    TimeOutsideRange {
        /// The time asked for.
        t: f64,
        /// Cleanest time of the schedule.
        low: f64,
        /// Noisiest time of the schedule.
        high: f64,
    },
    /// Data that hold a value which is not finite.
    #[error(
        "sample {sample} of the batch holds a value that is not finite, expected numbers alone"
    )]
    NotFinite {
        /// Position in the batch, from 0.
        sample: usize,
    },
    /// A term of the bound, or an error in it, that is not finite: the network returned no estimate.
    #[error(
        "step {step} from t = {t}: the {name} of sample {sample} is {value}, expected a finite value (the \
         network may have returned one that is not)"
    )]
    TermNotFinite {
        /// The step of the chain, from 0, noisiest first.
        step: usize,
        /// Time at which the network was called.
        t: f64,
        /// Position in the batch, from 0.
        sample: usize,
        /// `term` or `error of the data`.
        name: &'static str,
        /// Its value.
        value: f64,
    },
    /// A batch without samples, or samples without values.
    #[error("the batch has {samples} samples of {values} values, expected at least 1 of each")]
    NoData {
        /// Samples of the batch.
        samples: usize,
        /// Values of one.
        values: usize,
    },
    /// An exact trace of samples that are too large for it.
    #[error(
        "the exact trace is asked for samples of {values} values, expected at most {most}: use probes"
    )]
    ExactTrace {
        /// Values of a sample.
        values: usize,
        /// The most for which the trace is taken exactly.
        most: usize,
    },
    /// Another number of values than samples.
    #[error("{got} densities for {samples} samples, expected one each")]
    DensityCount {
        /// Densities given.
        got: usize,
        /// Samples of the batch.
        samples: usize,
    },
    /// Two batches of different shapes.
    #[error("one batch has the shape {a:?}, the other {b:?}, expected the same")]
    ShapeMismatch {
        /// Lengths of the axes of one.
        a: Vec<usize>,
        /// Those of the other.
        b: Vec<usize>,
    },
    /// Two states between which the way around the sphere is not determined.
    #[error(
        "sample {sample} of one batch is opposite to that of the other: no way between them is the shortest"
    )]
    Opposite {
        /// Position in the batch, from 0.
        sample: usize,
    },
    /// The times make no chain that has a bound.
    #[error("there is no bound for this chain")]
    Chain(#[from] tweedie_losses::LossError),
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
