//! EDM: steps along the probability flow, of first or second order, with noise put back between them.
//!
//! `dy/du = a(u) y + b(u) x0_hat` is walked by Euler's rule or one of two second-order rules, in the
//! variable `u` that a [`StepVariable`] chooses. Before a step the noise can be raised a little
//! ([`Churn`]) or, after a step that goes too far down, renewed ([`AncestralNoise`]).
//! Karras et al. 2022, algorithms 1 and 2. Two evaluations a step with a second-order [`Rule`], one
//! with [`Rule::Euler`] and in a step that ends clean.

mod plan;
mod rule;
mod solver;
mod stochastic;
mod variable;

pub use rule::Rule;
pub use solver::EdmSolver;
pub use stochastic::{AncestralNoise, Churn, Stochastic};
pub use variable::{InSigma, InTime, StepVariable};
