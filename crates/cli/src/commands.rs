//! One file for each command.

pub(crate) mod colorize;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod evaluate;
pub(crate) mod inpaint;
pub(crate) mod interpolate;
pub(crate) mod likelihood;
pub(crate) mod model;
pub(crate) mod plan;
pub(crate) mod restore;
pub(crate) mod sample;
pub(crate) mod schedule;
pub(crate) mod train;
