//! From a case to the part of the library that it exercises.

mod analytic;
mod bound;
mod conditions;
mod ddim;
mod ddpm;
mod deis;
mod diffusers_sigmas;
mod dpm_adaptive;
mod dpm_multistep;
mod dpm_singlestep;
mod dpm_solver_code;
mod edm;
mod estimate;
mod guided;
mod karras;
mod keras;
mod known_options;
mod likelihood;
mod ode;
mod pndm;
mod solved;
mod song;
mod tables;
mod unipc;
mod visited;

use anyhow::{Result, bail};

use super::{Case, Produced};

/// Runs a case through the library.
///
/// # Errors
/// When the library cannot express it, or fails.
pub fn run(case: &Case) -> Result<Produced> {
    let sampler = case.sampler.name.as_str();
    if matches!(case.kind.as_str(), "sample" | "ode") {
        known_options::check(case)?;
    }
    match (case.peer_name(), case.kind.as_str()) {
        ("baofff/Analytic-DPM", "sample" | "table") => analytic::run(case),
        ("baofff/Analytic-DPM", "bpd") => bound::run(case),
        ("bojone/Keras-DDPM", "sample") => keras::run(case),
        ("NVlabs/edm", "sample") => edm::run(case),
        ("scipy" | "torchdiffeq", "ode") | ("yang-song/score_sde_pytorch", "ode") => ode::run(case),
        ("yang-song/score_sde_pytorch", "sample" | "table" | "loss") => song::run(case),
        ("yang-song/score_sde_pytorch", "inpaint" | "colorize") => {
            known_options::check(case)?;
            song::run(case)
        }
        ("yang-song/score_sde_pytorch" | "crowsonkb/k-diffusion", "likelihood") => {
            known_options::check(case)?;
            likelihood::run(case)
        }
        ("LuChengTHU/dpm-solver", "sample") => {
            match case.sampler.step_options.str_or("method", "multistep")? {
                "multistep" => dpm_multistep::run(case),
                "adaptive" => dpm_adaptive::run(case),
                _ => dpm_singlestep::run(case),
            }
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", _) => match sampler {
            "p_sample_loop" | "p_mean_variance" => ddpm::run(case),
            "ddim_sample_loop" | "ddim_reverse_sample" => ddim::run(case),
            "training_losses" | "calc_bpd_loop" => bound::run(case),
            _ => tables::run(case),
        },
        ("crowsonkb/k-diffusion", "sample") => match sampler {
            "sample_dpm_fast" | "sample_dpm_adaptive" => dpm_adaptive::run(case),
            "sample_dpmpp_2s_ancestral" | "sample_dpmpp_sde" => dpm_singlestep::run(case),
            "sample_dpmpp_2m" | "sample_dpmpp_2m_sde" | "sample_dpmpp_3m_sde" => {
                dpm_multistep::run(case)
            }
            _ => karras::run(case),
        },
        ("diffusers", "sample") => run_diffusers(case),
        (_, "table" | "timesteps") => tables::run(case),
        (peer, kind) => bail!("no case of {peer} of kind {kind} is implemented"),
    }
}

/// The case with its table rescaled if its scheduler is told to do so.
fn with_own_table(case: &Case) -> Result<Case> {
    let mut case = case.clone();
    if case.options().bool_or("rescale_betas_zero_snr", false)? {
        case.schedule.0.insert("rescale_betas_zero_snr".to_owned(), true.into());
    }
    Ok(case)
}

/// A sampler of diffusers, whose classes mix grid and solver.
fn run_diffusers(case: &Case) -> Result<Produced> {
    let case = &with_own_table(case)?;
    match case.sampler.name.as_str() {
        "DDPMScheduler" => ddpm::run(case),
        "DDIMScheduler" | "DDIMInverseScheduler" => ddim::run(case),
        "DPMSolverMultistepScheduler" | "EDMDPMSolverMultistepScheduler" => {
            dpm_multistep::run(case)
        }
        "DPMSolverSinglestepScheduler" => dpm_singlestep::run(case),
        "UniPCMultistepScheduler" => unipc::run(case),
        "DEISMultistepScheduler" => deis::run(case),
        "PNDMScheduler" => pndm::run(case),
        "ScoreSdeVeScheduler" | "ScoreSdeVpScheduler" => song::run(case),
        _ => karras::run(case),
    }
}
