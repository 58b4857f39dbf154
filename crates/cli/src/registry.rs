//! Names on the command line to values of the library: nowhere else is a string turned into a method.

mod adaptive;
mod hold;
mod method;
mod parameters;
mod plan;
mod sampler;
pub(crate) mod schedules;
mod spacing;
mod span;
mod walk;
mod way;

pub(crate) use adaptive::MOST_EVALUATIONS;
pub(crate) use method::{Method, NO_VARIANCE};
pub(crate) use plan::Plan;
pub(crate) use spacing::{SpacingName, most_steps};
pub(crate) use span::span;
pub(crate) use way::Way;
