//! Cases that hold tables: of schedules, of spacings, of the coefficients of a step.

mod continuous;
mod discrete;
mod likelihood;
mod resampler;
mod spacing;

use anyhow::{Result, bail};

use super::dpm_singlestep;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    let schedule = case.schedule.str_or("kind", "none")?;
    match (case.peer_name(), case.family.as_str(), schedule) {
        ("diffusers", "table", _) => discrete::of_diffusers(case),
        ("diffusers", "table_addnoise", _) => discrete::add_noise(case),
        ("diffusers", "table_timesteps", _) => spacing::timesteps(case),
        ("openai/guided-diffusion" | "openai/improved-diffusion", "table", _) => {
            discrete::of_guided_diffusion(case)
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", "table_respace", "none") => {
            spacing::respacings(case)
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", "table_respace", _) => {
            discrete::respaced(case)
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", "table_likelihood", _) => {
            likelihood::run(case)
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", "resampler", _) => {
            resampler::run(case)
        }
        ("LuChengTHU/dpm-solver", "table", _) if case.inputs.0.is_empty() => {
            dpm_singlestep::table_of_orders(case)
        }
        ("LuChengTHU/dpm-solver", "table", _) => continuous::of_dpm_solver(case),
        ("crowsonkb/k-diffusion", "table", "sigmas") => continuous::sigmas(case),
        ("crowsonkb/k-diffusion", "table", "none") => continuous::ancestral_steps(case),
        (peer, family, _) => bail!("no case of {peer} of family {family} is implemented"),
    }
}
