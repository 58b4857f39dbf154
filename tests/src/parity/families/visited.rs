//! Which steps of a discrete model a case visits.

use anyhow::{Result, bail};
use tweedie_schedules::{DiscreteTable, NoiseLevel, Respacing, Spacing, TimeGrid, TimePoint};

use crate::parity::Case;

/// The data itself, as the end of a last step.
pub(super) const CLEAN: TimePoint = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };

/// The indices that a scheduler of diffusers visits, noisiest first.
pub(super) fn by_diffusers(case: &Case) -> Result<Vec<usize>> {
    let options = case.options();
    let (count, steps) = (case.schedule.usize("N")?, case.steps()?);
    let spacing = match options.str_or("timestep_spacing", "leading")? {
        "leading" => {
            let offset = options.usize_or("steps_offset", 0)?;
            return Ok(Spacing::Leading.indices_with_offset(count, steps, offset)?);
        }
        "trailing" => Spacing::Trailing,
        "linspace" => Spacing::Linspace,
        other => bail!("no spacing {other}"),
    };
    Ok(spacing.indices(count, steps)?)
}

/// The chain of guided-diffusion, respaced if the case says so: down to the data.
pub(super) fn chain(case: &Case) -> Result<TimeGrid> {
    let table = case.schedule.table()?;
    let visited = match case.schedule.get("respacing") {
        Some(_) => case.schedule.str("respacing")?.parse::<Respacing>()?.indices(table.len())?,
        None => (0..table.len()).rev().collect(),
    };
    down_to_the_data(&table, &visited)
}

/// The grid through entries of a table, noisiest first, and on to the data.
pub(super) fn down_to_the_data(table: &DiscreteTable, visited: &[usize]) -> Result<TimeGrid> {
    let nodes: Result<Vec<_>, _> = visited.iter().map(|index| table.node(*index)).collect();
    Ok(TimeGrid::through(&nodes?)?.ending_clean())
}
