//! What names and shapes say about a network whose configuration is missing, and what they cannot say.

use std::path::Path;

use super::NetworkFamily;
use super::contents::Contents;
use crate::{CheckpointError, TensorFile};

/// The error for weights without a configuration: what it must hold, with what is certain filled in.
pub(super) fn needs_config(path: &Path, contents: &Contents) -> CheckpointError {
    CheckpointError::NeedsConfig {
        path: path.to_path_buf(),
        source_name: contents.source.name(),
        needs: needs(contents),
    }
}

/// What a configuration of this network must hold.
fn needs(contents: &Contents) -> String {
    let weights = &contents.weights;
    match contents.family {
        NetworkFamily::UNet2DModel => "the config.json that diffusers wrote".to_owned(),
        NetworkFamily::ScoreSde => format!(
            "the groups `training` (sde, continuous), `data` (image_size, num_channels, centered) and `model` \
             of its configuration as JSON; names and shapes say {}",
            of_score_sde(weights).join(", ")
        ),
        NetworkFamily::Ncsnv2 => {
            "the groups `data` and `model` of its configuration as JSON".to_owned()
        }
        NetworkFamily::Adm => format!(
            "the flags of its script, as text or as JSON; names and shapes say \"{}\", they cannot say \
             --image_size, --num_heads or --num_head_channels, --use_new_attention_order, \
             --diffusion_steps and --noise_schedule",
            of_adm(weights).join(" ")
        ),
        NetworkFamily::AdmEncoder => {
            "--image_size and the flags of its script that begin with --classifier_, as text or as JSON"
                .to_owned()
        }
    }
}

fn of_score_sde(weights: &TensorFile) -> Vec<String> {
    let mut said = Vec::new();
    let fourier = weights.contains("all_modules.0.W");
    said.push(format!("embedding_type {}", if fourier { "fourier" } else { "positional" }));
    let name = if weights.names().any(|name| name.contains("GroupNorm_1")) {
        Some("ncsnpp")
    } else {
        None
    };
    said.extend(name.map(|name| format!("name {name}")));
    let levels = weights.describe("sigmas").ok().and_then(|sigmas| sigmas.shape.first().copied());
    said.extend(levels.map(|levels| format!("num_scales {levels}")));
    said
}

fn of_adm(weights: &TensorFile) -> Vec<String> {
    let shape = |name: &str| weights.describe(name).ok().map(|tensor| tensor.shape);
    let mut flags = Vec::new();
    let mut flag =
        |name: &str, value: &dyn std::fmt::Display| flags.push(format!("--{name} {value}"));
    if let Some([_, width]) = shape("time_embed.0.weight").as_deref() {
        flag("num_channels", width);
    }
    if let Some([out, ..]) = shape("out.2.weight").as_deref() {
        flag("learn_sigma", &python_bool(*out == 6));
    }
    flag("class_cond", &python_bool(weights.contains("label_emb.weight")));
    if let (Some([block, ..]), Some([embedded, ..])) = (
        shape("input_blocks.1.0.out_layers.3.weight").as_deref(),
        shape("input_blocks.1.0.emb_layers.1.weight").as_deref(),
    ) {
        flag("use_scale_shift_norm", &python_bool(*embedded == 2 * block));
    }
    flags
}

fn python_bool(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}
