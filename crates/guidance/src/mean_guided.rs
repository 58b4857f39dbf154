//! Classifier guidance of ancestral sampling by a shift of the mean.
//!
//! `x_s ~ N(mean + scale v grad log p(y | x), v)`, with `v` the variance of the step and the gradient taken
//! at the noisy state, or at the mean. Dhariwal and Nichol 2021, algorithm 1. Where the step adds no noise
//! there is no shift. One evaluation of the network and one of the gradient a step.

use crate::noise_range::Strength;
use crate::{GuidanceError, NoiseRange};
use tweedie_samplers::{
    Ancestral, Deviation, OneStep, ReverseNoise, SampleError, Solver, StepCoefficients, Stepper,
};
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{ConditionGradient, Elementwise, NoiseSource, ScoreError, ScoreFn, Times};

/// An ancestral method whose mean is shifted towards a condition.
#[derive(Clone, Copy, Debug)]
pub struct MeanGuided<R, G> {
    ancestral: R,
    gradient: G,
    strength: Strength,
    place: GradientPlace,
}

/// Where [`MeanGuided`] takes the gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GradientPlace {
    /// At the state that the step leaves, and its level: the published code.
    #[default]
    State,
    /// At the mean where the step arrives, and the level there: the paper's derivation, which is closer
    /// to the truth in long steps.
    Mean,
}

impl<R, G> MeanGuided<R, G> {
    /// `ancestral`, which is [`Ancestral`] or a method with a learned variance, pulled by `gradient` with
    /// strength `scale`; 1 is Bayes' rule for short steps.
    ///
    /// # Errors
    /// When the scale is not from -1e6 to 1e6.
    pub fn new(ancestral: R, gradient: G, scale: f64) -> Result<Self, GuidanceError> {
        let strength = Strength::new(scale)?;
        Ok(Self { ancestral, gradient, strength, place: GradientPlace::State })
    }

    /// The same with the gradient taken there.
    #[must_use]
    pub fn with_gradient_at(self, place: GradientPlace) -> Self {
        Self { place, ..self }
    }

    /// The same for steps that start at a noise level of this range; the others are not shifted, and the
    /// gradient is not asked for.
    #[must_use]
    pub fn within(mut self, range: NoiseRange) -> Self {
        self.strength.range = range;
        self
    }
}

struct Steps<'a, R, G> {
    intervals: &'a [Interval],
    means: Vec<StepCoefficients>,
    deviations: Vec<Option<Deviation>>,
    method: &'a MeanGuided<R, G>,
}

impl<S: Elementwise, R: ReverseNoise, G: ConditionGradient<S>> Solver<S> for MeanGuided<R, G> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let means = OneStep(Ancestral::default()).coefficients(grid)?;
        let intervals = grid.intervals();
        let deviations = intervals.iter().map(|step| self.ancestral.deviation(*step)).collect();
        Ok(Box::new(Steps { intervals, means, deviations, method: self }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(OneStep(Ancestral::default()).coefficients(grid)?.len())
    }
}

impl<R, G> Steps<'_, R, G> {
    /// The shift of the mean, `scale v gradient`, as a factor and a state.
    fn shift<S: Elementwise>(
        &self,
        index: usize,
        (deviation, values): (Deviation, Option<&S>),
        (x, mean): (&S, &[(f64, &S)]),
    ) -> Result<Option<(f64, S)>, ScoreError>
    where
        G: ConditionGradient<S>,
    {
        let (Interval { from, to }, method) = (self.intervals[index], self.method);
        let scale = method.strength.at(from.level);
        if scale == 0.0 {
            return Ok(None);
        }
        let gradient = match method.place {
            GradientPlace::State => method.gradient.log_gradient(x, Times::Shared(from))?,
            GradientPlace::Mean => {
                method.gradient.log_gradient(&S::combine(mean), Times::Shared(to))?
            }
        };
        let (first, once) = deviation.times(&gradient, values)?;
        let (second, twice) = deviation.times(&once, values)?;
        Ok(Some((scale * first * second, twice)))
    }
}

impl<S: Elementwise, R, G: ConditionGradient<S>> Stepper<S> for Steps<'_, R, G> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (from, mean) = (self.intervals[index].from, self.means[index]);
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Data, from).map_err(failed)?;
        let (output, values) =
            score.predict_with_variance(&x, Times::Shared(from)).map_err(failed)?;
        let (a, b) = (mean.x + mean.data * of_x, mean.data * of_output);
        let mut terms = vec![(a, &x), (b, &output)];
        let Some(deviation) = self.deviations[index] else {
            return Ok(S::combine(&terms));
        };
        let values = values.as_ref();
        let shift = self.shift(index, (deviation, values), (&x, &terms)).map_err(failed)?;
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let (size, added) = deviation.times(&z, values).map_err(failed)?;
        terms.extend(shift.as_ref().map(|(factor, shift)| (*factor, shift)));
        terms.push((size, &added));
        Ok(S::combine(&terms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr1};
    use tweedie_samplers::{Learned, LearnedAncestral, Variance, sample};
    use tweedie_schedules::{DiscreteTable, Spacing};
    use tweedie_score::Replay;

    /// Predicts that all is noise, and a variance half way between its bounds.
    struct Half;

    impl ScoreFn<ArrayD<f64>> for Half {
        fn prediction(&self) -> Prediction {
            Prediction::Data
        }

        fn predict(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x * 0.0)
        }

        fn predict_with_variance(
            &self,
            x: &ArrayD<f64>,
            _at: Times<'_>,
        ) -> Result<(ArrayD<f64>, Option<ArrayD<f64>>), ScoreError> {
            Ok((x * 0.0, Some(x * 0.0)))
        }
    }

    struct Constant(f64);

    impl ConditionGradient<ArrayD<f64>> for Constant {
        fn log_gradient(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x.mapv(|_| self.0))
        }
    }

    #[test]
    fn the_mean_moves_by_the_variance_times_the_gradient() {
        let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
        let grid = TimeGrid::discrete(&table, 2, Spacing::Trailing).unwrap();
        let step = grid.intervals()[0];
        let start = arr1(&[0.7]).into_dyn();
        let run = |solver: &dyn Solver<ArrayD<f64>>| {
            sample(solver, &Half, &grid, start.clone(), &mut Replay::new([vec![0.0]])).unwrap()[0]
        };
        let (small, large) = (Variance::FixedSmall.of(step), Variance::FixedLarge.of(step));
        let ancestral = Ancestral { variance: Variance::FixedLarge };
        let plain = run(&OneStep(ancestral));
        let guided = run(&MeanGuided::new(ancestral, Constant(3.0), 0.5).unwrap());
        assert!((guided - plain - 1.5 * large).abs() < 1e-14);
        let ancestral = LearnedAncestral { learned: Learned::Range, clean_floor: None };
        let guided = run(&MeanGuided::new(ancestral, Constant(3.0), 0.5).unwrap());
        assert!((guided - plain - 1.5 * (small * large).sqrt()).abs() < 1e-14);
    }

    /// Pulls towards 1, the more the less noise there is.
    struct Pull;

    impl ConditionGradient<ArrayD<f64>> for Pull {
        fn log_gradient(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x.mapv(|x| (1.0 - x) * at.of(0).level.alpha))
        }
    }

    #[test]
    fn the_gradient_is_taken_where_it_is_asked_for_and_nowhere_outside_the_range() {
        let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
        let grid = TimeGrid::discrete(&table, 2, Spacing::Trailing).unwrap();
        let step = grid.intervals()[0];
        let ancestral = Ancestral { variance: Variance::FixedLarge };
        let one = TimeGrid::from_intervals(vec![step]).unwrap();
        let run = |solver: &dyn Solver<ArrayD<f64>>| {
            let mut noise = Replay::new([vec![0.0]]);
            sample(solver, &Half, &one, arr1(&[0.7]).into_dyn(), &mut noise).unwrap()[0]
        };
        let mean = run(&OneStep(ancestral));
        let variance = Variance::FixedLarge.of(step);
        let guided = || MeanGuided::new(ancestral, Pull, 2.0).unwrap();
        let at_state = run(&guided()) - mean;
        assert!((at_state - 2.0 * variance * 0.3 * step.from.level.alpha).abs() < 1e-14);
        let at_mean = run(&guided().with_gradient_at(GradientPlace::Mean)) - mean;
        assert!((at_mean - 2.0 * variance * (1.0 - mean) * step.to.level.alpha).abs() < 1e-14);
        let clean = NoiseRange::new(0.0, 1e-3).unwrap();
        assert_eq!(run(&guided().within(clean)), mean);
        assert!(MeanGuided::new(ancestral, Pull, f64::NAN).is_err());
    }
}
