//! What can be wrong with a mixture.

use thiserror::Error;

/// A mixture that cannot be built, or a state that is none of its own.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum MixtureError {
    /// A mixture needs a part.
    #[error("the mixture has no part, expected at least 1")]
    NoParts,
    /// A number of a part is out of its range.
    #[error("{name} of part {part} is {value}, expected {allowed}")]
    PartOutOfRange {
        /// What the number is.
        name: &'static str,
        /// Position of the part, from 0.
        part: usize,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// The means have different numbers of coordinates, or none.
    #[error("the mean of part {part} has {got} coordinates, expected {expected}")]
    DimensionMismatch {
        /// Position of the part, from 0.
        part: usize,
        /// Coordinates of its mean.
        got: usize,
        /// Coordinates of the first part's mean, and at least 1.
        expected: usize,
    },
    /// A sample that is not made of whole points.
    #[error("a sample of {got} values, expected {dimension} or a multiple of it")]
    SampleLength {
        /// Values of the sample.
        got: usize,
        /// Coordinates of the mixture.
        dimension: usize,
    },
    /// Another number of classes than of parts.
    #[error("{got} classes for {expected} parts of the mixture, expected one each")]
    LabelsMismatch {
        /// Classes given.
        got: usize,
        /// Parts of the mixture.
        expected: usize,
    },
}
