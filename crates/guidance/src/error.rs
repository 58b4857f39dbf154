//! What can be wrong with guidance or a measurement.

use thiserror::Error;

/// A condition, a measurement or an option that makes no sense; found before any network runs.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum GuidanceError {
    /// Two arrays that belong together have different shapes.
    #[error("the {what} has shape {got:?}, expected {expected:?}")]
    ShapeMismatch {
        /// Which array.
        what: &'static str,
        /// Its shape.
        got: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// A mask with other values than 0 and 1.
    #[error("sample {sample} of the mask has values between 0 and 1, expected 1 (known) or 0 each")]
    MaskNotBinary {
        /// First sample with such a value.
        sample: usize,
    },
    /// A measurement that says nothing about the data.
    #[error("the measurement of {values} values knows none of them, expected at least one")]
    NothingKnown {
        /// Values of the batch.
        values: usize,
    },
    /// A measurement that leaves nothing to sample.
    #[error("the measurement knows all {values} values, expected at least one to be unknown")]
    EverythingKnown {
        /// Values of the batch.
        values: usize,
    },
    /// A product with a mask that is too large to decompose.
    #[error("a mask in a product mixes {values} values, expected at most {most}")]
    MaskTooLarge {
        /// Values that it mixes.
        values: usize,
        /// The most that it may.
        most: usize,
    },
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
    /// Guidance by nothing.
    #[error("no condition to guide by, expected at least one")]
    NoConditions,
    /// A condition for another number of samples than the first one.
    #[error("condition {index} is for {got} samples, expected {expected} as the first one")]
    ConditionLength {
        /// Its place, from 0.
        index: usize,
        /// Samples it is for.
        got: usize,
        /// Samples the first one is for.
        expected: usize,
    },
    /// A matrix that cannot be the change to other coordinates.
    #[error(
        "the matrix of {rows} rows and {columns} columns has no inverse, expected one that has"
    )]
    NotInvertible {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
    },
}
