//! The plan of the bound: for each step of a grid, the numbers that its term needs.

use super::Bins;
use crate::LossError;
use tweedie_schedules::{
    DiscreteTable, Interval, NoiseLevel, Posterior, TimeGrid, TimePoint, Variance,
};
use tweedie_score::{Deviation, ReverseNoise};

/// How the last step, which ends in the data, tells the value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decoder {
    /// The values that data can take.
    pub bins: Bins,
    /// Variance that stands for that of the posterior, which is zero there; the upper end of a learned range
    /// stays the step's own. `None`: the posterior's of the step before, as published.
    pub variance: Option<f64>,
}

/// One reverse step as the bound sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoundStep {
    interval: Interval,
    posterior: Posterior,
    variance: LogVariance,
}

/// The logarithm of the model's variance, `constant + values v + logarithm ln v`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogVariance {
    pub constant: f64,
    pub values: f64,
    pub logarithm: f64,
}

impl From<Deviation> for LogVariance {
    fn from(deviation: Deviation) -> Self {
        let constant = |deviation: f64| 2.0 * deviation.ln();
        match deviation {
            Deviation::Fixed(deviation) => {
                Self { constant: constant(deviation), values: 0.0, logarithm: 0.0 }
            }
            Deviation::Exponential { factor, rate } => {
                Self { constant: constant(factor), values: 2.0 * rate, logarithm: 0.0 }
            }
            Deviation::Root => Self { constant: 0.0, values: 0.0, logarithm: 1.0 },
        }
    }
}

impl BoundStep {
    fn new(interval: Interval, noise: &dyn ReverseNoise, floor: Option<f64>) -> Option<Self> {
        let deviation = match floor {
            Some(floor) => noise.decoder_deviation(interval, floor),
            None => noise.deviation(interval)?,
        };
        let posterior = noise.posterior(interval);
        let variance = LogVariance::from(deviation);
        let step = Self { interval, posterior, variance };
        let bounded = variance.constant.is_finite() && variance.values.is_finite();
        let known = posterior.data.is_finite() && (step.decodes() || posterior.variance > 0.0);
        (bounded && known).then_some(step)
    }

    /// The times between which the step leads.
    #[must_use]
    pub const fn interval(&self) -> Interval {
        self.interval
    }

    /// Whether the step ends in the data, and its term is that of the decoder.
    #[must_use]
    pub fn decodes(&self) -> bool {
        self.interval.to.level == NoiseLevel::CLEAN
    }

    /// What an error of the data estimate is multiplied by to become one of the step's mean.
    #[must_use]
    pub const fn of_data(&self) -> f64 {
        self.posterior.data
    }

    /// The logarithm of the posterior's variance; where there is none, some other number.
    pub(super) fn posterior_log_variance(&self) -> f64 {
        if self.decodes() { self.variance.constant } else { self.posterior.variance.ln() }
    }

    pub(super) const fn variance(&self) -> LogVariance {
        self.variance
    }
}

/// A reverse process from the noise of a grid's start down to the data, and its bound.
///
/// Steps are counted as the grid counts them, noisiest first.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundChain {
    steps: Vec<BoundStep>,
    bins: Bins,
}

impl BoundChain {
    /// The chain through `grid`, which ends in the data, with the variance of `noise`.
    ///
    /// # Errors
    /// When the grid is empty, does not end clean or has gaps; when a step has no variance to speak of;
    /// when one step alone is given no variance of its decoder.
    pub fn new(
        grid: &TimeGrid,
        noise: &dyn ReverseNoise,
        decoder: Decoder,
    ) -> Result<Self, LossError> {
        let intervals = grid.intervals();
        check_joined(intervals)?;
        let last = intervals.len() - 1;
        let before = || Some(Variance::FixedSmall.of(intervals[last.checked_sub(1)?]));
        let floor = decoder.variance.or_else(before).ok_or(LossError::NoDecoderVariance)?;
        let step = |(index, interval): (usize, &Interval)| {
            let (from, to) = (interval.from.t, interval.to.t);
            BoundStep::new(*interval, noise, (index == last).then_some(floor))
                .ok_or(LossError::NoReverseVariance { step: index, from, to })
        };
        let steps = intervals.iter().enumerate().map(step).collect::<Result<_, _>>()?;
        Ok(Self { steps, bins: decoder.bins })
    }

    /// The chain through all steps of a discrete model, down to the data.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn of_table(
        table: &DiscreteTable,
        noise: &dyn ReverseNoise,
        decoder: Decoder,
    ) -> Result<Self, LossError> {
        let nodes: Vec<_> = table.nodes().into_iter().rev().collect();
        Self::new(&TimeGrid::through(&nodes)?.ending_clean(), noise, decoder)
    }

    /// The steps, noisiest first.
    #[must_use]
    pub fn steps(&self) -> &[BoundStep] {
        &self.steps
    }

    /// The steps that start at these times.
    ///
    /// # Errors
    /// When none starts at one of them.
    pub fn steps_from(&self, points: &[TimePoint]) -> Result<Vec<usize>, LossError> {
        let start = |at: &TimePoint| {
            let later = |step: &BoundStep| step.interval.from.t > at.t;
            let index = self.steps.partition_point(later);
            let starts = self.steps.get(index).is_some_and(|step| step.interval.from.t == at.t);
            let count = self.steps.len();
            if starts { Ok(index) } else { Err(LossError::UnknownTime { t: at.t, count }) }
        };
        points.iter().map(start).collect()
    }

    /// The time where the chain starts, and where its prior is compared.
    #[must_use]
    pub fn start(&self) -> TimePoint {
        self.steps[0].interval.from
    }

    /// The bins that its decoder tells apart.
    #[must_use]
    pub const fn bins(&self) -> &Bins {
        &self.bins
    }
}

/// A bound is one of a chain: each step starts where the one before it ended.
fn check_joined(intervals: &[Interval]) -> Result<(), LossError> {
    let ends_clean = |interval: &Interval| interval.to.level == NoiseLevel::CLEAN;
    if !intervals.last().is_some_and(ends_clean) {
        let t = intervals.last().map(|interval| interval.to.t);
        return Err(LossError::ChainNotClean { t });
    }
    let apart = |pair: &[Interval]| pair[0].to != pair[1].from;
    match intervals.windows(2).position(apart) {
        Some(index) => {
            let (to, from) = (intervals[index].to.t, intervals[index + 1].from.t);
            Err(LossError::ChainNotJoined { step: index, to, from })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tweedie_schedules::{DiscreteTable, Spacing};
    use tweedie_score::Learned;

    fn grid(steps: usize) -> TimeGrid {
        let table = DiscreteTable::cosine(100).unwrap();
        TimeGrid::discrete(&table, steps, Spacing::Trailing).unwrap()
    }

    fn chain(grid: &TimeGrid, variance: Option<f64>) -> Result<BoundChain, LossError> {
        let decoder = Decoder { variance, ..Decoder::default() };
        BoundChain::new(grid, &Variance::FixedSmall, decoder)
    }

    #[test]
    fn the_last_step_takes_the_variance_of_the_one_before() {
        let grid = grid(5).ending_clean();
        let chain = BoundChain::new(&grid, &Variance::FixedLarge, Decoder::default()).unwrap();
        let before = Variance::FixedSmall.log_of(grid.intervals()[3]);
        assert!((chain.steps()[4].variance().constant - before).abs() < 1e-12);
        assert!(chain.steps()[4].decodes() && !chain.steps()[3].decodes());
        let (first, last) = (grid.start(), grid.intervals()[4].from);
        assert_eq!(chain.steps_from(&[last, first]), Ok(vec![4, 0]));
        let between = TimePoint { t: 0.5, ..first };
        assert_eq!(chain.steps_from(&[between]), Err(LossError::UnknownTime { t: 0.5, count: 5 }));
    }

    #[test]
    fn a_single_step_must_be_told_its_variance() {
        let one = grid(1).ending_clean();
        assert_eq!(chain(&one, None), Err(LossError::NoDecoderVariance));
        assert_eq!(chain(&one, Some(0.01)).unwrap().steps().len(), 1);
    }

    #[test]
    fn chains_with_gaps_or_without_an_end_are_refused() {
        assert_eq!(chain(&grid(5), None), Err(LossError::ChainNotClean { t: Some(0.2) }));
        let steps = grid(5).ending_clean().intervals().to_vec();
        let gap = TimeGrid::from_intervals(vec![steps[0], steps[4]]).unwrap();
        let error = chain(&gap, None).unwrap_err();
        let expected =
            "step 0 of the chain ends at t = 0.8 and the next starts at t = 0.2, expected one time";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn a_step_without_a_variance_is_refused() {
        struct Silent;
        impl ReverseNoise for Silent {
            fn deviation(&self, _interval: Interval) -> Option<Deviation> {
                None
            }
        }
        let error = BoundChain::new(&grid(5).ending_clean(), &Silent, Decoder::default());
        assert!(matches!(error, Err(LossError::NoReverseVariance { step: 0, .. })));
    }

    #[test]
    fn a_learned_range_reaches_from_the_floor_to_the_steps_own_variance() {
        let grid = grid(5).ending_clean();
        let decoder = Decoder { variance: Some(1e-3), ..Decoder::default() };
        let chain = BoundChain::new(&grid, &Learned::Range, decoder).unwrap();
        let LogVariance { constant, values, .. } = chain.steps()[4].variance();
        assert!((constant - values - 1e-3_f64.ln()).abs() < 1e-12);
        let large = Variance::FixedLarge.log_of(grid.intervals()[4]);
        assert!((constant + values - large).abs() < 1e-12);
    }
}
