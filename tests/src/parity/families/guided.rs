//! The models of guided-diffusion and improved-diffusion, and those with a learned variance.

use anyhow::{Result, bail};
use tweedie_schedules::{Interval, NoiseLevel, Prediction, TimeGrid, TimePoint};
use tweedie_score::{ConditionGradient, PosteriorMeans, ScoreError, ScoreFn, Times};

use super::estimate::State;
use crate::parity::{Case, Exact};

/// A model that says `0.5 tanh(x)` of its variance beside its prediction.
pub(super) struct WithVariance<F>(pub(super) F);

impl<F: ScoreFn<State>> ScoreFn<State> for WithVariance<F> {
    fn prediction(&self) -> Prediction {
        self.0.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.0.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        Ok((self.0.predict(x, at)?, Some(x.mapv(|value| 0.5 * value.tanh()))))
    }
}

/// A model of data, made to predict the mean one step down a chain.
struct MeanOfNext<'a> {
    data: &'a Exact<'a>,
    chain: &'a TimeGrid,
}

/// The step of `chain` that starts at `at`.
pub(super) fn step_from(chain: &TimeGrid, at: TimePoint) -> Interval {
    let found = chain.intervals().iter().find(|interval| interval.from == at);
    *found.expect("a time of the chain")
}

impl ScoreFn<State> for MeanOfNext<'_> {
    fn prediction(&self) -> Prediction {
        Prediction::PosteriorMean { earlier: NoiseLevel::CLEAN } // differs from time to time
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let mean = |point| {
            let posterior = step_from(self.chain, point).posterior();
            (posterior.x, posterior.data)
        };
        at.combine(mean, x, &self.data.predict(x, at)?)
    }
}

/// The closed form behind the model of a case.
pub(super) fn exact(case: &Case) -> Result<Exact<'_>> {
    match case.options().str_or("model_mean_type", mean_type(case)?)? {
        "PREVIOUS_X" => Ok(Exact::new(case.mixture()?, Prediction::Data)),
        _ => case.model(),
    }
}

/// What the model of a case returns, in the peer's words.
fn mean_type(case: &Case) -> Result<&'static str> {
    Ok(match case.model.as_deref() {
        Some("epsilon") => "EPSILON",
        Some("x0") => "START_X",
        Some("posterior_mean") => "PREVIOUS_X",
        other => bail!("no model that returns {other:?}"),
    })
}

/// Whether the model of a case predicts the mean one step down the chain.
pub(super) fn predicts_mean(case: &Case) -> Result<bool> {
    Ok(case.options().str_or("model_mean_type", mean_type(case)?)? == "PREVIOUS_X")
}

/// The score function of a case.
pub(super) fn score<'a>(
    case: &Case,
    exact: &'a Exact<'a>,
    chain: &'a TimeGrid,
) -> Result<Box<dyn ScoreFn<State> + 'a>> {
    Ok(if predicts_mean(case)? {
        let earlier = |at| step_from(chain, at).to.level;
        Box::new(WithVariance(PosteriorMeans::new(MeanOfNext { data: exact, chain }, earlier)))
    } else {
        Box::new(WithVariance(exact))
    })
}

/// The condition of all cases: `grad log p(y | x) = -(x - 1/4) / 2`.
pub(super) struct Pull;

impl ConditionGradient<State> for Pull {
    fn log_gradient(&self, x: &State, _at: Times<'_>) -> Result<State, ScoreError> {
        Ok(x.mapv(|x| -0.5 * (x - 0.25)))
    }
}

/// Whether a case has a condition.
pub(super) fn has_condition(case: &Case) -> Result<bool> {
    case.options().bool_or("cond_fn", false)
}
