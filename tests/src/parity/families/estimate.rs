//! What a peer does to the data estimate of a case, and the record of the last one.

use std::cell::RefCell;

use anyhow::{Context, Result};
use ndarray::ArrayD;
use tweedie_samplers::{Solver, sample_observed};
use tweedie_schedules::TimeGrid;
use tweedie_score::{
    Clip, DataMap, DynamicThreshold, MapData, ScoreError, ScoreFn, Times, WatchData,
};

use crate::parity::{Case, Produced};

pub(super) type State = ArrayD<f64>;

/// A map of the data estimate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Estimate {
    /// None.
    AsItIs,
    /// Held within a range.
    Clipped(Clip),
    /// Dynamic thresholding.
    Thresholded(DynamicThreshold),
}

impl Estimate {
    /// From the options of a scheduler of diffusers.
    pub(super) fn of_diffusers(case: &Case) -> Result<Self> {
        let options = case.options();
        if options.bool_or("thresholding", false)? {
            let rule = DynamicThreshold::new(options.f64_or("dynamic_thresholding_ratio", 0.995)?)?;
            let most = options.f64_or("sample_max_value", 1.0)?;
            return Ok(Self::Thresholded(rule.with_ceiling(most)?));
        }
        let range = options.f64_or("clip_sample_range", 1.0)?;
        Ok(Self::clip(options.bool_or("clip_sample", true)?, range))
    }

    /// Held between `-range` and `range`, if at all.
    pub(super) const fn clip(clipped: bool, range: f64) -> Self {
        if clipped { Self::Clipped(Clip { low: -range, high: range }) } else { Self::AsItIs }
    }
}

impl DataMap<State> for Estimate {
    fn map(&self, data: State, at: Times<'_>) -> Result<State, ScoreError> {
        match self {
            Self::AsItIs => Ok(data),
            Self::Clipped(clip) => clip.map(data, at),
            Self::Thresholded(rule) => rule.map(data, at),
        }
    }
}

/// A map that remembers the last estimate it gave.
pub(super) struct Remembered {
    map: Estimate,
    last: RefCell<Option<State>>,
}

impl Remembered {
    pub(super) const fn new(map: Estimate) -> Self {
        Self { map, last: RefCell::new(None) }
    }

    /// The map for a solver or a decorator.
    pub(super) fn map(&self, data: State, at: Times<'_>) -> Result<State, ScoreError> {
        let mapped = self.map.map(data, at)?;
        self.last.replace(Some(mapped.clone()));
        Ok(mapped)
    }

    /// Whether the estimate stays as it is.
    pub(super) const fn is_identity(&self) -> bool {
        matches!(self.map, Estimate::AsItIs)
    }
}

/// Runs a case and keeps what its outputs name: final state, all states, last data estimate.
pub(super) fn run(
    case: &Case,
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
    score: &dyn ScoreFn<State>,
    seen: &Remembered,
) -> Result<Produced> {
    let mut states = Vec::new();
    let mut keep = |_: usize, state: &State| states.push(state.clone());
    let end = sample_observed(solver, score, grid, case.start()?, &mut case.noise(), &mut keep)?;
    let last = seen.last.borrow().clone().context("no data was estimated")?;
    Ok(Produced::new().tensor("x_0", end).states("states", states).tensor("pred_x0_last", last))
}

/// Runs a case whose data estimate is mapped before the solver sees it, or only in the output where
/// it is not mapped at all.
pub(super) fn run_mapped(
    case: &Case,
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
    score: &dyn ScoreFn<State>,
    seen: &Remembered,
) -> Result<Produced> {
    if seen.is_identity() {
        return run_watched(case, solver, grid, score, seen);
    }
    let map = |data: State, at: Times<'_>| seen.map(data, at);
    run(case, solver, grid, &MapData { inner: score, map }, seen)
}

/// Runs a case whose data estimate is mapped in the output alone.
pub(super) fn run_watched(
    case: &Case,
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
    score: &dyn ScoreFn<State>,
    seen: &Remembered,
) -> Result<Produced> {
    let watch = |data: &State, at: Times<'_>| {
        let _ = seen.map(data.clone(), at);
    };
    run(case, solver, grid, &WatchData { inner: score, watch }, seen)
}
