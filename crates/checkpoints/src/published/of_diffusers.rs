//! What a folder of diffusers says beyond its weights.

use std::path::Path;

use serde_json::{Map, Value};

use super::{DataRange, NetworkConventions, TrainedTime};
use crate::{CheckpointError, DiffusersFolder, NoiseConfig, TrainedNoise};

/// Refuses the configuration of another class than `UNet2DModel`.
pub(super) fn check_class(path: &Path, config: &Map<String, Value>) -> Result<(), CheckpointError> {
    match config.get("_class_name").and_then(Value::as_str) {
        None | Some("UNet2DModel") => Ok(()),
        Some(other) => Err(CheckpointError::Value {
            path: path.to_path_buf(),
            key: "_class_name",
            value: other.to_owned(),
            allowed: "UNet2DModel".to_owned(),
        }),
    }
}

/// Which file the weights are from, where their name is not the plain one.
pub(super) fn note_of_variant(folder: &DiffusersFolder) -> Option<String> {
    let (variant, path) = (folder.variant()?, folder.weights().path());
    Some(format!(
        "the weights are those of {}, the variant `{variant}`: there are none without a variant",
        path.display()
    ))
}

/// Out of the `scheduler_config.json` of a folder.
pub(super) fn conventions(
    folder: &Path,
    _config: &Map<String, Value>,
) -> Result<NetworkConventions, CheckpointError> {
    let parent = folder.parent().unwrap_or(folder);
    let found = match NoiseConfig::find(folder)? {
        // the subfolder `unet` of a pipeline, given by itself
        None if folder.file_name().is_some_and(|name| name == "unet") => NoiseConfig::find(parent)?,
        found => found,
    };
    let config = found.ok_or_else(|| CheckpointError::NeedsNoise {
        path: folder.to_path_buf(),
        needs: "a scheduler_config.json, in it or in its subfolder scheduler",
    })?;
    let steps = config.noise.steps();
    let (time, data_range) = match config.noise {
        // networks for exploding noise take its deviation, and were trained on data from 0 to 1
        TrainedNoise::Exploding { .. } => (TrainedTime::Sigma, DataRange::Unit),
        TrainedNoise::Edm { .. } => (TrainedTime::QuarterLogSigma, DataRange::Symmetric),
        // as networks of score_sde, which this scheduler is for
        TrainedNoise::VariancePreserving { .. } => {
            (TrainedTime::Time { scale: 999.0 }, DataRange::Symmetric)
        }
        _ => (TrainedTime::Index { steps, scale: 1.0 }, DataRange::Symmetric),
    };
    Ok(NetworkConventions {
        prediction: config.prediction,
        variance: config.variance,
        time,
        data_range,
        clip_sample: config.clip_sample,
        noise: config.noise,
        sampling: Some(config.sampling),
    })
}
