//! What can be wrong with an SDE's options.

use thiserror::Error;

/// An SDE or a discretization that cannot be built from the values given.
#[non_exhaustive]
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SdeError {
    /// A parameter outside its range.
    #[error("{name} is {value}, expected {allowed}")]
    ParameterOutOfRange {
        /// Name of the parameter.
        name: &'static str,
        /// What was got.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A table of steps whose step adds more variance than the state may have.
    #[error(
        "beta[{index}] is {value} with {steps} steps, expected a value in (0, 1]: \
         take more steps than beta_max"
    )]
    BetaOutOfRange {
        /// Position in the table, from 0.
        index: usize,
        /// The variance that step would add.
        value: f64,
        /// Number of steps of the table.
        steps: usize,
    },
}

impl SdeError {
    /// `value` when `allowed` holds, else the error that names it.
    pub(crate) fn check(
        name: &'static str,
        value: f64,
        holds: bool,
        allowed: &'static str,
    ) -> Result<f64, Self> {
        if holds { Ok(value) } else { Err(Self::ParameterOutOfRange { name, value, allowed }) }
    }
}
