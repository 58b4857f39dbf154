//! Names on the command line to values of the library: nowhere else is a string turned into a method.

mod method;
mod parameters;
mod sampler;
pub(crate) mod schedules;
mod spacing;

pub(crate) use method::Method;
