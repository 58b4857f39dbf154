//! A bound averaged over many samples, batch by batch.

use super::{BoundTerms, StepTerm};
use serde::{Deserialize, Serialize};
use tweedie_samplers::RunningMean;
use tweedie_schedules::Interval;

/// The terms of a bound as means over samples, in bits per dimension, with their standard errors.
///
/// It can be kept in a file between batches, so that a long measurement goes on where it stopped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundSummary {
    total: RunningMean,
    prior: RunningMean,
    steps: Vec<StepSummary>,
    samples: Vec<f64>,
}

/// The term of one step as a mean over samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepSummary {
    /// The time at which the network was asked.
    pub from: f64,
    /// The time that the step leads to.
    pub to: f64,
    /// Half the log signal-to-noise ratio at `from`.
    pub lambda: f64,
    /// The term in bits per dimension.
    pub bits: RunningMean,
    /// Mean squared error of the estimate of the data.
    pub data_error: RunningMean,
    /// Mean squared error of the estimate of the noise.
    pub noise_error: RunningMean,
}

impl StepSummary {
    fn new(Interval { from, to }: Interval) -> Self {
        let none = RunningMean::default();
        let lambda = from.level.lambda();
        let (bits, data_error, noise_error) = (none, none, none);
        Self { from: from.t, to: to.t, lambda, bits, data_error, noise_error }
    }

    /// Whether it is the same step, up to what writing it to a file may round.
    fn is_of(&self, Interval { from, to }: Interval) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs();
        near(self.from, from.t) && near(self.to, to.t)
    }

    fn add(&mut self, term: &StepTerm, bits: impl Fn(f64) -> f64) {
        self.bits.extend(term.nats.iter().map(|nats| bits(*nats)));
        self.data_error.extend(term.data_error.iter().copied());
        self.noise_error.extend(term.noise_error.iter().copied());
    }
}

impl BoundSummary {
    /// Takes the terms of a batch into account.
    ///
    /// # Panics
    /// When they are of another chain than those before.
    pub fn add(&mut self, terms: &BoundTerms) {
        let bits = |nats: f64| terms.bits_per_dimension(nats);
        if self.steps.is_empty() {
            self.steps = terms.steps.iter().map(|step| StepSummary::new(step.interval)).collect();
        }
        let same = |(kept, term): (&StepSummary, &StepTerm)| kept.is_of(term.interval);
        let all_same = self.steps.iter().zip(&terms.steps).all(same);
        assert!(all_same && self.steps.len() == terms.steps.len(), "steps of another chain");
        let totals: Vec<f64> = terms.total().into_iter().map(bits).collect();
        self.total.extend(totals.iter().copied());
        self.samples.extend(totals);
        self.prior.extend(terms.prior.iter().map(|nats| bits(*nats)));
        for (step, term) in self.steps.iter_mut().zip(&terms.steps) {
            step.add(term, bits);
        }
    }

    /// The bound.
    #[must_use]
    pub fn total(&self) -> RunningMean {
        self.total
    }

    /// The prior's term.
    #[must_use]
    pub fn prior(&self) -> RunningMean {
        self.prior
    }

    /// The terms of the steps, noisiest first; the last is that of the decoder.
    #[must_use]
    pub fn steps(&self) -> &[StepSummary] {
        &self.steps
    }

    /// The bound of each sample, in the order in which they came.
    #[must_use]
    pub fn samples(&self) -> &[f64] {
        &self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::LN_2;
    use tweedie_schedules::{NoiseLevel, TimePoint};

    fn step(t: f64, nats: [f64; 2]) -> StepTerm {
        let point = |t: f64| TimePoint { t, level: NoiseLevel::variance_preserving(-t) };
        let interval = Interval { from: point(t), to: point(t / 2.0) };
        StepTerm {
            interval,
            nats: nats.to_vec(),
            data_error: vec![0.1, 0.3],
            noise_error: vec![1.0; 2],
        }
    }

    fn terms(nats: [f64; 2]) -> BoundTerms {
        let steps = vec![step(0.8, nats), step(0.4, [LN_2; 2])];
        BoundTerms { dimensions: 2, prior: vec![0.0; 2], steps }
    }

    #[test]
    #[should_panic(expected = "steps of another chain")]
    fn as_many_steps_at_other_times_are_another_chain() {
        let mut summary = BoundSummary::default();
        summary.add(&terms([0.0; 2]));
        let mut other = terms([0.0; 2]);
        other.steps[1] = step(0.5, [0.0; 2]);
        summary.add(&other);
    }

    #[test]
    fn batches_add_up_to_means_of_bits_per_dimension() {
        let mut summary = BoundSummary::default();
        summary.add(&terms([2.0 * LN_2, 4.0 * LN_2]));
        summary.add(&terms([0.0, 6.0 * LN_2]));
        assert_eq!(summary.samples(), [1.5, 2.5, 0.5, 3.5]);
        assert_eq!((summary.total().mean(), summary.total().count()), (2.0, 4));
        assert!((summary.total().standard_error() - (5.0_f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12);
        let [first, last] = summary.steps() else { panic!("two steps") };
        assert_eq!((first.bits.mean(), last.bits.mean()), (1.5, 0.5));
        assert_eq!((first.from, first.to, first.bits.count()), (0.8, 0.4, 4));
        assert!((last.data_error.mean() - 0.2).abs() < 1e-15);
    }
}
