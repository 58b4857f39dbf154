//! Embedded Runge-Kutta methods: one engine for every tableau, state and rule of steps.
//!
//! `dx/dt = f(t, x)` is integrated forward or backward in time. Each attempt gives a state and an
//! estimate of its error; a [`StepController`](crate::StepController) sees one number and says
//! whether the attempt stands and how large the next one is. A [`Tableau`] is the method,
//! [`Stepping`] the rule, [`ErrorOver`] what the one number is taken over, and any state that is a
//! vector space with an error norm will do. Hairer et al. 1993, sec. II.4 to II.6.

mod control;
mod field;
mod initial_step;
mod interpolant;
mod norm;
mod runge_kutta;
mod tableau;
mod walk;

pub use control::Stepping;
pub use interpolant::{DenseOutput, Interpolant};
pub use norm::ErrorOver;
pub use runge_kutta::{RungeKutta, Slope};
pub use tableau::Tableau;
