//! Guidance: decorators of score functions that pull samples towards a condition.
//!
//! Bayes' rule in one line, `grad log p(x | y) = grad log p(x) + grad log p(y | x)`, with the second term
//! made stronger by a scale. Samplers never hear of it: a guided score function is a score function. Only
//! the form that shifts the mean of an ancestral step, by its variance, is a sampler of its own.
//!
//! - [`ClassifierGuided`] takes the second term from a classifier of noisy states;
//! - [`ClassifierFree`] from the difference of a network with and without the condition;
//! - [`MeanGuided`] shifts the mean of ancestral steps instead.

mod classifier;
mod classifier_free;
mod mean_guided;

pub use classifier::ClassifierGuided;
pub use classifier_free::ClassifierFree;
pub use mean_guided::MeanGuided;
