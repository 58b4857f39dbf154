//! The states that a run passes through.

use crate::State;
use anyhow::Result;
use tweedie_samplers::{Solver, sample_observed};
use tweedie_schedules::TimeGrid;
use tweedie_score::{NoiseSource, ScoreFn};

/// The states at the start of a run and after each of its steps.
pub(crate) fn walk(
    solver: &dyn Solver<State>,
    network: &dyn ScoreFn<State>,
    grid: &TimeGrid,
    x: State,
    noise: &mut dyn NoiseSource<State>,
) -> Result<Vec<State>> {
    let mut states = vec![x.clone()];
    sample_observed(solver, network, grid, x, noise, &mut |_, state: &State| {
        states.push(state.clone());
    })?;
    Ok(states)
}
