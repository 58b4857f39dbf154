//! Writes a model folder that diffusers loads, whole or not at all.
//!
//! | file | for |
//! |---|---|
//! | `config.json`, `diffusion_pytorch_model.safetensors` | `UNet2DModel.from_pretrained` |
//! | `scheduler_config.json` | `DDPMScheduler.from_pretrained`, or of another scheduler of the same noise |
//! | `model_index.json` | `DiffusionPipeline.from_pretrained` |
//!
//! All of them lie in one folder, as in the folders that Google published for the DDPM paper: network,
//! scheduler and pipeline then load from the same path. There is no `model_index.json` where diffusers has no
//! pipeline that calls such a network.

mod words;

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::View;
use serde_json::{Map, Value, json};

use crate::durable::{partial_name, sync_folder};
use crate::{
    CheckpointError, DataRange, NetworkConventions, PublishedCheckpoint, TrainedNoise,
    TrainedPrediction, TrainedTime, TrainedVariance, write_atomically, write_safetensors,
};

const WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// Writes a network as a folder of diffusers.
///
/// `config` holds the keys of `UNet2DModel`'s `config.json`, and `tensors` its weights by the names that
/// diffusers gives them. With `conventions` the folder is a pipeline: it says which noise the network was
/// trained with.
///
/// # Errors
/// When there is something at `path` already (an empty folder is taken), when diffusers has no scheduler
/// for the noise, a tensor's bytes disagree with its shape, or a file cannot be written. Nothing is at
/// `path` then that was not there before.
pub fn write_diffusers_folder<S, V>(
    path: &Path,
    config: &Map<String, Value>,
    conventions: Option<&NetworkConventions>,
    tensors: impl IntoIterator<Item = (S, V)>,
) -> Result<(), CheckpointError>
where
    S: Into<String>,
    V: View,
{
    let pipeline = conventions.map(Pipeline::of).transpose()?;
    let staged = StagedFolder::new(path)?;
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    write_safetensors(&staged.partial.join(WEIGHTS), tensors, &metadata)
        .map_err(|error| error.in_target(&staged.partial, path))?;
    let class_name = ("_class_name".to_owned(), Value::from("UNet2DModel"));
    let named: Map<String, Value> = config.clone().into_iter().chain([class_name]).collect();
    staged.write_json("config.json", &named.into())?;
    if let Some(pipeline) = pipeline {
        if let Some(class) = pipeline.class.filter(|_| !is_told_classes(config)) {
            staged.write_json("model_index.json", &pipeline.index(class))?;
        }
        staged.write_json("scheduler_config.json", &pipeline.noise.into())?;
    }
    staged.check(conventions).map_err(|error| error.in_target(&staged.partial, path))?;
    staged.publish()
}

/// Whether a network is told classes, which no pipeline of images in diffusers passes on.
fn is_told_classes(config: &Map<String, Value>) -> bool {
    let given = |key| config.get(key).is_some_and(|value| !value.is_null());
    given("num_class_embeds") || given("class_embed_type")
}

/// A folder under a temporary name, removed unless it is published.
struct StagedFolder<'a> {
    partial: PathBuf,
    target: &'a Path,
}

impl<'a> StagedFolder<'a> {
    fn new(target: &'a Path) -> Result<Self, CheckpointError> {
        let taken = match fs::read_dir(target) {
            Ok(mut entries) => entries.next().is_some(),
            Err(_) => target.exists(),
        };
        if taken {
            return Err(CheckpointError::Exists { path: target.to_path_buf() });
        }
        let partial = partial_name(target);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(CheckpointError::io("remove", &partial))?;
        }
        fs::create_dir_all(&partial).map_err(CheckpointError::io("create", target))?;
        Ok(Self { partial, target })
    }

    fn write_json(&self, name: &str, value: &Value) -> Result<(), CheckpointError> {
        let path = self.target.join(name);
        let text = serde_json::to_vec_pretty(value)
            .map_err(|source| CheckpointError::Encode { path, source })?;
        write_atomically(&self.partial.join(name), &text)
            .map_err(|error| error.in_target(&self.partial, self.target))
    }

    /// Reads the folder as whoever is given it will.
    fn check(&self, conventions: Option<&NetworkConventions>) -> Result<(), CheckpointError> {
        let written = PublishedCheckpoint::open(&self.partial)?;
        conventions.map_or(Ok(()), |_| written.conventions().map(drop))
    }

    fn publish(self) -> Result<(), CheckpointError> {
        sync_folder(&self.partial)?;
        if self.target.exists() {
            fs::remove_dir(self.target).map_err(CheckpointError::io("replace", self.target))?;
        }
        fs::rename(&self.partial, self.target)
            .map_err(CheckpointError::io("rename to", self.target))?;
        let parent = self.target.parent().filter(|parent| !parent.as_os_str().is_empty());
        sync_folder(parent.unwrap_or(Path::new(".")))
    }
}

impl Drop for StagedFolder<'_> {
    fn drop(&mut self) {
        // after the rename there is nothing of this name
        let _ = fs::remove_dir_all(&self.partial);
    }
}

/// The pipeline of diffusers that draws from a network, where it has one, and the values of its scheduler.
struct Pipeline {
    class: Option<&'static str>,
    noise: Map<String, Value>,
}

impl Pipeline {
    fn of(conventions: &NetworkConventions) -> Result<Self, CheckpointError> {
        if let Some(sampling) = &conventions.sampling {
            return Ok(Self::with(sampling.values.clone()));
        }
        let refuse = || CheckpointError::NotInDiffusers { what: words::of(conventions) };
        match (&conventions.noise, conventions.prediction, conventions.time, conventions.data_range)
        {
            (
                TrainedNoise::Betas { .. } | TrainedNoise::Table { .. },
                prediction,
                TrainedTime::Index { steps, scale: 1.0 },
                DataRange::Symmetric,
            ) if steps == conventions.noise.steps() => {
                let prediction = prediction_name(prediction).ok_or_else(refuse)?;
                Ok(Self::of_chain(conventions, prediction))
            }
            (
                TrainedNoise::Exploding { sigma_min, sigma_max, steps },
                TrainedPrediction::Score,
                TrainedTime::Sigma,
                DataRange::Unit,
            ) => Ok(Self::of_exploding(*sigma_min, *sigma_max, *steps)),
            (
                TrainedNoise::Edm { sigma_min, sigma_max, steps },
                TrainedPrediction::Edm { sigma_data },
                TrainedTime::QuarterLogSigma,
                DataRange::Symmetric,
            ) => Ok(Self::of_edm([*sigma_min, *sigma_max, sigma_data], *steps)),
            _ => Err(refuse()),
        }
    }

    fn of_chain(conventions: &NetworkConventions, prediction: &str) -> Self {
        let variance = conventions.variance.unwrap_or(TrainedVariance::FixedSmall);
        let mut noise = object(json!({
            "_class_name": "DDPMScheduler",
            "prediction_type": prediction,
            "clip_sample": conventions.clip_sample.is_some(),
            "clip_sample_range": conventions.clip_sample.unwrap_or(1.0),
            "variance_type": variance.name(),
            "timestep_spacing": spacing(variance),
        }));
        noise.extend(chain_values(&conventions.noise));
        Self::with(noise)
    }

    fn of_exploding(sigma_min: f64, sigma_max: f64, steps: usize) -> Self {
        Self::with(object(json!({
            "_class_name": "ScoreSdeVeScheduler",
            "num_train_timesteps": steps,
            "sigma_min": sigma_min,
            "sigma_max": sigma_max,
        })))
    }

    fn of_edm([sigma_min, sigma_max, sigma_data]: [f64; 3], steps: usize) -> Self {
        Self::with(object(json!({
            "_class_name": "EDMEulerScheduler",
            "num_train_timesteps": steps,
            "prediction_type": "epsilon",
            "sigma_min": sigma_min,
            "sigma_max": sigma_max,
            "sigma_data": sigma_data,
        })))
    }

    fn with(noise: Map<String, Value>) -> Self {
        let class = match noise.get("_class_name").and_then(Value::as_str).unwrap_or_default() {
            "DDPMScheduler" => Some("DDPMPipeline"),
            "ScoreSdeVeScheduler" => Some("ScoreSdeVePipeline"),
            // diffusers has no pipeline of images that runs these
            "ScoreSdeVpScheduler" | "EDMEulerScheduler" | "EDMDPMSolverMultistepScheduler" => None,
            // which takes the noise of any chain
            _ => Some("DDIMPipeline"),
        };
        Self { class, noise }
    }

    fn index(&self, class: &str) -> Value {
        json!({
            "_class_name": class,
            "scheduler": ["diffusers", self.noise["_class_name"]],
            "unet": ["diffusers", "UNet2DModel"],
        })
    }
}

/// As runs here space their steps, whose last one adds no noise. In diffusers it does wherever it does not begin at
/// the first entry, so that all but the small variance would leave it in the images of few steps. These walk from
/// the last entry, which runs begin at, down to the first one.
fn spacing(variance: TrainedVariance) -> &'static str {
    match variance {
        TrainedVariance::FixedSmall | TrainedVariance::FixedSmallLog => "trailing",
        _ => "linspace",
    }
}

fn chain_values(noise: &TrainedNoise) -> Map<String, Value> {
    object(match noise {
        TrainedNoise::Betas { shape, start, end, steps, zero_terminal_snr } => json!({
            "num_train_timesteps": steps,
            "beta_start": start,
            "beta_end": end,
            "beta_schedule": shape.name(),
            "trained_betas": null,
            "rescale_betas_zero_snr": zero_terminal_snr,
        }),
        TrainedNoise::Table { betas, zero_terminal_snr } => json!({
            "num_train_timesteps": betas.len(),
            "trained_betas": betas,
            "rescale_betas_zero_snr": zero_terminal_snr,
        }),
        _ => Value::Null,
    })
}

fn prediction_name(prediction: TrainedPrediction) -> Option<&'static str> {
    match prediction {
        TrainedPrediction::Noise => Some("epsilon"),
        TrainedPrediction::Data => Some("sample"),
        TrainedPrediction::Velocity => Some("v_prediction"),
        TrainedPrediction::Score | TrainedPrediction::Edm { .. } => None,
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;
    use crate::{BetaShape, Dtype, NoiseConfig, OwnedTensor};

    fn conventions() -> NetworkConventions {
        NetworkConventions {
            noise: TrainedNoise::Betas {
                shape: BetaShape::SquaredCosine,
                start: 1e-4,
                end: 0.02,
                steps: 500,
                zero_terminal_snr: false,
            },
            prediction: TrainedPrediction::Velocity,
            variance: Some(TrainedVariance::LearnedRange),
            time: TrainedTime::Index { steps: 500, scale: 1.0 },
            data_range: DataRange::Symmetric,
            clip_sample: Some(2.0),
            sampling: None,
        }
    }

    fn write(path: &Path, conventions: &NetworkConventions) -> Result<(), CheckpointError> {
        let config = object(json!({"in_channels": 3, "sample_size": 8}));
        let tensors = ["conv_in.weight", "down_blocks.0.resnets.0.conv1.bias"]
            .map(|name| (name, OwnedTensor::from_f32(&[1], &[0.5]).unwrap()));
        write_diffusers_folder(path, &config, Some(conventions), tensors)
    }

    #[track_caller]
    fn check_kept(conventions: &NetworkConventions) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        write(&path, conventions).unwrap();
        let read = PublishedCheckpoint::open(&path).unwrap();
        let found = read.conventions().unwrap();
        assert_eq!(NetworkConventions { sampling: None, ..found.clone() }, *conventions);
        // once it has a scheduler it keeps it
        let again = folder.path().join("again");
        write(&again, &found).unwrap();
        assert_eq!(PublishedCheckpoint::open(&again).unwrap().conventions().unwrap(), found);
        assert_eq!(read.weights().read_f32("conv_in.weight").unwrap(), [0.5]);
        assert_eq!(read.image_shape(), Some([3, 8, 8]));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "leftovers");
    }

    #[test]
    fn a_network_that_is_told_classes_gets_no_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        for (name, more, has_index) in [
            ("plain", json!({}), true),
            ("null", json!({"num_class_embeds": null, "class_embed_type": null}), true),
            ("table", json!({"num_class_embeds": 10}), false),
            ("identity", json!({"class_embed_type": "identity"}), false),
        ] {
            let (path, mut config) = (folder.path().join(name), object(json!({"in_channels": 3})));
            config.extend(object(more));
            let weight = ("conv_in.weight", OwnedTensor::from_f32(&[1], &[0.5]).unwrap());
            let none_yet = ("down_blocks.0.resnets.0.conv1.bias", weight.1.clone());
            write_diffusers_folder(&path, &config, Some(&conventions()), [weight, none_yet])
                .unwrap();
            assert_eq!(path.join("model_index.json").exists(), has_index, "{name}");
            assert!(path.join("scheduler_config.json").exists(), "{name}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        check_kept(&conventions());
        let table = TrainedNoise::Table { betas: vec![0.1, 0.2, 0.3], zero_terminal_snr: true };
        let time = TrainedTime::Index { steps: 3, scale: 1.0 };
        check_kept(&NetworkConventions { noise: table, time, clip_sample: None, ..conventions() });
        check_kept(&NetworkConventions {
            noise: TrainedNoise::Exploding { sigma_min: 0.02, sigma_max: 90.0, steps: 700 },
            prediction: TrainedPrediction::Score,
            variance: None,
            time: TrainedTime::Sigma,
            data_range: DataRange::Unit,
            clip_sample: None,
            sampling: None,
        });
        check_kept(&NetworkConventions {
            noise: TrainedNoise::Edm { sigma_min: 0.01, sigma_max: 70.0, steps: 300 },
            prediction: TrainedPrediction::Edm { sigma_data: 0.7 },
            variance: None,
            time: TrainedTime::QuarterLogSigma,
            data_range: DataRange::Symmetric,
            clip_sample: None,
            sampling: None,
        });
    }

    #[test]
    fn no_folder_that_is_written_has_noise_in_the_last_of_few_steps() {
        for (variance, expected) in [
            (None, "trailing"),
            (Some(TrainedVariance::FixedSmall), "trailing"),
            (Some(TrainedVariance::FixedLarge), "linspace"),
            (Some(TrainedVariance::Learned), "linspace"),
            (Some(TrainedVariance::LearnedRange), "linspace"),
        ] {
            let written = Pipeline::of(&NetworkConventions { variance, ..conventions() }).unwrap();
            assert_eq!(written.noise["timestep_spacing"], expected, "{variance:?}");
        }
    }

    #[test]
    fn a_file_of_sampling_is_written_as_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let text = r#"{"_class_name": "DPMSolverMultistepScheduler", "thresholding": true,
            "lambda_min_clipped": -Infinity, "solver_order": 3, "own": {"key": "Infinity"}}"#;
        let config = NoiseConfig::parse(Path::new("x"), text.as_bytes()).unwrap();
        let sampling = Some(config.sampling);
        write(&path, &NetworkConventions { sampling, ..conventions() }).unwrap();
        let read: Map<String, Value> =
            serde_json::from_slice(&fs::read(path.join("scheduler_config.json")).unwrap()).unwrap();
        assert_eq!(read["lambda_min_clipped"], json!(-1e308));
        assert_eq!((&read["solver_order"], &read["own"]["key"]), (&json!(3), &json!("Infinity")));
        let index = fs::read_to_string(path.join("model_index.json")).unwrap();
        assert!(index.contains("DDIMPipeline") && index.contains("DPMSolverMultistep"), "{index}");
    }

    #[test]
    fn noise_that_diffusers_lacks_is_refused_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let time = TrainedTime::Time { scale: 999.0 };
        let noise = TrainedNoise::VariancePreserving { beta_min: 0.1, beta_max: 20.0, steps: 1000 };
        let message =
            chain(&write(&path, &NetworkConventions { noise, time, ..conventions() }).unwrap_err());
        let says = "no scheduler for a variance-preserving SDE with a network that predicts the velocity, is told \
                    999 t and takes data from -1 to 1";
        assert!(message.contains(says), "{message}");
        let score = NetworkConventions { prediction: TrainedPrediction::Score, ..conventions() };
        assert!(chain(&write(&path, &score).unwrap_err()).contains("predicts the score"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        fs::create_dir(&path).unwrap();
        write(&path, &conventions()).unwrap();
        let message = write(&path, &conventions()).unwrap_err().to_string();
        assert!(message.contains("exists already"), "{message}");
        assert!(NoiseConfig::find(&path).unwrap().is_some());
    }

    #[test]
    fn a_network_alone_says_nothing_of_noise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model");
        let tensor = OwnedTensor::new(Dtype::BF16, &[1], vec![0, 0]).unwrap();
        write_diffusers_folder(&path, &Map::new(), None, [("w", tensor)]).unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["config.json", WEIGHTS]);
    }
}
