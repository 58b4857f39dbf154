//! One file for each command.

pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod evaluate;
pub(crate) mod plan;
pub(crate) mod sample;
pub(crate) mod schedule;
pub(crate) mod train;
