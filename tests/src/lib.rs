//! Tests across the crates of the workspace; there is nothing to use here, see `tests/`.
//!
//! With `--no-default-features` everything that needs libtorch is left out.
