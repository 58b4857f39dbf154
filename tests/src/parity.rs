//! Numerical parity with other implementations.
//!
//! A case was recorded from a peer on a small problem whose exact score is known, with every random
//! draw written down. [`run`] maps a [`Case`] to the library by its fields alone, and compares all
//! of its outputs and the number of network evaluations.

mod case;
mod compare;
mod families;
mod fields;
mod formula;
mod mixture;
mod produced;
mod schedule;
mod skips;

pub use case::{Case, CaseFile, Recorded, Sampler};
pub use compare::Verdict;
pub use families::run;
pub use fields::Fields;
pub use mixture::{Exact, Mixture};
pub use produced::{Output, Produced};
pub use skips::reason_to_skip;
