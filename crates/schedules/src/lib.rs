//! Noise schedules, time grids and conversions between parameterizations, on `f64` alone.
//!
//! Every forward process in Tweedie is linear: `x_t = alpha_t x_0 + sigma_t eps`. A schedule is
//! therefore no more than two functions of time, a solver no more than arithmetic on their values,
//! and this crate holds no arrays of pixels: whatever it computes is computed before a network runs.
//!
//! - [`NoiseLevel`] is the pair `(alpha, sigma)`; [`TimePoint`] adds the time, [`Interval`] joins two
//!   and gives the forward and the reverse Gaussian between them, of which DDPM fixes a [`Variance`].
//! - [`NoiseSchedule`] maps time to level: [`VpLinear`], [`VpCosine`], [`SubVpLinear`],
//!   [`VeGeometric`] and [`Edm`] in continuous time, [`DiscreteTable`] for a discrete model.
//! - [`TimeGrid`] is the list of intervals a solver walks, noisiest first: in equal steps of time,
//!   its root or lambda, by Karras's rule, or through steps of a table that a [`Spacing`], a
//!   [`Respacing`] or a [`Trajectory`] chooses.
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
//! A schedule in continuous time is used in the same way, over whatever part of it is wanted:
//!
//! ```
//! use tweedie_schedules::{NoiseSchedule, TimeGrid, VpLinear};
//!
//! let schedule = VpLinear::new(0.1, 20.0)?.with_time_range(1e-4, 1.0)?;
//! let grid = TimeGrid::uniform_lambda(&schedule, 20)?;
//! let halfway = schedule.time_at_lambda(0.0); // as much signal as noise
//! assert!((schedule.level(halfway).snr() - 1.0).abs() < 1e-12);
//! assert_eq!(grid.intervals()[19].to.t, 1e-4);
//! # Ok::<(), tweedie_schedules::ScheduleError>(())
//! ```
//!
//! Sampling time runs downward: an interval's `from` is its noisier end, `to` its cleaner one.

mod beta_quantile;
mod betas;
#[cfg(doctest)]
mod derivations;
mod error;
mod grid;
mod iddpm;
mod interval;
mod level;
mod prediction;
mod respacing;
mod schedule;
mod spacing;
mod table;
mod trajectory;
mod variance;

pub use beta_quantile::beta_quantile;
pub use betas::{
    constant_betas, cosine_betas, cosine_betas_with, jsd_betas, laplace_betas,
    length_scaled_linear_betas, linear_betas, quadratic_betas, sigmoid_betas, warmup_betas,
};
pub use error::ScheduleError;
pub use grid::TimeGrid;
pub use iddpm::iddpm_sigmas;
pub use interval::{Interval, Posterior, TimePoint, Transition};
pub use level::NoiseLevel;
pub use prediction::Prediction;
pub use respacing::Respacing;
pub use schedule::{
    Edm, NoiseSchedule, ScaledSigma, Scaling, SigmaOfTime, SubVpLinear, VeGeometric, VpCosine,
    VpLinear,
};
pub use spacing::Spacing;
pub use table::{BelowFirst, DiscreteTable};
pub use trajectory::{Trajectory, least_cost};
pub use variance::Variance;
