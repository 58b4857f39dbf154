//! The models of guided-diffusion and improved-diffusion, and those with a learned variance.

use anyhow::{Context, Result, bail};
use tweedie_schedules::{Interval, NoiseLevel, Prediction, TimeGrid, TimePoint};
use tweedie_score::{PosteriorMeans, ScoreError, ScoreFn, Times};

use super::estimate::State;
use crate::parity::{Case, Exact};

/// A model that says `0.5 tanh(x)` of its variance beside its prediction, or that and a constant.
pub(super) struct WithVariance<F> {
    inner: F,
    constant: f64,
}

impl<F> WithVariance<F> {
    /// The model whose variance a case describes in its notes.
    pub(super) fn of(case: &Case, inner: F) -> Result<Self> {
        let described = |note: &&String| note.contains("tanh(x)");
        let note = case.notes.iter().find(described).map_or("", String::as_str);
        let (before, _) = note.split_once("0.5*tanh(x)").unwrap_or_default();
        let constant = before.rsplit([' ', '=', '[']).next().unwrap_or_default();
        let constant = match constant.trim_end_matches('+') {
            "" => 0.0,
            number => number.parse().with_context(|| note.to_owned())?,
        };
        Ok(Self { inner, constant })
    }
}

impl<F: ScoreFn<State>> ScoreFn<State> for WithVariance<F> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.inner.predict(x, at)
    }

    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        let value = |x: f64| self.constant + 0.5 * x.tanh();
        Ok((self.inner.predict(x, at)?, Some(x.mapv(value))))
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
        let means = PosteriorMeans::new(MeanOfNext { data: exact, chain }, earlier);
        Box::new(WithVariance::of(case, means)?)
    } else {
        Box::new(WithVariance::of(case, exact)?)
    })
}

/// Whether a case has a condition.
pub(super) fn has_condition(case: &Case) -> Result<bool> {
    case.options().bool_or("cond_fn", false)
}
