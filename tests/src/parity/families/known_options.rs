//! The options that are mapped, by sampler: one that is not must not be passed over in silence.

use anyhow::{Context, Result, ensure};

use crate::parity::{Case, Fields};

/// Options of a sampler's constructor and of its call, separated by spaces.
struct Known {
    options: &'static [&'static str],
    step_options: &'static str,
}

const DISCRETE: &str = "prediction_type timestep_spacing steps_offset rescale_betas_zero_snr";
const THRESHOLDED: &str = "thresholding dynamic_thresholding_ratio sample_max_value";
const CLIPPED: &str = "clip_sample clip_sample_range";
const SIGMAS: &str = "use_karras_sigmas use_exponential_sigmas use_beta_sigmas";
const FLOW: &str = "use_flow_sigmas flow_shift";
const SOLVER: &str = "solver_order solver_type algorithm_type lower_order_final";
const ENDS: &str = "final_sigmas_type lambda_min_clipped";

/// What is known of a scheduler of diffusers.
fn of_diffusers(name: &str) -> Option<Known> {
    let plain = |options| Some(Known { options, step_options: "" });
    match name {
        "DDPMScheduler" => plain(&[DISCRETE, THRESHOLDED, CLIPPED, "variance_type"]),
        "DDIMScheduler" => Some(Known {
            options: &[DISCRETE, THRESHOLDED, CLIPPED, "set_alpha_to_one"],
            step_options: "eta use_clipped_model_output",
        }),
        "DDIMInverseScheduler" => plain(&[DISCRETE, CLIPPED, "set_alpha_to_one"]),
        "DPMSolverMultistepScheduler" => plain(&[
            DISCRETE,
            THRESHOLDED,
            SOLVER,
            SIGMAS,
            FLOW,
            ENDS,
            "use_lu_lambdas euler_at_final",
        ]),
        "DPMSolverSinglestepScheduler" => {
            plain(&["prediction_type", THRESHOLDED, SOLVER, SIGMAS, FLOW, ENDS])
        }
        "EDMDPMSolverMultistepScheduler" => plain(&[
            "prediction_type sigma_min sigma_max sigma_data sigma_schedule rho",
            THRESHOLDED,
            SOLVER,
            "euler_at_final final_sigmas_type",
        ]),
        "EDMEulerScheduler" => plain(&[
            "prediction_type sigma_min sigma_max sigma_data sigma_schedule rho final_sigmas_type",
        ]),
        "UniPCMultistepScheduler" => plain(&[
            DISCRETE,
            THRESHOLDED,
            SOLVER,
            SIGMAS,
            FLOW,
            "predict_x0 disable_corrector final_sigmas_type sigma_min sigma_max shift_terminal",
        ]),
        "DEISMultistepScheduler" => plain(&[DISCRETE, THRESHOLDED, SOLVER, SIGMAS, FLOW]),
        "PNDMScheduler" => plain(&[DISCRETE, "skip_prk_steps set_alpha_to_one"]),
        "EulerDiscreteScheduler" => Some(Known {
            options: &[
                DISCRETE,
                SIGMAS,
                "interpolation_type sigma_min sigma_max timestep_type final_sigmas_type",
            ],
            step_options: "s_churn s_tmin s_tmax s_noise",
        }),
        "EulerAncestralDiscreteScheduler" => plain(&[DISCRETE]),
        "HeunDiscreteScheduler" => plain(&[DISCRETE, SIGMAS, CLIPPED]),
        "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" => plain(&[DISCRETE, SIGMAS]),
        "LMSDiscreteScheduler" => {
            Some(Known { options: &[DISCRETE, SIGMAS], step_options: "order" })
        }
        "ScoreSdeVeScheduler" => Some(Known {
            options: &["snr sigma_min sigma_max sampling_eps correct_steps"],
            step_options: "sampling_eps",
        }),
        "ScoreSdeVpScheduler" => Some(Known {
            options: &["beta_min beta_max sampling_eps"],
            step_options: "sampling_eps",
        }),
        _ => None,
    }
}

/// What is known of a sampler of another peer.
fn of_others(peer: &str, name: &str) -> Option<Known> {
    let plain = |options| Some(Known { options, step_options: "" });
    match (peer, name) {
        ("crowsonkb/k-diffusion", "sample_euler" | "sample_heun" | "sample_dpm_2") => {
            plain(&["s_churn s_tmin s_tmax s_noise"])
        }
        ("crowsonkb/k-diffusion", "sample_lms") => plain(&["order"]),
        ("crowsonkb/k-diffusion", "sample_dpmpp_sde") => plain(&["eta s_noise r"]),
        ("crowsonkb/k-diffusion", "sample_dpmpp_2m_sde") => plain(&["eta s_noise solver_type"]),
        ("crowsonkb/k-diffusion", "sample_dpm_adaptive") => {
            plain(&["order rtol atol h_init pcoeff icoeff dcoeff accept_safety eta s_noise"])
        }
        ("crowsonkb/k-diffusion", "sample_dpmpp_2m") => plain(&[""]),
        ("crowsonkb/k-diffusion", "log_likelihood") => plain(&["method rtol atol"]),
        ("crowsonkb/k-diffusion", _) => plain(&["eta s_noise"]),
        ("yang-song/score_sde_pytorch", "pc" | "pc_inpaint" | "pc_colorize") => {
            plain(&["predictor corrector snr n_steps probability_flow continuous denoise eps N"])
        }
        ("yang-song/score_sde_pytorch", "sde_loss") => {
            plain(&["likelihood_weighting reduce_mean eps continuous"])
        }
        ("yang-song/score_sde_pytorch", "ddpm_loss" | "smld_loss") => plain(&["reduce_mean"]),
        ("yang-song/score_sde_pytorch", "likelihood") => {
            plain(&["hutchinson_type inverse_scaler method rtol atol eps"])
        }
        ("yang-song/score_sde_pytorch", "ode") => plain(&["method rtol atol eps denoise"]),
        ("scipy" | "torchdiffeq", _) => plain(&["method rtol atol first_step max_step"]),
        ("baofff/Analytic-DPM", _) => plain(&[
            "steps_type eta clip_sigma_idx clip_pixel small_sigma clip_denoise",
            "shift1",            // the moments of a case are shifted
            "rescale_timesteps", // other units of the time that the model is told
        ]),
        ("bojone/Keras-DDPM", _) => plain(&["stride eta"]),
        ("openai/guided-diffusion" | "openai/improved-diffusion", _) => plain(&[
            "model_mean_type model_var_type clip_denoised eta cond_fn loss_type",
            "rescale_timesteps", // other units of the time that the model is told
        ]),
        ("NVlabs/edm", "edm_sampler") => {
            plain(&["num_steps sigma_min sigma_max rho S_churn S_min S_max S_noise"])
        }
        ("NVlabs/edm", _) => plain(&[
            "num_steps sigma_min sigma_max rho S_churn S_min S_max S_noise",
            "solver discretization schedule scaling epsilon_s C_1 C_2 M alpha",
        ]),
        ("LuChengTHU/dpm-solver", _) => Some(Known {
            options: &[
                "algorithm_type model_type correcting_x0_fn thresholding_max_val",
                "dynamic_thresholding_ratio guidance_type guidance_scale",
            ],
            step_options: "steps t_start t_end order skip_type method lower_order_final \
                           denoise_to_zero solver_type atol rtol",
        }),
        _ => None,
    }
}

/// Holds a run's options to those that are mapped.
///
/// # Errors
/// When one is not, or when the peer is told that its model returns something else than it does.
pub(super) fn check(case: &Case) -> Result<()> {
    let name = case.sampler.name.as_str();
    let known = match case.peer_name() {
        "diffusers" => of_diffusers(name),
        peer => of_others(peer, name),
    };
    let known = known.with_context(|| format!("no sampler {name} is mapped"))?;
    check_model(case)?;
    check_names(case.options(), &known.options.join(" "))?;
    check_names(&case.sampler.step_options, known.step_options)
}

/// An option that is null is as good as absent.
fn check_names(given: &Fields, known: &str) -> Result<()> {
    for name in given.0.keys().filter(|name| given.get(name).is_some()) {
        ensure!(known.split_whitespace().any(|known| known == name), "no option {name} is mapped");
    }
    Ok(())
}

/// What the model returns must be what the peer takes it for.
fn check_model(case: &Case) -> Result<()> {
    let Some(model) = case.model.as_deref() else {
        return Ok(());
    };
    let (option, words): (_, &[&str]) = match (case.peer_name(), model) {
        ("diffusers", "epsilon") => ("prediction_type", &["epsilon"]),
        ("diffusers", "x0") => ("prediction_type", &["sample"]),
        ("diffusers", "v") => ("prediction_type", &["v_prediction"]),
        ("diffusers", "edm_F") => ("prediction_type", &["epsilon", "v_prediction"]),
        ("LuChengTHU/dpm-solver", "epsilon") => ("model_type", &["noise"]),
        ("LuChengTHU/dpm-solver", "x0") => ("model_type", &["x_start"]),
        ("LuChengTHU/dpm-solver", other) => ("model_type", &[other]),
        _ => return Ok(()),
    };
    let taken_for = case.options().str_or(option, words[0])?;
    ensure!(words.contains(&taken_for), "a model of {model} is taken for one of {taken_for}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case of a scheduler of diffusers with a model of velocities.
    fn case(name: &str, options: &str) -> Case {
        let text = format!(
            r#"{{"id": "", "peer": "diffusers==0.42.1", "family": "", "kind": "sample", "dtype": "float64",
                 "model": "v", "outputs": {{}}, "sampler": {{"name": "{name}", "options": {options}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn options_that_are_not_mapped_are_refused_by_name() {
        let unipc = |options| check(&case("UniPCMultistepScheduler", options));
        assert!(unipc(r#"{"solver_order": 2, "solver_p": null}"#).is_ok());
        let error = unipc(r#"{"solver_p": "DDIMScheduler"}"#).unwrap_err();
        assert_eq!(error.to_string(), "no option solver_p is mapped");
        assert!(check(&case("IPNDMScheduler", "{}")).is_err());
    }

    #[test]
    fn a_model_that_is_taken_for_another_is_refused() {
        let unipc = |options| check(&case("UniPCMultistepScheduler", options));
        assert!(unipc(r#"{"prediction_type": "v_prediction"}"#).is_ok());
        assert!(unipc(r#"{"prediction_type": "epsilon"}"#).is_err());
    }
}
