//! Noise schedules, time grids and conversions between parameterizations, on `f64` alone.
//!
//! Every forward process in Tweedie is linear: `x_t = alpha_t x_0 + sigma_t eps`. A schedule is
//! therefore no more than two functions of time, a solver no more than arithmetic on their values,
//! and this crate holds no arrays of pixels: whatever it computes is computed before a network runs.
//!
//! - [`NoiseLevel`] is the pair `(alpha, sigma)`; [`TimePoint`] adds the time, [`Interval`] joins two.
//! - [`NoiseSchedule`] maps time to level: [`VpLinear`], [`VpCosine`], [`SubVpLinear`],
//!   [`VeGeometric`] and [`Edm`] in continuous time, [`DiscreteTable`] for a discrete model.
//! - [`TimeGrid`] is the list of intervals a solver walks, noisiest first.
//! - [`Prediction`] says what a network was trained to return and converts it to anything else.
//!
//! ```
//! use tweedie_schedules::{DiscreteTable, NoiseSchedule, Spacing, TimeGrid};
//!
//! let table = DiscreteTable::cosine(1000)?;
//! let grid = TimeGrid::discrete(&table, 50, Spacing::Trailing)?.ending_clean();
//! assert_eq!(grid.len(), 50);
//! assert!(grid.intervals()[0].from.level.sigma > 0.99);
//! # Ok::<(), tweedie_schedules::ScheduleError>(())
//! ```
//!
//! Sampling time runs downward: an interval's `from` is its noisier end, `to` its cleaner one.

mod betas;
#[cfg(doctest)]
mod derivations;
mod error;
mod grid;
mod interval;
mod level;
mod prediction;
mod respacing;
mod schedule;
mod spacing;
mod table;
mod trajectory;

pub use betas::{
    constant_betas, cosine_betas, cosine_betas_with, jsd_betas, length_scaled_linear_betas,
    linear_betas, quadratic_betas, sigmoid_betas, warmup_betas,
};
pub use error::ScheduleError;
pub use grid::TimeGrid;
pub use interval::{Interval, Posterior, TimePoint, Transition};
pub use level::NoiseLevel;
pub use prediction::Prediction;
pub use respacing::Respacing;
pub use schedule::{Edm, NoiseSchedule, SubVpLinear, VeGeometric, VpCosine, VpLinear};
pub use spacing::Spacing;
pub use table::{BelowFirst, DiscreteTable};
pub use trajectory::{Trajectory, least_cost};
