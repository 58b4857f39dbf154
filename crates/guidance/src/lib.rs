//! Guidance: decorators of score functions that pull samples towards a condition.
//!
//! Bayes' rule in one line, `grad log p(x | y) = grad log p(x) + grad log p(y | x)`, with the second term
//! made stronger by a scale. Samplers never hear of it: a guided score function is a score function.
//!
//! - [`ClassifierGuided`] takes the second term from a classifier of noisy states;
//! - [`ClassifierFree`] from the difference of a network with and without the condition.

mod classifier;
mod classifier_free;

pub use classifier::ClassifierGuided;
pub use classifier_free::ClassifierFree;
