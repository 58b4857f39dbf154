//! Classifier guidance of ancestral sampling by a shift of the mean.
//!
//! `x_s ~ N(mean + scale v grad log p_t(y | x_t), v)`, with the gradient taken at the noisy state and
//! `v` the variance of the step. Dhariwal and Nichol 2021, algorithm 1. Where the step adds no noise
//! there is no shift. One evaluation of the network and one of the gradient a step.

use tweedie_samplers::{
    Ancestral, Deviation, OneStep, ReverseNoise, SampleError, Solver, StepCoefficients, Stepper,
};
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{ConditionGradient, Elementwise, NoiseSource, ScoreError, ScoreFn, Times};

/// An ancestral method whose mean is shifted towards a condition.
#[derive(Clone, Copy, Debug)]
pub struct MeanGuided<R, G> {
    /// The ancestral method: [`Ancestral`] or one with a learned variance.
    pub ancestral: R,
    /// The gradient of the condition's log probability.
    pub gradient: G,
    /// Strength; 1 is Bayes' rule for short steps.
    pub scale: f64,
}

struct Steps<'a, G> {
    intervals: &'a [Interval],
    means: Vec<StepCoefficients>,
    deviations: Vec<Option<Deviation>>,
    gradient: &'a G,
    scale: f64,
}

impl<S: Elementwise, R: ReverseNoise, G: ConditionGradient<S>> Solver<S> for MeanGuided<R, G> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let means = OneStep(Ancestral::default()).coefficients(grid)?;
        let intervals = grid.intervals();
        let deviations = intervals.iter().map(|step| self.ancestral.deviation(*step)).collect();
        let (gradient, scale) = (&self.gradient, self.scale);
        Ok(Box::new(Steps { intervals, means, deviations, gradient, scale }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(OneStep(Ancestral::default()).coefficients(grid)?.len())
    }
}

impl<G> Steps<'_, G> {
    /// The shift of the mean, `scale v gradient`, as a factor and a state.
    fn shift<S: Elementwise>(
        &self,
        deviation: Deviation,
        values: Option<&S>,
        x: &S,
        at: Times<'_>,
    ) -> Result<(f64, S), ScoreError>
    where
        G: ConditionGradient<S>,
    {
        let gradient = self.gradient.log_gradient(x, at)?;
        let (first, once) = deviation.times(&gradient, values)?;
        let (second, twice) = deviation.times(&once, values)?;
        Ok((self.scale * first * second, twice))
    }
}

impl<S: Elementwise, G: ConditionGradient<S>> Stepper<S> for Steps<'_, G> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (from, mean) = (self.intervals[index].from, self.means[index]);
        let at = Times::Shared(from);
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        let (of_x, of_output) = score.conversion(Prediction::Data, from).map_err(failed)?;
        let (output, values) = score.predict_with_variance(&x, at).map_err(failed)?;
        let (a, b) = (mean.x + mean.data * of_x, mean.data * of_output);
        let Some(deviation) = self.deviations[index] else {
            return Ok(S::combine(&[(a, &x), (b, &output)]));
        };
        let values = values.as_ref();
        let (shift, shifted) = self.shift(deviation, values, &x, at).map_err(failed)?;
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        let (size, added) = deviation.times(&z, values).map_err(failed)?;
        Ok(S::combine(&[(a, &x), (b, &output), (shift, &shifted), (size, &added)]))
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
        let guided = run(&MeanGuided { ancestral, gradient: Constant(3.0), scale: 0.5 });
        assert!((guided - plain - 1.5 * large).abs() < 1e-14);
        let ancestral = LearnedAncestral { learned: Learned::Range, clean_floor: None };
        let guided = run(&MeanGuided { ancestral, gradient: Constant(3.0), scale: 0.5 });
        assert!((guided - plain - 1.5 * (small * large).sqrt()).abs() < 1e-14);
    }
}
