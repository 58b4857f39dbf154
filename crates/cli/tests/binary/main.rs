//! The binary from outside: what a person types, and what comes back.

mod foreign;
mod guidance;
mod interrupt;
mod inverse;
mod latents;
mod likelihood;
mod program;
mod run;
mod schedule;
mod usage;
