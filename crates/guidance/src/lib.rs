//! Guidance: what pulls samples towards a condition, and linear inverse problems.
//!
//! Bayes' rule in one line, `grad log p(x | y) = grad log p(x) + grad log p(y | x)`, with the second term
//! made stronger by a scale. Samplers never hear of it: a guided score function is a score function. Only
//! the form that shifts the mean of an ancestral step, by its variance, is a sampler of its own.
//!
//! - [`ClassifierGuided`] takes the second term from a classifier of noisy states;
//! - [`ClassifierFree`] from the difference of a network with and without the condition, or several;
//! - [`MeanGuided`] shifts the mean of ancestral steps instead.
//!
//! Each acts at all noise levels or in a [`NoiseRange`]. Clipping and thresholding go around them, as
//! [`MapData`](tweedie_score::MapData) with [`Clip`](tweedie_score::Clip) or
//! [`DynamicThreshold`](tweedie_score::DynamicThreshold).
//!
//! Linear inverse problems: data of which `y = A x + noise` is known, to be completed. A
//! [`LinearOperator`] ([`Mask`], [`ColourBasis`], [`Separable`] and products of it) brings the coordinates in
//! which each is seen or not, a [`Measurement`] what is known of them. Then
//!
//! - [`Reimposed`] puts it back into the states of any solver and corrector, ready-made as
//!   [`predictor_corrector_given`];
//! - [`Resampled`] walks stretches of a run again, so that both parts come to agree;
//! - a reference to a [`Measurement`] is a map of the data estimate: with
//!   [`MapData`](tweedie_score::MapData) it works through the score function, for DDIM and DPM-Solver;
//! - [`PosteriorGuided`] is the score given the measurement, by the network's Jacobian;
//! - [`Ddrm`] is a sampler of its own, for noisy measurements above all.
//!
//! The score of the posterior is exact on normal data, all others are approximate: docs/posterior.md says
//! by how much.
//!
//! ```
//! use ndarray::{ArrayD, arr2};
//! use tweedie_closed_form::Gaussian;
//! use tweedie_guidance::{Mask, Measurement, predictor_corrector_given};
//! use tweedie_samplers::{Ancestral, AnnealedLangevin, OneStep, sample};
//! use tweedie_schedules::{TimeGrid, VpLinear};
//! use tweedie_score::Seeded;
//!
//! // two values that go together, of which the first is known
//! let network = Gaussian::new(vec![0.0, 0.0], &[1.0, 0.9, 0.9, 1.0])?;
//! let mask = Mask::new(arr2(&[[1.0, 0.0]]).into_dyn())?;
//! let known = Measurement::new(mask, &arr2(&[[1.5, 0.0]]).into_dyn(), 0.0)?;
//!
//! let corrector = AnnealedLangevin::new(0.3, 1)?;
//! let solver = predictor_corrector_given(&known, OneStep(Ancestral::default()), corrector, 4);
//! let grid = TimeGrid::uniform_lambda(&VpLinear::new(0.1, 20.0)?, 50)?.ending_clean();
//! let mut noise = Seeded::new(0);
//! let start = known.start(grid.start().level, 1.0, &mut noise)?;
//! let x0: ArrayD<f64> = sample(&solver, &network, &grid, start, &mut noise)?;
//! assert_eq!(x0[[0, 0]], 1.5);
//! assert!((x0[[0, 1]] - 1.35).abs() < 1.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod classifier;
mod classifier_free;
mod ddrm;
#[cfg(doctest)]
mod derivations;
mod error;
mod guided_corrector;
mod mean_guided;
mod measured_levels;
mod measurement;
mod noise_range;
mod operator;
mod posterior_guided;
mod reimposed;
mod resampled;

pub use classifier::ClassifierGuided;
pub use classifier_free::{ClassifierFree, Condition};
pub use ddrm::Ddrm;
pub use error::GuidanceError;
pub use guided_corrector::GuidedCorrector;
pub use mean_guided::{GradientPlace, MeanGuided};
pub use measurement::Measurement;
pub use noise_range::{LARGEST_SCALE, NoiseRange};
pub use operator::{ColourBasis, LinearOperator, Mask, Separable, SingularValues, Spectrum};
pub use posterior_guided::{PosteriorGuided, Spread};
pub use reimposed::{ImposedLevel, KnownEnd, Reimposed, predictor_corrector_given};
pub use resampled::Resampled;
