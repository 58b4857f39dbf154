//! What the variational bound of a batch is made of.

use crate::LikelihoodError;
use std::f64::consts::LN_2;
use tweedie_schedules::Interval;

/// The term of one step, a number for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTerm {
    /// The step: from the time at which the network was asked, to the one it leads to.
    pub interval: Interval,
    /// The term in nats, summed over the values of the sample.
    pub nats: Vec<f64>,
    /// Mean squared error of the network's estimate of the data.
    pub data_error: Vec<f64>,
    /// Mean squared error of its estimate of the noise.
    pub noise_error: Vec<f64>,
}

impl StepTerm {
    /// The term of step `step` where it is finite: one that is not would stay in every mean it enters.
    pub(super) fn checked(self, step: usize) -> Result<Self, LikelihoodError> {
        for (name, values) in [("term", &self.nats), ("error of the data", &self.data_error)] {
            if let Some(sample) = values.iter().position(|value| !value.is_finite()) {
                let (t, value) = (self.interval.from.t, values[sample]);
                return Err(LikelihoodError::TermNotFinite { step, t, sample, name, value });
            }
        }
        Ok(self)
    }
}

/// All terms of a bound, a number for each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundTerms {
    /// Number of values of a sample.
    pub dimensions: usize,
    /// The prior's term, in nats.
    pub prior: Vec<f64>,
    /// The terms of the steps, noisiest first; the last is that of the decoder.
    pub steps: Vec<StepTerm>,
}

impl BoundTerms {
    /// The bound on `-ln p(x_0)` of each sample, in nats.
    #[must_use]
    pub fn total(&self) -> Vec<f64> {
        let add = |mut total: Vec<f64>, step: &StepTerm| {
            total.iter_mut().zip(&step.nats).for_each(|(total, nats)| *total += nats);
            total
        };
        self.steps.iter().fold(self.prior.clone(), add)
    }

    /// Nats of a whole sample as bits a dimension.
    #[must_use]
    pub fn bits_per_dimension(&self, nats: f64) -> f64 {
        nats / (self.dimensions as f64 * LN_2)
    }
}
