//! The flow's likelihood over many samples and repeats, batch by batch.

use crate::{DataScaling, FlowRun};
use serde::{Deserialize, Serialize};
use tweedie_samplers::RunningMean;
use tweedie_score::Batch;

/// Likelihoods of samples in bits per dimension, from one or more draws of probes and dequantization
/// noise for each.
///
/// It can be kept in a file between batches, so that a long measurement goes on where it stopped. Batches
/// of a repeat come in the same order in every repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FlowSummary {
    /// For each repeat, the bits per dimension of each sample.
    repeats: Vec<Vec<f64>>,
    latents: RunningMean,
    change: RunningMean,
    prior: RunningMean,
    lower_limit: RunningMean,
    evaluations: RunningMean,
    forward: u64,
    backward: u64,
}

/// What a batch owes to its ends, in nats for each sample: see [`prior_share`](crate::prior_share) and
/// [`lower_limit_share`](crate::lower_limit_share).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shares {
    /// Of the prior.
    pub prior: Vec<f64>,
    /// Of the lower time limit.
    pub lower_limit: Vec<f64>,
}

impl FlowSummary {
    /// Takes a batch into account, the next of repeat `repeat` (from 0).
    ///
    /// # Panics
    /// When the repeats before have not begun.
    pub fn add<S: Batch>(
        &mut self,
        repeat: usize,
        run: &FlowRun<S>,
        shares: &Shares,
        scaling: &DataScaling,
    ) {
        if repeat == self.repeats.len() {
            self.repeats.push(Vec::new());
        }
        let dimensions = run.latent.item_len();
        let bits = |nats: f64| scaling.bits_per_dimension(nats, dimensions);
        self.repeats[repeat].extend(run.log_density().into_iter().map(bits));
        self.latents.extend(run.terminal.iter().copied());
        self.change.extend(run.integral.iter().copied());
        self.prior.extend(shares.prior.iter().copied());
        self.lower_limit.extend(shares.lower_limit.iter().copied());
        let evaluations = run.counters.evaluations;
        self.evaluations.add(evaluations as f64);
        self.forward += evaluations as u64;
        self.backward += (evaluations * run.backward_passes) as u64;
    }

    /// Bits per dimension of each sample, its mean over repeats, in the order in which they came; of a
    /// measurement that is not finished, of the samples in every repeat.
    #[must_use]
    pub fn samples(&self) -> Vec<f64> {
        let common = self.repeats.iter().map(Vec::len).min().unwrap_or(0);
        let of = |k: usize| self.repeats.iter().map(|repeat| repeat[k]).collect::<RunningMean>();
        (0..common).map(|k| of(k).mean()).collect()
    }

    /// The mean over samples, with the standard error that the choice of samples leaves; it holds that of
    /// probes and dequantization too.
    #[must_use]
    pub fn bits_per_dimension(&self) -> RunningMean {
        self.samples().into_iter().collect()
    }

    /// The mean over the samples of each repeat: how far they differ is what probes and dequantization
    /// leave.
    #[must_use]
    pub fn repeats(&self) -> Vec<f64> {
        let mean = |repeat: &Vec<f64>| repeat.iter().copied().collect::<RunningMean>().mean();
        self.repeats.iter().map(mean).collect()
    }

    /// Log density of the latents under the prior, in nats.
    #[must_use]
    pub fn latents(&self) -> RunningMean {
        self.latents
    }

    /// Change of the log density along the flow, in nats.
    #[must_use]
    pub fn change(&self) -> RunningMean {
        self.change
    }

    /// The most that the prior takes from the mean log likelihood, in nats.
    #[must_use]
    pub fn prior_share(&self) -> RunningMean {
        self.prior
    }

    /// What the lower time limit adds to the log likelihood, in nats.
    #[must_use]
    pub fn lower_limit_share(&self) -> RunningMean {
        self.lower_limit
    }

    /// Evaluations of a batch, as a mean over batches: one forward pass each, with a backward pass for
    /// each probe.
    #[must_use]
    pub fn evaluations(&self) -> RunningMean {
        self.evaluations
    }

    /// Forward and backward passes of the integration in all, each of a whole batch. Those that
    /// [`lower_limit_share`](crate::lower_limit_share) makes, one evaluation a batch, are not in it.
    #[must_use]
    pub fn passes(&self) -> (u64, u64) {
        (self.forward, self.backward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ArrayD;
    use std::f64::consts::LN_2;
    use tweedie_samplers::Counters;

    fn run(bits: [f64; 2], evaluations: usize) -> FlowRun<ArrayD<f64>> {
        FlowRun {
            latent: ArrayD::zeros(vec![2, 4]),
            terminal: bits.map(|bits| -4.0 * LN_2 * bits).to_vec(),
            integral: vec![0.0; 2],
            times: vec![0.0, 1.0],
            counters: Counters { accepted: 1, rejected: 0, evaluations },
            backward_passes: 3,
        }
    }

    #[test]
    fn samples_are_means_over_repeats_and_passes_are_counted() {
        let scaling = DataScaling::new(2, (0.0, 2.0)).unwrap(); // no offset
        let shares = Shares { prior: vec![0.25; 2], lower_limit: vec![-0.5, 0.5] };
        let mut summary = FlowSummary::default();
        summary.add(0, &run([1.0, 2.0], 10), &shares, &scaling);
        summary.add(0, &run([3.0, 4.0], 20), &shares, &scaling);
        summary.add(1, &run([2.0, 4.0], 30), &shares, &scaling);
        assert_eq!(summary.samples(), [1.5, 3.0]);
        summary.add(1, &run([3.0, 4.0], 20), &shares, &scaling);
        assert_eq!(summary.samples(), [1.5, 3.0, 3.0, 4.0]);
        assert_eq!(
            (summary.bits_per_dimension().mean(), summary.repeats()),
            (2.875, vec![2.5, 3.25])
        );
        assert_eq!((summary.passes(), summary.evaluations().mean()), ((80, 240), 20.0));
        assert_eq!(summary.prior_share().mean(), 0.25);
        assert!(summary.lower_limit_share().mean().abs() < 1e-15);
    }
}
