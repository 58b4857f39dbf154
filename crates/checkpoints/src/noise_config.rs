//! `scheduler_config.json` of diffusers: the noise that a network was trained with.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{BetaShape, CheckpointError, TrainedNoise, TrainedPrediction, TrainedVariance};

const FILE: &str = "scheduler_config.json";

/// More steps than any chain was trained with; a table of them is made from this number.
pub(crate) const MOST_STEPS: usize = 1_000_000;

/// What a network of diffusers was trained on. Only what concerns the training is kept; the rest of
/// the file is about one way of sampling.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseConfig {
    /// The class that the file was written by, such as `DDPMScheduler`.
    pub class_name: String,
    /// The noise of the forward process.
    pub noise: TrainedNoise,
    /// What the network predicts.
    pub prediction: TrainedPrediction,
    /// The variance that the network, or its sampler, uses; `None` where the class has none.
    pub variance: Option<TrainedVariance>,
    /// The bound to which the estimate of the data is clipped while sampling; `None` for no clipping.
    pub clip_sample: Option<f64>,
}

impl NoiseConfig {
    /// Reads the `scheduler_config.json` of a pipeline (in its subfolder `scheduler`) or of a folder;
    /// `None` where there is none.
    ///
    /// # Errors
    /// When there is one that cannot be read, see [`parse`](Self::parse).
    pub fn find(folder: &Path) -> Result<Option<Self>, CheckpointError> {
        let places = [folder.join("scheduler").join(FILE), folder.join(FILE)];
        let Some(path) = places.into_iter().find(|path| path.is_file()) else { return Ok(None) };
        let text = fs::read(&path).map_err(CheckpointError::io("read", &path))?;
        Self::parse(&path, &text).map(Some)
    }

    /// Reads the text of a `scheduler_config.json`; `path` is what errors call it. Absent values are
    /// those that the class has by default.
    ///
    /// # Errors
    /// When it is no JSON of that form, of a class whose noise is not known here, or when a value is
    /// unknown or out of range.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, CheckpointError> {
        let file: Written = serde_json::from_slice(text)
            .map_err(|source| CheckpointError::Json { path: path.to_path_buf(), source })?;
        let noise = match Family::of(&file.class_name) {
            Some(family) => family.noise(&Checks { path }, &file)?,
            None => return Err(Checks { path }.refuse("_class_name", &file.class_name, CLASSES)),
        };
        let clip_by_default = CLIPPING.contains(&file.class_name.as_str());
        let clips = file.clip_sample.unwrap_or(clip_by_default);
        let by_default = match noise {
            TrainedNoise::Exploding { .. } => TrainedPrediction::Score,
            _ => TrainedPrediction::Noise,
        };
        Ok(Self {
            noise,
            prediction: file.prediction_type.unwrap_or(by_default),
            variance: file.variance_type,
            clip_sample: clips.then_some(file.clip_sample_range.unwrap_or(1.0)),
            class_name: file.class_name,
        })
    }
}

/// The file as it is written; every key but the class may be absent, and others may be there.
#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_class_name")]
    class_name: String,
    num_train_timesteps: Option<usize>,
    beta_start: Option<f64>,
    beta_end: Option<f64>,
    beta_schedule: Option<BetaShape>,
    trained_betas: Option<Vec<f64>>,
    #[serde(default)]
    rescale_betas_zero_snr: bool,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    prediction_type: Option<TrainedPrediction>,
    variance_type: Option<TrainedVariance>,
    clip_sample: Option<bool>,
    clip_sample_range: Option<f64>,
}

/// Classes that clip the estimate of the data unless told otherwise.
const CLIPPING: [&str; 6] = [
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDIMInverseScheduler",
    "RePaintScheduler",
];

/// Classes whose noise is a chain of betas from 1e-4 to 0.02 by default.
const CHAINS: [&str; 16] = [
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "DDIMInverseScheduler",
    "RePaintScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverMultistepInverseScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
    "SASolverScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
];

/// Classes whose noise is a chain of betas from 8.5e-4 to 0.012 by default.
const LATENT_CHAINS: [&str; 4] = [
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "KDPM2AncestralDiscreteScheduler",
    "DPMSolverSDEScheduler",
];

const EXPLODING: &str = "ScoreSdeVeScheduler";

const CLASSES: &str = "a scheduler of diffusers with betas, or ScoreSdeVeScheduler";

/// Classes that have their noise in common.
enum Family {
    Chain { start: f64, end: f64 },
    Exploding,
}

impl Family {
    fn of(class: &str) -> Option<Self> {
        if CHAINS.contains(&class) {
            Some(Self::Chain { start: 1e-4, end: 0.02 })
        } else if LATENT_CHAINS.contains(&class) {
            Some(Self::Chain { start: 8.5e-4, end: 0.012 })
        } else {
            (class == EXPLODING).then_some(Self::Exploding)
        }
    }

    fn noise(self, checks: &Checks<'_>, file: &Written) -> Result<TrainedNoise, CheckpointError> {
        match self {
            Self::Chain { start, end } => chain(checks, file, start, end),
            Self::Exploding => exploding(checks, file),
        }
    }
}

fn chain(
    checks: &Checks<'_>,
    file: &Written,
    start: f64,
    end: f64,
) -> Result<TrainedNoise, CheckpointError> {
    let zero_terminal_snr = file.rescale_betas_zero_snr;
    if let Some(betas) = &file.trained_betas {
        if betas.is_empty() || betas.len() > MOST_STEPS {
            let length = betas.len().to_string();
            return Err(checks.refuse("trained_betas", &length, "1 to 1000000 betas"));
        }
        for beta in betas {
            checks.beta("trained_betas", *beta)?;
        }
        return Ok(TrainedNoise::Table { betas: betas.clone(), zero_terminal_snr });
    }
    Ok(TrainedNoise::Betas {
        shape: file.beta_schedule.unwrap_or(BetaShape::Linear),
        start: checks.beta("beta_start", file.beta_start.unwrap_or(start))?,
        end: checks.beta("beta_end", file.beta_end.unwrap_or(end))?,
        steps: checks.steps(file.num_train_timesteps.unwrap_or(1000))?,
        zero_terminal_snr,
    })
}

fn exploding(checks: &Checks<'_>, file: &Written) -> Result<TrainedNoise, CheckpointError> {
    let sigma_min = file.sigma_min.unwrap_or(0.01);
    let sigma_max = file.sigma_max.unwrap_or(1348.0);
    if sigma_min.is_nan() || sigma_min <= 0.0 {
        return Err(checks.refuse("sigma_min", &sigma_min.to_string(), "a positive number"));
    }
    if sigma_max.is_nan() || sigma_max <= sigma_min {
        return Err(checks.refuse("sigma_max", &sigma_max.to_string(), "more than sigma_min"));
    }
    let steps = checks.steps(file.num_train_timesteps.unwrap_or(2000))?;
    Ok(TrainedNoise::Exploding { sigma_min, sigma_max, steps })
}

/// Ranges of values, with the file that errors name.
struct Checks<'a> {
    path: &'a Path,
}

impl Checks<'_> {
    fn beta(&self, key: &'static str, beta: f64) -> Result<f64, CheckpointError> {
        if beta > 0.0 && beta < 1.0 {
            return Ok(beta);
        }
        Err(self.refuse(key, &beta.to_string(), "a value in (0, 1)"))
    }

    fn steps(&self, steps: usize) -> Result<usize, CheckpointError> {
        if (1..=MOST_STEPS).contains(&steps) {
            return Ok(steps);
        }
        Err(self.refuse("num_train_timesteps", &steps.to_string(), "1 to 1000000"))
    }

    fn refuse(&self, key: &'static str, value: &str, allowed: &str) -> CheckpointError {
        let path: PathBuf = self.path.to_path_buf();
        CheckpointError::Value { path, key, value: value.to_owned(), allowed: allowed.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain as message;

    fn parse(text: &str) -> Result<NoiseConfig, CheckpointError> {
        NoiseConfig::parse(Path::new("scheduler_config.json"), text.as_bytes())
    }

    #[track_caller]
    fn check_refused(text: &str, says: &str) {
        let text = message(&parse(text).unwrap_err());
        assert!(text.contains(says) && text.contains("scheduler_config.json"), "{text}");
    }

    #[test]
    fn an_old_file_takes_the_defaults_of_its_class() {
        let config = parse(
            r#"{"_class_name": "DDPMScheduler", "_diffusers_version": "0.1.1",
                "beta_end": 0.02, "beta_schedule": "linear", "beta_start": 0.0001,
                "clip_sample": true, "num_train_timesteps": 1000, "trained_betas": null,
                "variance_type": "fixed_large"}"#,
        );
        let noise = TrainedNoise::Betas {
            shape: BetaShape::Linear,
            start: 1e-4,
            end: 0.02,
            steps: 1000,
            zero_terminal_snr: false,
        };
        let expected = NoiseConfig {
            class_name: "DDPMScheduler".to_owned(),
            noise,
            prediction: TrainedPrediction::Noise,
            variance: Some(TrainedVariance::FixedLarge),
            clip_sample: Some(1.0),
        };
        assert_eq!(config.unwrap(), expected);
    }

    #[test]
    fn classes_differ_in_their_defaults() {
        let exploding = parse(r#"{"_class_name": "ScoreSdeVeScheduler"}"#).unwrap();
        let noise = TrainedNoise::Exploding { sigma_min: 0.01, sigma_max: 1348.0, steps: 2000 };
        assert_eq!(exploding.noise, noise);
        assert_eq!(exploding.clip_sample, None);
        let heun = parse(r#"{"_class_name": "HeunDiscreteScheduler"}"#).unwrap();
        assert!(matches!(heun.noise, TrainedNoise::Betas { start: 8.5e-4, end: 0.012, .. }));
    }

    #[test]
    fn velocity_and_zero_terminal_snr_are_read() {
        let config = parse(
            r#"{"_class_name": "DDIMScheduler", "prediction_type": "v_prediction",
                "beta_schedule": "squaredcos_cap_v2", "rescale_betas_zero_snr": true,
                "clip_sample": false}"#,
        )
        .unwrap();
        assert_eq!(config.prediction, TrainedPrediction::Velocity);
        assert_eq!(config.clip_sample, None);
        let shape = BetaShape::SquaredCosine;
        assert!(
            matches!(config.noise, TrainedNoise::Betas { shape: s, zero_terminal_snr: true, .. } if s == shape)
        );
    }

    #[test]
    fn unknown_values_and_values_out_of_range_are_refused() {
        check_refused(r#"{"_class_name": "FlowMatchEulerDiscreteScheduler"}"#, "FlowMatchEuler");
        check_refused(r#"{"beta_start": 0.1}"#, "missing field `_class_name`");
        let with = |rest: &str| format!(r#"{{"_class_name": "DDPMScheduler", {rest}}}"#);
        check_refused(&with(r#""beta_schedule": "zigzag""#), "unknown variant `zigzag`");
        check_refused(&with(r#""prediction_type": "flow""#), "unknown variant `flow`");
        check_refused(&with(r#""beta_start": -0.1"#), "beta_start is -0.1, expected");
        check_refused(&with(r#""beta_end": 1.0"#), "beta_end is 1, expected");
        check_refused(&with(r#""num_train_timesteps": 0"#), "num_train_timesteps is 0");
        check_refused(&with(r#""num_train_timesteps": 99999999999"#), "expected 1 to 1000000");
        check_refused(&with(r#""num_train_timesteps": -1"#), "not valid");
        check_refused(&with(r#""trained_betas": []"#), "trained_betas is 0");
        check_refused(&with(r#""trained_betas": [0.1, 1.5]"#), "trained_betas is 1.5");
        let sigmas = r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 2, "sigma_max": 1}"#;
        check_refused(sigmas, "sigma_max is 1, expected more than sigma_min");
    }
}
