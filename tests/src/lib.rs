//! Tests across the crates of the workspace, see `tests/`. What is here is the test bench of numerical
//! [`parity`] with other implementations.
//!
//! With `--no-default-features` everything that needs libtorch is left out.

pub mod parity;
