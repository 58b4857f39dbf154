//! What can be wrong with an objective.

use thiserror::Error;

/// An objective that cannot be built from the values given.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum LossError {
    /// The Huber distance needs a positive scale.
    #[error("huber delta is {delta}, expected a value above 0")]
    DeltaOutOfRange {
        /// What was got.
        delta: f64,
    },
}
