//! How the divergence of the flow is found: by random probes, or exactly.

use crate::LikelihoodError;
pub use tweedie_score::ProbeKind;
use tweedie_score::{Batch, Draw, NoiseSource, unit_like};

/// The most values a sample may have where its exact trace is asked for: as many backward passes are
/// made in every evaluation.
pub const LARGEST_EXACT_TRACE: usize = 1024;

/// The way to the trace of the flow's Jacobian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Divergence {
    /// Hutchinson's estimate `v^T J v`, the mean over some probes `v` that are drawn once and held for
    /// the whole run. Unbiased; its variance falls as one over the number of probes. One backward pass a
    /// probe. // Hutchinson 1990; Grathwohl et al. 2019, eq. 8
    Probes {
        /// Number of probes.
        count: usize,
        /// What they are drawn from.
        kind: ProbeKind,
    },
    /// The trace itself, one backward pass for each value of a sample: for samples of at most
    /// [`LARGEST_EXACT_TRACE`] values.
    ///
    /// With `d` values a sample, `d` unit vectors of the size of the batch are held throughout the run, and in
    /// each evaluation as many products: `2 d` times the memory of the batch.
    Exact,
}

impl Default for Divergence {
    /// One Rademacher probe.
    fn default() -> Self {
        Self::Probes { count: 1, kind: ProbeKind::Rademacher }
    }
}

impl Divergence {
    /// Backward passes of each evaluation, for samples of `item_len` values.
    #[must_use]
    pub fn backward_passes(self, item_len: usize) -> usize {
        match self {
            Self::Probes { count, .. } => count,
            Self::Exact => item_len,
        }
    }

    /// What the Jacobian is multiplied with throughout a run on states like `x`.
    pub(crate) fn directions<S: Draw>(
        self,
        x: &S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<Directions<S>, LikelihoodError> {
        match self {
            Self::Probes { count: 0, .. } => Err(LikelihoodError::ParameterOutOfRange {
                name: "number of probes",
                value: 0.0,
                allowed: "at least 1",
            }),
            Self::Probes { count, kind } => {
                let draw = |_| kind.draw(x, noise);
                let probes = (0..count).map(draw).collect::<Result<Vec<S>, _>>()?;
                Ok(Directions::new(probes, 1.0 / count as f64))
            }
            Self::Exact => {
                let values = x.item_len();
                if values > LARGEST_EXACT_TRACE {
                    return Err(LikelihoodError::ExactTrace { values, most: LARGEST_EXACT_TRACE });
                }
                Ok(Directions::new((0..values).map(|axis| unit_like(x, axis)).collect(), 1.0))
            }
        }
    }
}

/// The vectors `v` of a run, of whose `v^T J v` the trace is a weighted sum.
#[derive(Debug)]
pub(crate) struct Directions<S> {
    pub(crate) vectors: Vec<S>,
    weight: f64,
    /// The estimate of the identity's trace, one number a sample.
    identity: Vec<f64>,
}

impl<S: Batch> Directions<S> {
    fn new(vectors: Vec<S>, weight: f64) -> Self {
        let mut directions = Self { vectors, weight, identity: Vec::new() };
        directions.identity = directions.sum(&directions.vectors);
        directions
    }

    /// The trace of `a + b J` for each sample, from the products `J^T v` in order.
    pub(crate) fn trace(&self, a: f64, b: f64, products: &[S]) -> Vec<f64> {
        let jacobian = self.sum(products);
        self.identity.iter().zip(jacobian).map(|(one, jacobian)| a * one + b * jacobian).collect()
    }

    fn sum(&self, products: &[S]) -> Vec<f64> {
        let pairs: Vec<_> = self.vectors.iter().zip(products).collect();
        S::dot_sum_each(&pairs).into_iter().map(|sum| self.weight * sum).collect()
    }
}
