//! What can go wrong in a network or a noise source while sampling.

use thiserror::Error;

/// A network that could not give a prediction.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum ScoreError {
    /// The number of times given is not the number of samples.
    #[error("{times} times for a batch of {batch}, expected one for each sample")]
    TimesMismatch {
        /// Times given.
        times: usize,
        /// Samples in the batch.
        batch: usize,
    },
    /// The number of conditions given is not the number of samples.
    #[error("{conditions} conditions for a batch of {batch}, expected one for each sample")]
    ConditionsMismatch {
        /// Conditions given.
        conditions: usize,
        /// Samples in the batch.
        batch: usize,
    },
    /// A class that the network was not trained on.
    #[error("class {class} asked of a network with {classes} classes, expected 0 to {}", classes.saturating_sub(1))]
    ClassOutOfRange {
        /// The class asked for.
        class: usize,
        /// Number of classes of the network.
        classes: usize,
    },
    /// A parameter of a decorator is outside its range.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A prediction that does not determine what a sampler needs.
    #[error(
        "the prediction does not determine what is needed at t = {t} (alpha {alpha}, sigma {sigma}); \
         expected another time or a network that predicts velocity, which serves at every level"
    )]
    Undetermined {
        /// Time of the call.
        t: f64,
        /// Signal coefficient there.
        alpha: f64,
        /// Noise standard deviation there.
        sigma: f64,
    },
    /// Samples at times of their own, where a method needs one time for all.
    #[error("{times} times for one call, expected one that all samples share")]
    TimesNotShared {
        /// Times given.
        times: usize,
    },
    /// A network that learns no variance, where a method needs one.
    #[error("the network predicts no variance, expected one that learns it")]
    NoVariance,
    /// Someone asked for the run to end, and the network was not called again.
    #[error("stopped before the next call of the network, as asked")]
    Stopped,
    /// An error of the network itself.
    #[error("the network failed")]
    Network(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A noise source that could not give what was asked.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum NoiseError {
    /// A replay has no draw left.
    #[error("the recording holds {recorded} draws, one more was asked for")]
    Exhausted {
        /// Number of draws in the recording.
        recorded: usize,
    },
    /// A recorded draw has another size than the state it is asked for.
    #[error("draw {index} of the recording holds {got} values, expected {expected}")]
    SizeMismatch {
        /// Position in the recording, from 0.
        index: usize,
        /// Values it holds.
        got: usize,
        /// Values asked for.
        expected: usize,
    },
    /// A recorded value that is no index of what it is to choose from.
    #[error(
        "draw {index} of the recording holds {value}, expected a whole number from 0 and below {below}"
    )]
    NoIndex {
        /// Position in the recording, from 0.
        index: usize,
        /// The value.
        value: f64,
        /// The number of things to choose from.
        below: usize,
    },
    /// A batch of another size than the source was made for.
    #[error("a batch of {got} samples, expected {expected} (one stream of noise each)")]
    BatchMismatch {
        /// Samples in the batch.
        got: usize,
        /// Streams of the source.
        expected: usize,
    },
}
