//! Guidance: decorators of score functions that pull samples towards a condition.
//!
//! Bayes' rule in one line, `grad log p(x | y) = grad log p(x) + grad log p(y | x)`, with the second term
//! made stronger by a scale. Samplers never hear of it: a guided score function is a score function. Only
//! the form that shifts the mean of an ancestral step, by its variance, is a sampler of its own.
//!
//! - [`ClassifierGuided`] takes the second term from a classifier of noisy states;
//! - [`ClassifierFree`] from the difference of a network with and without the condition;
//! - [`MeanGuided`] shifts the mean of ancestral steps instead.
//!
//! Linear inverse problems: data of which `y = A x + noise` is known, to be completed. A
//! [`LinearOperator`] ([`Mask`], [`ColourBasis`], [`Separable`]) brings the coordinates in which
//! each is seen or not, a [`Measurement`] what is known of them. Then
//!
//! - [`Reimposed`] puts it back into the states of any solver and corrector;
//! - [`Resampled`] walks stretches of a run again, so that both parts come to agree;
//! - a reference to a [`Measurement`] is a map of the data estimate: with
//!   [`MapData`](tweedie_score::MapData) it works through the score function, for DDIM and DPM-Solver.

mod classifier;
mod classifier_free;
mod ddrm;
#[cfg(doctest)]
mod derivations;
mod error;
mod mean_guided;
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
pub use mean_guided::{GradientPlace, MeanGuided};
pub use measurement::Measurement;
pub use noise_range::NoiseRange;
pub use operator::{ColourBasis, LinearOperator, Mask, Separable, SingularValues, Spectrum};
pub use posterior_guided::{PosteriorGuided, Spread};
pub use reimposed::{ImposedLevel, KnownEnd, Reimposed, predictor_corrector_given};
pub use resampled::Resampled;
