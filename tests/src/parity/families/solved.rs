//! Running a solver for a case, and what the score function saw.

use std::cell::RefCell;

use anyhow::Result;
use ndarray::ArrayD;
use tweedie_samplers::{Solver, sample_observed};
use tweedie_schedules::{Prediction, TimeGrid};
use tweedie_score::{DynamicThreshold, MapData, ScoreError, ScoreFn, Times};

use crate::parity::{Case, Produced};

type State = ArrayD<f64>;

/// Runs a solver from the case's start with its recorded noise; the states after each step.
pub(super) fn states(
    case: &Case,
    solver: &dyn Solver<State>,
    score: &dyn ScoreFn<State>,
    grid: &TimeGrid,
) -> Result<Vec<State>> {
    let mut states = Vec::with_capacity(grid.len());
    let mut observe = |_: usize, state: &State| states.push(state.clone());
    sample_observed(solver, score, grid, case.start()?, &mut case.noise(), &mut observe)?;
    Ok(states)
}

/// What a case of a scheduler asks for: the final state and those after each step.
pub(super) fn produced(states: Vec<State>, evaluations: usize) -> Produced {
    let last = states.last().cloned().unwrap_or_else(|| ArrayD::zeros(vec![0]));
    Produced::new().tensor("x_0", last).states("states", states).evaluations(evaluations)
}

/// Runs a case of a diffusers scheduler, with its thresholding.
pub(super) fn diffusers(
    case: &Case,
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
) -> Result<Produced> {
    let (model, options) = (case.model()?, case.options());
    let score: &dyn ScoreFn<State> = if negated(case)? { &Negated(&model) } else { &model };
    let states = if options.bool_or("thresholding", false)? {
        let quantile = options.f64_or("dynamic_thresholding_ratio", 0.995)?;
        let ceiling = options.f64_or("sample_max_value", 1.0)?;
        let map = DynamicThreshold::new(quantile)?.with_ceiling(ceiling)?;
        states(case, solver, &MapData { inner: score, map }, grid)?
    } else {
        states(case, solver, score, grid)?
    };
    Ok(produced(states, model.evaluations()))
}

/// Whether the peer takes the negative of what its model returns: EDM's schedulers do, told that it
/// returns a velocity.
pub(super) fn negated(case: &Case) -> Result<bool> {
    let velocity = case.options().str_or("prediction_type", "")? == "v_prediction";
    Ok(velocity && case.model.as_deref() == Some("edm_F"))
}

/// A score function of the other sign.
pub(super) struct Negated<F>(pub(super) F);

impl<F: ScoreFn<State>> ScoreFn<State> for Negated<F> {
    fn prediction(&self) -> Prediction {
        self.0.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        Ok(-self.0.predict(x, at)?)
    }
}

/// A score function that remembers the states it was called with.
pub(super) struct Watched<F> {
    inner: F,
    seen: RefCell<Vec<State>>,
}

impl<F> Watched<F> {
    pub(super) fn new(inner: F) -> Self {
        Self { inner, seen: RefCell::default() }
    }

    /// The states, in the order of the calls.
    pub(super) fn into_seen(self) -> Vec<State> {
        self.seen.into_inner()
    }
}

impl<F: ScoreFn<State>> ScoreFn<State> for Watched<F> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.seen.borrow_mut().push(x.clone());
        self.inner.predict(x, at)
    }
}
