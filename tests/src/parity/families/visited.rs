//! Which steps of a discrete model a case visits.

use anyhow::{Result, bail};
use tweedie_schedules::{DiscreteTable, NoiseLevel, Spacing, TimeGrid, TimePoint};

use crate::parity::Case;

/// The data itself, as the end of a last step.
pub(super) const CLEAN: TimePoint = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };

/// The indices that a scheduler of diffusers visits, noisiest first.
pub(super) fn by_scheduler(case: &Case) -> Result<Vec<usize>> {
    let options = case.options();
    let (spacing, offset) = match options.str_or("timestep_spacing", "leading")? {
        "leading" => (Spacing::Leading, options.usize_or("steps_offset", 0)?),
        "trailing" => (Spacing::Trailing, 0),
        "linspace" => (Spacing::Linspace, 0),
        other => bail!("no spacing {other}"),
    };
    let indices = spacing.indices(case.schedule.usize("N")?, case.steps()?)?;
    Ok(indices.into_iter().map(|index| index + offset).collect())
}

/// The chain of guided-diffusion, respaced if the case says so: down to the data.
pub(super) fn chain(case: &Case) -> Result<TimeGrid> {
    let table = case.schedule.table()?;
    let visited: Vec<usize> = match &case.timesteps {
        Some(steps) if case.schedule.get("respacing").is_some() => {
            steps.iter().map(|step| *step as usize).collect()
        }
        _ => (0..table.len()).collect(),
    };
    let mut visited = visited;
    visited.sort_unstable();
    visited.reverse();
    down_to_the_data(&table, &visited)
}

/// The grid through entries of a table, noisiest first, and on to the data.
pub(super) fn down_to_the_data(table: &DiscreteTable, visited: &[usize]) -> Result<TimeGrid> {
    let nodes: Result<Vec<_>, _> = visited.iter().map(|index| table.node(*index)).collect();
    Ok(TimeGrid::through(&nodes?)?.ending_clean())
}
