//! The stochastic differential equations behind diffusion models, on `f64` alone.
//!
//! Noise enters by a linear SDE, `dx = f(t) x dt + g(t) dw`. A schedule says what state it leads to,
//! `x_t = alpha_t x_0 + sigma_t eps`; this crate says by what motion:
//!
//! - [`Sde`] gives the drift `f`, the squared diffusion `g^2` and the prior of a schedule;
//! - [`ReverseSde`] runs it backwards: Anderson's reverse-time SDE, the probability flow, and all
//!   between and beyond, as one family in `eta`;
//! - [`Discretization`] cuts it into steps: exactly ([`Exact`]), by Euler's rule ([`Euler`]), or by
//!   the tables published with the SDEs ([`SongTable`] on a [`song_grid`]).
//!
//! ```
//! use tweedie_schedules::{NoiseSchedule, VpLinear};
//! use tweedie_sde::{ReverseSde, Sde};
//!
//! let sde = VpLinear::new(0.1, 20.0)?;
//! let flow = ReverseSde::probability_flow(sde);
//! // variance-preserving: f = -beta / 2, g^2 = beta
//! assert_eq!(flow.drift(0.5), (-0.5 * sde.beta(0.5), -0.5 * sde.beta(0.5)));
//! assert_eq!(flow.diffusion(0.5), 0.0);
//! assert_eq!(sde.prior_std(), 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(doctest)]
mod derivations;
mod discretization;
mod error;
mod reverse;
mod sde;

pub use discretization::{Discretization, Euler, Exact, SongTable, song_grid};
pub use error::SdeError;
pub use reverse::ReverseSde;
pub use sde::Sde;
