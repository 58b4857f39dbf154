//! What the terms of the bound ask of a state.

use super::Bins;
use crate::LossSpace;
use tweedie_score::Elementwise;

/// Operations of the variational bound on single values, differentiable where the state is.
pub trait BoundState: LossSpace + Elementwise {
    /// Natural logarithm of each value.
    #[must_use]
    fn ln(&self) -> Self;

    /// `exp(x) - 1` of each value, which does not cancel for small ones.
    #[must_use]
    fn exp_m1(&self) -> Self;

    /// The same values, of which no derivative is taken.
    #[must_use]
    fn detached(&self) -> Self;

    /// For each value, the log probability in nats that a normal variable of this mean and log variance
    /// falls into its bin: [`Bins::log_probability`].
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    fn bin_log_probability(&self, mean: &Self, log_variance: &Self, bins: &Bins) -> Self;

    /// A state of this shape, all of whose values are 1.
    #[must_use]
    fn ones(&self) -> Self;

    /// `factor` times the mean of the values of each sample.
    fn mean_each_times(&self, factor: f64) -> Self::Losses;

    /// Sum of the values of each sample.
    fn sum_each(&self) -> Vec<f64> {
        self.dot_each(&self.ones())
    }

    /// Mean of the values of each sample.
    fn mean_each(&self) -> Vec<f64> {
        let len = self.item_len() as f64;
        self.sum_each().into_iter().map(|sum| sum / len).collect()
    }
}
