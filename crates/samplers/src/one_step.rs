//! Any predictor as a solver: one network evaluation a step.

use crate::{Predictor, SampleError, Solver, StepCoefficients, Stepper};
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// The solver that applies a predictor once in each interval.
#[derive(Clone, Copy, Debug)]
pub struct OneStep<P>(pub P);

struct Steps<'a> {
    intervals: &'a [Interval],
    coefficients: Vec<StepCoefficients>,
}

impl<P: Predictor> OneStep<P> {
    /// The coefficients of every step over `grid`, checked: the plan of a run.
    ///
    /// The mean of a step, free of noise, is the state it leads to less `noise` times the draw.
    ///
    /// # Errors
    /// When the grid is empty, or a step over it is not finite or would add noise on the way to more.
    pub fn coefficients(&self, grid: &TimeGrid) -> Result<Vec<StepCoefficients>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let checked = |(step, interval): (usize, &Interval)| {
            let StepCoefficients { x, data, noise } = self.0.coefficients(*interval);
            let (from, to) = (interval.from.t, interval.to.t);
            if interval.h() < 0.0 && noise != 0.0 {
                let reason =
                    "it leads to more noise, where only a method without noise of its own goes";
                return Err(SampleError::ImpossibleStep { step, from, to, reason });
            }
            if [x, data, noise].iter().all(|value| value.is_finite()) {
                Ok(StepCoefficients { x, data, noise })
            } else {
                let reason = self.0.why_not(*interval);
                Err(SampleError::ImpossibleStep { step, from, to, reason })
            }
        };
        grid.intervals().iter().enumerate().map(checked).collect()
    }
}

impl<S: VectorSpace, P: Predictor> Solver<S> for OneStep<P> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let coefficients = self.coefficients(grid)?;
        Ok(Box::new(Steps { intervals: grid.intervals(), coefficients }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.coefficients(grid)?.len())
    }
}

impl<S: VectorSpace> Stepper<S> for Steps<'_> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let (from, step) = (self.intervals[index].from, self.coefficients[index]);
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        // x' = a x + b (m x + n output) + c z: the data estimate is never formed on its own
        let (of_x, of_output) = score.conversion(Prediction::Data, from).map_err(failed)?;
        let output = score.predict(&x, Times::Shared(from)).map_err(failed)?;
        let (a, b) = (step.x + step.data * of_x, step.data * of_output);
        if step.noise == 0.0 {
            return Ok(x.combine_reusing(a, &[(b, &output)]));
        }
        let z =
            noise.normal_like(&x).map_err(|source| SampleError::Noise { step: index, source })?;
        Ok(x.combine_reusing(a, &[(b, &output), (step.noise, &z)]))
    }
}
