//! Ancestral sampling with the variance that the network learned.
//!
//! `x_s = mean of q(x_s | x_t, x0_hat) + std * z`, where the deviation differs from value to value.
//! Nichol and Dhariwal 2021, sec. 3.1. One evaluation a step, stochastic; the network must give the
//! values behind the variance ([`ScoreFn::predict_with_variance`]).

use crate::{Ancestral, SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{Deviation, Elementwise, Learned, NoiseSource, ReverseNoise, ScoreFn, Times};

/// DDPM's sampler with a learned variance.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LearnedAncestral {
    /// What the network's values mean.
    pub learned: Learned,
    /// Noise of a step that ends clean. `None`: there is none. `Some(floor)`: the step draws what the
    /// network says, and `floor` stands for the small variance, which is zero there.
    pub clean_floor: Option<f64>,
}

impl ReverseNoise for Ancestral {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        self.variance.deviation(interval)
    }
}

#[derive(Clone, Copy, Debug)]
struct Step {
    x: f64,
    data: f64,
    /// `None` where the step adds no noise.
    deviation: Option<Deviation>,
}

struct Steps<'a> {
    intervals: &'a [Interval],
    steps: Vec<Step>,
}

impl ReverseNoise for LearnedAncestral {
    fn deviation(&self, interval: Interval) -> Option<Deviation> {
        let floored = || Some(self.learned.decoder_deviation(interval, self.clean_floor?));
        self.learned.deviation(interval).or_else(floored)
    }

    fn decoder_deviation(&self, interval: Interval, floor: f64) -> Deviation {
        self.learned.decoder_deviation(interval, self.clean_floor.unwrap_or(floor))
    }
}

impl LearnedAncestral {
    fn steps(&self, grid: &TimeGrid) -> Result<Vec<Step>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let step = |(step, interval): (usize, &Interval)| {
            let posterior = interval.posterior();
            let (x, data) = (posterior.x, posterior.data);
            let deviation = self.deviation(*interval);
            let bounded = deviation.is_none_or(Deviation::is_finite);
            if bounded && x.is_finite() && data.is_finite() && posterior.variance >= 0.0 {
                return Ok(Step { x, data, deviation });
            }
            let (from, to) = (interval.from.t, interval.to.t);
            let reason = "the variance of its reverse Gaussian has no bounds; expected less noise at its end";
            Err(SampleError::ImpossibleStep { step, from, to, reason })
        };
        grid.intervals().iter().enumerate().map(step).collect()
    }
}

impl<S: Elementwise> Solver<S> for LearnedAncestral {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(Steps { intervals: grid.intervals(), steps: self.steps(grid)? }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.steps(grid)?.len())
    }
}

impl<S: Elementwise> Stepper<S> for Steps<'_> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (from, step) = (self.intervals[index].from, self.steps[index]);
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Data, from).map_err(failed)?;
        let (output, values) =
            score.predict_with_variance(&x, Times::Shared(from)).map_err(failed)?;
        let (a, b) = (step.x + step.data * of_x, step.data * of_output);
        let Some(deviation) = step.deviation else {
            return Ok(S::combine(&[(a, &x), (b, &output)]));
        };
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let (factor, added) = deviation.times(&z, values.as_ref()).map_err(failed)?;
        Ok(S::combine(&[(a, &x), (b, &output), (factor, &added)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OneStep, Variance, sample};
    use ndarray::{ArrayD, arr1};
    use tweedie_schedules::{DiscreteTable, Spacing};
    use tweedie_score::{Replay, ScoreError};

    /// Predicts no noise, and values of its variance if it has any.
    struct Network(Option<f64>);

    impl ScoreFn<ArrayD<f64>> for Network {
        fn prediction(&self) -> Prediction {
            Prediction::Noise
        }

        fn predict(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x * 0.0)
        }

        fn predict_with_variance(
            &self,
            x: &ArrayD<f64>,
            _at: Times<'_>,
        ) -> Result<(ArrayD<f64>, Option<ArrayD<f64>>), ScoreError> {
            Ok((x * 0.0, self.0.map(|value| x.mapv(|_| value))))
        }
    }

    fn grid(clean: bool) -> TimeGrid {
        let table = DiscreteTable::cosine(100).unwrap();
        let grid = TimeGrid::discrete(&table, 2, Spacing::Linspace).unwrap();
        if clean { grid.ending_clean() } else { grid }
    }

    fn run(
        solver: &dyn Solver<ArrayD<f64>>,
        values: Option<f64>,
        clean: bool,
    ) -> Result<(f64, usize), SampleError> {
        let mut noise = Replay::new([vec![0.7], vec![-0.4]]);
        let start = arr1(&[1e-3]).into_dyn();
        let end = sample(solver, &Network(values), &grid(clean), start, &mut noise)?;
        Ok((end[0], 2 - noise.remaining()))
    }

    #[track_caller]
    fn check_same(learned: Learned, value: f64, variance: Variance) {
        let solver = LearnedAncestral { learned, clean_floor: None };
        let got = run(&solver, Some(value), false).unwrap();
        let want = run(&OneStep(Ancestral { variance }), None, false).unwrap();
        assert!((got.0 - want.0).abs() < 1e-12 && got.1 == want.1, "{got:?}, expected {want:?}");
    }

    #[test]
    fn the_ends_of_the_range_are_the_fixed_variances() {
        check_same(Learned::Range, -1.0, Variance::FixedSmall);
        check_same(Learned::Range, 1.0, Variance::FixedLarge);
    }

    #[test]
    fn a_variance_and_its_logarithm_are_taken_as_they_are() {
        let step = grid(false).intervals()[0];
        for variance in [Variance::FixedSmall, Variance::FixedLarge] {
            check_same(Learned::LogVariance, variance.of(step).ln(), variance);
            check_same(Learned::Variance, variance.of(step), variance);
        }
    }

    #[test]
    fn a_step_that_ends_clean_adds_noise_only_when_told() {
        let draws = |clean_floor| {
            let solver = LearnedAncestral { learned: Learned::Range, clean_floor };
            run(&solver, Some(0.2), true).unwrap().1
        };
        assert_eq!((draws(None), draws(Some(1e-20))), (1, 2));
    }

    #[test]
    fn a_network_that_learns_no_variance_is_refused() {
        let error = run(&LearnedAncestral::default(), None, false).unwrap_err();
        let SampleError::Score { source: ScoreError::NoVariance, .. } = error else {
            panic!("{error}");
        };
    }

    #[test]
    fn encoding_grids_are_refused_when_planned() {
        let grid = grid(false).reversed();
        for learned in [Learned::Range, Learned::LogVariance, Learned::Variance] {
            let solver = LearnedAncestral { learned, clean_floor: None };
            let plan = Solver::<ArrayD<f64>>::evaluations(&solver, &grid);
            assert!(matches!(plan, Err(SampleError::ImpossibleStep { step: 0, .. })));
        }
    }
}
