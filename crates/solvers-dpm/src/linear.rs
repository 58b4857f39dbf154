//! Linear multistep methods: each step combines the state with the newest predictions.

use std::collections::VecDeque;
use tweedie_samplers::{SampleError, Stepper};
use tweedie_schedules::{Interval, Prediction, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// One step of a linear multistep method: `x' = x state + sum of outputs[j] m_j + noise z`, where
/// `m_0` is the prediction at the start of the step and `m_j` that of `j` steps before.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearStep {
    /// Where the network is called.
    pub at: TimePoint,
    /// What the predictions are turned into.
    pub prediction: Prediction,
    /// Coefficient of the state.
    pub x: f64,
    /// Coefficients of the predictions, newest first.
    pub outputs: Vec<f64>,
    /// Standard deviation of the noise added; no noise is drawn when it is 0.
    pub noise: f64,
}

impl LinearStep {
    /// The step itself, once its coefficients are seen to be finite.
    pub(crate) fn checked(self, step: usize, interval: Interval) -> Result<Self, SampleError> {
        if self.outputs.iter().chain([&self.x, &self.noise]).all(|value| value.is_finite()) {
            return Ok(self);
        }
        Err(SampleError::not_finite(step, interval))
    }
}

/// The network's prediction at `at`, turned into `wanted`; a network that does not tell it is not asked.
pub(crate) fn prediction<S: VectorSpace>(
    step: usize,
    (x, at): (&S, TimePoint),
    wanted: Prediction,
    score: &dyn ScoreFn<S>,
) -> Result<S, SampleError> {
    let Asked { of_x, of_output, output } = ask(step, (x, at), wanted, score)?;
    Ok(if (of_x, of_output) == (0.0, 1.0) {
        output
    } else {
        S::combine(&[(of_x, x), (of_output, &output)])
    })
}

/// A network's output, and what turns it into what a method needs.
struct Asked<S> {
    of_x: f64,
    of_output: f64,
    output: S,
}

fn ask<S: VectorSpace>(
    step: usize,
    (x, at): (&S, TimePoint),
    wanted: Prediction,
    score: &dyn ScoreFn<S>,
) -> Result<Asked<S>, SampleError> {
    let failed = |source| SampleError::Score { step, t: at.t, source };
    let (of_x, of_output) = score.conversion(wanted, at).map_err(failed)?;
    let output = score.predict(x, Times::Shared(at)).map_err(failed)?;
    Ok(Asked { of_x, of_output, output })
}

/// A run of a linear multistep method.
#[derive(Debug)]
pub(crate) struct LinearRun<S> {
    steps: Vec<LinearStep>,
    /// Predictions of earlier steps, newest first.
    history: VecDeque<S>,
}

impl<S> LinearRun<S> {
    pub(crate) fn new(steps: Vec<LinearStep>) -> Self {
        Self { steps, history: VecDeque::new() }
    }

    /// Earlier predictions that step `index` draws on.
    fn needed(&self, index: usize) -> usize {
        self.steps.get(index).map_or(0, |step| step.outputs.len() - 1)
    }
}

impl<S: VectorSpace> Stepper<S> for LinearRun<S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let step = &self.steps[index];
        let Asked { of_x, of_output, output } = ask(index, (&x, step.at), step.prediction, score)?;
        let z = match step.noise {
            0.0 => None,
            _ => {
                let failed = |source| SampleError::Noise { step: index, source };
                Some(noise.normal_like(&x).map_err(failed)?)
            }
        };
        let keep = self.needed(index + 1);
        // a prediction that no later step needs is not formed on its own
        let own = step.outputs[0];
        let newest = (keep > 0 && (of_x, of_output) != (0.0, 1.0))
            .then(|| S::combine(&[(of_x, &x), (of_output, &output)]));
        let (of_state, mut terms) = match &newest {
            Some(newest) => (step.x, vec![(own, newest)]),
            None => (step.x + own * of_x, vec![(own * of_output, &output)]),
        };
        terms.extend(step.outputs[1..].iter().copied().zip(&self.history));
        terms.extend(z.iter().map(|z| (step.noise, z)));
        let next = x.combine_reusing(of_state, &terms);
        self.history.push_front(newest.unwrap_or(output));
        self.history.truncate(keep);
        Ok(next)
    }
}
