//! The binary from outside: what a person types, and what comes back.

mod interrupt;
mod program;
mod run;
mod schedule;
mod usage;
