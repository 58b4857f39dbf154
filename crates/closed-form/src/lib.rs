//! Data distributions for which everything about diffusion is known.
//!
//! A mixture of isotropic normal distributions stays one under the forward process: at a level
//! `(alpha, sigma)` each mean is multiplied by `alpha`, and each variance `d^2` becomes
//! `alpha^2 d^2 + sigma^2`. So the density, the score and the best estimate of the data are known at
//! every time, and a sampler fed with the exact score has no error but its own.
//!
//! - [`Mixture`] is the distribution; [`Mixture::at`] is the distribution of its noisy states.
//! - [`ExactScore`] is the network that training would give with infinite data and capacity: a
//!   [`ScoreFn`](tweedie_score::ScoreFn) in any [`Prediction`](tweedie_schedules::Prediction).
//! - [`Gaussian`] is one normal distribution with any covariance, and what a linear measurement leaves of
//!   it: the truth that inverse problems are measured against.
//! - [`Labelled`] is a mixture whose parts have classes: the exact conditional network and, by
//!   [`ExactClassifier`], the exact classifier of noisy states, which guidance is measured against.
//! - [`UnitNoise`] gives the mean and covariance of what a sampler makes of normal data, free of chance.
//! - [`Coordinate`] is one coordinate of a mixture: moments, shares and quantiles. In one dimension
//!   paths of the probability flow cannot cross, so the flow carries quantiles to quantiles, and the
//!   end of every path is known.
//!
//! ```
//! use tweedie_closed_form::{ExactScore, Mixture, Part};
//! use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
//! use tweedie_score::{ScoreFn, Times};
//!
//! let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
//! let data = Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)])?;
//! let network = ExactScore::new(data.clone(), Prediction::Noise);
//!
//! let level = NoiseLevel { alpha: 0.8, sigma: 0.6 };
//! let x = ndarray::arr2(&[[0.1], [-0.4]]).into_dyn();
//! let eps = network.predict(&x, Times::Shared(TimePoint { t: 0.5, level }))?;
//! assert!((eps[[0, 0]] + level.sigma * data.at(level).score(&[0.1])[0]).abs() < 1e-14);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod coordinate;
mod error;
mod exact;
mod gaussian;
mod labelled;
mod mixture;
mod unit_noise;

pub use coordinate::Coordinate;
pub use error::MixtureError;
pub use exact::ExactScore;
pub use gaussian::Gaussian;
pub use labelled::{ExactClassifier, Labelled};
pub use mixture::{Mixture, Part};
pub use unit_noise::UnitNoise;
