//! How the schedulers of diffusers walk, for the methods that they were made for.

use super::sampler::Sampler;
use super::spacing::SpacingName;
use anyhow::{Result, bail};
use tweedie_checkpoints::{DiffusersSampling, StepSpacing};
use tweedie_schedules::{DiscreteTable, NoiseLevel, Spacing, TimeGrid, TimePoint};

impl From<StepSpacing> for SpacingName {
    fn from(spacing: StepSpacing) -> Self {
        match spacing {
            StepSpacing::Leading => Self::Leading,
            StepSpacing::Linspace => Self::Linspace,
            StepSpacing::Trailing => Self::Trailing,
        }
    }
}

/// Whether a method walks a chain of betas as the scheduler says: those of diffusers that do have no other
/// way of placing their steps.
pub(crate) fn is_followed(sampling: &DiffusersSampling, sampler: Sampler) -> bool {
    sampling.is_chain() && matches!(sampler, Sampler::Ddim | Sampler::Ddpm)
}

/// The steps of DDIM or DDPM over a table as diffusers places them; `None` for a spacing that it lacks.
///
/// # Errors
/// When there are too many steps, or the scheduler's offset leads out of the table.
pub(crate) fn of_chain(
    sampling: &DiffusersSampling,
    table: &DiscreteTable,
    (sampler, steps, spacing): (Sampler, usize, SpacingName),
) -> Result<Option<TimeGrid>> {
    let visited = match spacing {
        SpacingName::Leading => leading(table.len(), steps, sampling.steps_offset)?,
        SpacingName::Linspace => Spacing::Linspace.indices(table.len(), steps)?,
        SpacingName::Trailing => Spacing::Trailing.indices(table.len(), steps)?,
        SpacingName::Time | SpacingName::Lambda | SpacingName::Karras => return Ok(None),
    };
    if sampler == Sampler::Ddpm {
        return Ok(Some(TimeGrid::at_nodes(table, &visited)?.ending_clean()));
    }
    let end = match sampling.ends_clean {
        true => NoiseLevel::CLEAN,
        false => table.node(0)?.level,
    };
    let (stride, end) = (table.len() / steps, TimePoint { t: 0.0, level: end });
    Ok(Some(TimeGrid::strided(table, &visited, stride, end)?))
}

/// The indices from the first in equal strides, each raised by the scheduler's offset.
fn leading(available: usize, steps: usize, offset: usize) -> Result<Vec<usize>> {
    let raised = |steps| Spacing::Leading.indices_with_offset(available, steps, offset);
    // what is wrong without an offset is not its fault
    let plain = Spacing::Leading.indices(available, steps)?;
    if plain[0] + offset < available {
        return Ok(raised(steps)?);
    }
    let fewer = (1..steps).rev().find(|&fewer| raised(fewer).is_ok());
    let fewer = fewer.map_or_else(String::new, |fewer| format!("--steps {fewer}, or "));
    bail!(
        "scheduler_config.json: steps_offset {offset} raises the first of {steps} steps to index {}, and the \
         last of the chain is {}: {fewer}--spacing trailing, which takes no offset",
        plain[0] + offset,
        available - 1
    )
}
