//! The solver: plans all steps, then evaluates and combines.

use super::plan::{Renewal, Second, Stage, StepPlan};
use super::{Rule, StepVariable, Stochastic};
use crate::{SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// EDM's sampler with any rule, in any step variable.
///
/// As published: [`Rule::HEUN`] [`InSigma`](super::InSigma) on a grid of
/// [`karras`](TimeGrid::karras) noise levels that ends clean, with or without churn.
#[derive(Clone, Copy, Debug)]
pub struct EdmSolver<V> {
    variable: V,
    rule: Rule,
    stochastic: Stochastic,
}

impl<V: StepVariable> EdmSolver<V> {
    /// The deterministic sampler.
    ///
    /// # Errors
    /// When a parameter of the rule is out of range.
    pub fn new(variable: V, rule: Rule) -> Result<Self, SampleError> {
        rule.check()?;
        Ok(Self { variable, rule, stochastic: Stochastic::Never })
    }

    /// The same with noise put back.
    ///
    /// # Errors
    /// When an amount of noise is negative or not finite.
    pub fn with_noise(self, stochastic: Stochastic) -> Result<Self, SampleError> {
        stochastic.check()?;
        Ok(Self { stochastic, ..self })
    }

    fn plans(&self, grid: &TimeGrid) -> Result<Vec<StepPlan>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let method = (self.rule, self.stochastic);
        let plan = |(step, interval): (usize, &Interval)| {
            let plan = StepPlan::new(&self.variable, method, *interval, grid.len());
            if plan.is_finite() { Ok(plan) } else { Err(refusal(plan, step, *interval)) }
        };
        grid.intervals().iter().enumerate().map(plan).collect()
    }
}

/// Why a plan with a coefficient that is not finite cannot be followed.
fn refusal(plan: StepPlan, step: usize, interval: Interval) -> SampleError {
    if plan.second.is_some_and(|second| second.stage.at.t.is_nan()) {
        let (from, to) = (interval.from.t, interval.to.t);
        let reason = "it passes 0 in the step variable, where there is no geometric middle; take \
                      Heun's rule, or steps in sigma";
        return SampleError::ImpossibleStep { step, from, to, reason };
    }
    SampleError::not_finite(step, interval)
}

impl<S: VectorSpace, V: StepVariable> Solver<S> for EdmSolver<V> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(Steps(self.plans(grid)?)))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.plans(grid)?.iter().map(StepPlan::evaluations).sum())
    }
}

struct Steps(Vec<StepPlan>);

impl<S: VectorSpace> Stepper<S> for Steps {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let StepPlan { raise, first, second, renew } = self.0[index];
        let x = renewed(index, raise, x, noise)?;
        let one = Estimate::new(index, first, &x, score)?;
        let end = match second {
            None => S::combine(&one.terms(first.x, first.data)),
            Some(Second { stage, start, first_data }) => {
                let between = S::combine(&one.terms(first.x, first.data));
                let two = Estimate::new(index, stage, &between, score)?;
                let terms = [one.terms(start, first_data), two.terms(stage.x, stage.data)];
                S::combine(&terms.concat())
            }
        };
        renewed(index, renew, end, noise)
    }
}

/// A state with the network's output there, which together hold its estimate of the data.
struct Estimate<'a, S> {
    x: &'a S,
    output: S,
    /// Coefficients of both in the data estimate.
    convert: (f64, f64),
}

impl<'a, S> Estimate<'a, S> {
    fn new(step: usize, stage: Stage, x: &'a S, score: &dyn ScoreFn<S>) -> Result<Self, SampleError>
    where
        S: VectorSpace,
    {
        let failed = |source| SampleError::Score { step, t: stage.at.t, source };
        let convert = score.conversion(Prediction::Data, stage.at).map_err(failed)?;
        let output = score.predict(x, Times::Shared(stage.at)).map_err(failed)?;
        Ok(Self { x, output, convert })
    }

    /// `x * state + data * x0_hat`, written in what is at hand.
    fn terms(&self, x: f64, data: f64) -> [(f64, &S); 2] {
        let (of_x, of_output) = self.convert;
        [(x + data * of_x, self.x), (data * of_output, &self.output)]
    }
}

fn renewed<S: VectorSpace>(
    step: usize,
    renewal: Option<Renewal>,
    x: S,
    noise: &mut dyn NoiseSource<S>,
) -> Result<S, SampleError> {
    let Some(renewal) = renewal else {
        return Ok(x);
    };
    if renewal.noise == 0.0 {
        return Ok(S::combine(&[(renewal.x, &x)]));
    }
    let z = noise.normal_like(&x).map_err(|source| SampleError::Noise { step, source })?;
    Ok(S::combine(&[(renewal.x, &x), (renewal.noise, &z)]))
}
