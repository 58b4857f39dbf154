//! Reads pickles without running anything in them.
//!
//! A pickle is a program for a small stack machine, and in Python it may import and call whatever it
//! names. The machine here knows a short [list of names](allowed): what rebuilds tensors, and plain
//! containers. None of them is called; each is a case in [`rebuild`] that makes plain values. Every
//! other name ends the reading with an error that says it.
//!
//! Values live in one [`Graph`] and refer to each other by number, so that a pickle with values inside
//! themselves, or nested beyond all measure, costs no more than its length: nothing here recurses, and
//! shared values are never copied. What a pickle may make the machine allocate is bounded.

mod allowed;
mod error;
mod graph;
mod input;
mod instruction;
mod machine;
mod numpy;
mod rebuild;

pub use error::PickleError;
pub(crate) use graph::{Graph, Node, NodeId, NumpyArray, StorageClaim, TensorClaim};
pub(crate) use input::Input;
pub(crate) use machine::load;
