//! The flags of guided- and improved-diffusion, as their scripts take them.

use std::path::Path;

use serde_json::{Map, Value};

use crate::CheckpointError;

/// Flags that say how a network is built.
const NETWORK: [&str; 17] = [
    "image_size",
    "num_channels",
    "num_res_blocks",
    "num_heads",
    "num_heads_upsample",
    "num_head_channels",
    "attention_resolutions",
    "channel_mult",
    "dropout",
    "class_cond",
    "learn_sigma",
    "use_checkpoint",
    "use_scale_shift_norm",
    "resblock_updown",
    "use_fp16",
    "use_new_attention_order",
    "num_classes",
];

/// Flags that say how a noisy classifier is built.
const CLASSIFIER: [&str; 7] = [
    "classifier_use_fp16",
    "classifier_width",
    "classifier_depth",
    "classifier_attention_resolutions",
    "classifier_use_scale_shift_norm",
    "classifier_resblock_updown",
    "classifier_pool",
];

/// Flags that say which noise a network was trained with, and what it returns.
pub(super) const NOISE: [&str; 9] = [
    "diffusion_steps",
    "noise_schedule",
    "timestep_respacing",
    "use_kl",
    "predict_xstart",
    "rescale_timesteps",
    "rescale_learned_sigmas",
    "sigma_small",
    "source",
];

/// Flags of the scripts that do not concern a network: they are passed over.
const SCRIPTS: [&str; 31] = [
    "data_dir",
    "val_data_dir",
    "schedule_sampler",
    "lr",
    "weight_decay",
    "lr_anneal_steps",
    "anneal_lr",
    "iterations",
    "noised",
    "batch_size",
    "microbatch",
    "ema_rate",
    "log_interval",
    "eval_interval",
    "save_interval",
    "resume_checkpoint",
    "fp16_scale_growth",
    "clip_denoised",
    "num_samples",
    "use_ddim",
    "model_path",
    "classifier_path",
    "classifier_scale",
    "base_samples",
    // arguments of the constructors
    "model_channels",
    "in_channels",
    "out_channels",
    "conv_resample",
    "dims",
    "pool",
    "_comment",
];

/// The values of flags, each a text still: `--image_size 64 --learn_sigma=True`.
pub(super) fn parse_flags(path: &Path, text: &str) -> Result<Map<String, Value>, CheckpointError> {
    // a command of several lines goes on behind each backslash
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut words = text.split_whitespace().filter(|word| *word != "\\").peekable();
    let mut flags = Map::new();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else {
            return Err(refuse(path, "a flag", word, "--NAME VALUE"));
        };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, words.next_if(|next| !next.starts_with("--"))),
        };
        let Some(value) = value else {
            return Err(refuse(path, "a flag", word, "a value after it"));
        };
        let value = value.trim_matches(['"', '\'']);
        flags.insert(name.to_owned(), Value::from(value));
    }
    Ok(flags)
}

/// Flags with their file, which errors name. A value may be a JSON value or the text of one.
pub(super) struct Flags<'a> {
    path: &'a Path,
    values: &'a Map<String, Value>,
}

impl<'a> Flags<'a> {
    pub(super) fn new(path: &'a Path, values: &'a Map<String, Value>) -> Self {
        Self { path, values }
    }

    /// Refuses names that no script knows: a slip of the pen would fall back to a default.
    pub(super) fn check_names(&self) -> Result<(), CheckpointError> {
        let known = |key: &str| {
            [&NETWORK[..], &CLASSIFIER, &NOISE, &SCRIPTS].iter().any(|list| list.contains(&key))
        };
        match self.values.keys().find(|key| !known(key)) {
            None => Ok(()),
            Some(key) => Err(CheckpointError::UnknownKey {
                path: self.path.to_path_buf(),
                key: key.clone(),
                known: [&NETWORK[..], &CLASSIFIER, &NOISE].concat().join(", "),
            }),
        }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.values.get(key).is_some_and(|value| !value.is_null())
    }

    /// Whether one of the flags of a noisy classifier is there.
    pub(super) fn of_classifier(&self) -> bool {
        CLASSIFIER.iter().any(|key| self.has(key))
    }

    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        match self.values.get(key)? {
            Value::Null => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => Some(other.to_string()),
        }
    }

    /// An integer in the range.
    pub(super) fn integer(
        &self,
        key: &'static str,
        default: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<i64, CheckpointError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let value = text.parse().ok().filter(|value| range.contains(value));
        value.ok_or_else(|| {
            let allowed = format!("an integer from {} to {}", range.start(), range.end());
            refuse(self.path, key, &text, &allowed)
        })
    }

    /// A count from 1 on.
    pub(super) fn count(&self, key: &'static str, default: i64) -> Result<i64, CheckpointError> {
        self.integer(key, default, 1..=1_000_000)
    }

    pub(super) fn number(&self, key: &'static str, default: f64) -> Result<f64, CheckpointError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        let value = text.parse().ok().filter(|value: &f64| (0.0..1.0).contains(value));
        value.ok_or_else(|| refuse(self.path, key, &text, "a number from 0 to below 1"))
    }

    /// A truth value, in the words that the scripts take.
    pub(super) fn truth(&self, key: &'static str, default: bool) -> Result<bool, CheckpointError> {
        let Some(text) = self.text(key) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "t" | "y" | "1" => Ok(true),
            "no" | "false" | "f" | "n" | "0" => Ok(false),
            _ => Err(refuse(self.path, key, &text, "True or False")),
        }
    }

    /// Integers with commas between, or a JSON list of them.
    pub(super) fn integers(
        &self,
        key: &'static str,
        default: &str,
    ) -> Result<Vec<i64>, CheckpointError> {
        let text = self.text(key).unwrap_or_else(|| default.to_owned());
        let inside = text.trim_start_matches(['[', '(']).trim_end_matches([']', ')']);
        let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
        let read = parts.map(|part| part.parse().ok().filter(|n| (1..=1_000_000).contains(n)));
        let values: Option<Vec<i64>> = read.take(64).collect();
        values.ok_or_else(|| refuse(self.path, key, &text, "positive integers with commas between"))
    }

    pub(super) fn refuse(&self, key: &'static str, value: &str, allowed: &str) -> CheckpointError {
        refuse(self.path, key, value, allowed)
    }
}

fn refuse(path: &Path, key: &'static str, value: &str, allowed: &str) -> CheckpointError {
    CheckpointError::Value {
        path: path.to_path_buf(),
        key,
        value: value.to_owned(),
        allowed: allowed.to_owned(),
    }
}
