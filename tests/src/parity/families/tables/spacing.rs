//! Which steps of a discrete model are visited.

use anyhow::{Context, Result, bail};
use tweedie_schedules::{Respacing, Spacing};

use crate::parity::{Case, Produced};

/// The steps that a scheduler of diffusers visits, for each number of steps.
pub(super) fn timesteps(case: &Case) -> Result<Produced> {
    let mut produced = Produced::new();
    for steps in case.inputs.numbers("steps")? {
        let indices = of_diffusers(case, steps as usize)?;
        let indices = indices.into_iter().map(|index| index as f64).collect();
        produced = produced.numbers(steps.to_string(), indices);
    }
    Ok(produced)
}

fn of_diffusers(case: &Case, steps: usize) -> Result<Vec<usize>> {
    let (name, available) = (case.sampler.name.as_str(), case.schedule.usize("N")?);
    let one_more = match name {
        "DDIMScheduler" | "DDIMInverseScheduler" | "DDPMScheduler" => false,
        "DPMSolverMultistepScheduler"
        | "DPMSolverSinglestepScheduler"
        | "DEISMultistepScheduler"
        | "UniPCMultistepScheduler" => true,
        other => bail!("the timesteps of {other} are not known"),
    };
    // each peer's own default
    let default = if one_more { "linspace" } else { "leading" };
    let offset = case.options().usize_or("steps_offset", 0)?;
    Ok(match (case.options().str_or("timestep_spacing", default)?, one_more) {
        // the solvers of higher order choose one step more and leave out the last, the data's
        ("leading", true) => {
            let indices = Spacing::Leading.indices_with_offset(available, steps + 1, offset)?;
            indices[..steps].to_vec()
        }
        ("linspace", true) => Spacing::Linspace.indices(available, steps + 1)?[..steps].to_vec(),
        ("leading", false) => Spacing::Leading.indices_with_offset(available, steps, offset)?,
        ("linspace", false) => Spacing::Linspace.indices(available, steps)?,
        ("trailing", _) => Spacing::Trailing.indices(available, steps)?,
        (other, _) => bail!("no spacing {other}"),
    })
}

/// The respacings of guided-diffusion: each output is named `number of steps;respacing`.
pub(super) fn respacings(case: &Case) -> Result<Produced> {
    let mut produced = Produced::new();
    for name in case.outputs.0.keys() {
        let (available, text) = name.split_once(';').context("an output without a respacing")?;
        let available = available.parse()?;
        let chosen = text.parse::<Respacing>().and_then(|respacing| respacing.indices(available));
        produced = match chosen {
            Ok(indices) => {
                let ascending = indices.into_iter().rev().map(|index| index as f64);
                produced.numbers(name, ascending.collect())
            }
            Err(error) => produced.refused(name, error),
        };
    }
    Ok(produced)
}
