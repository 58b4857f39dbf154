//! `scheduler_config.json` of diffusers: the noise that a network was trained with.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    BetaShape, CheckpointError, DiffusersSampling, TrainedNoise, TrainedPrediction,
    TrainedVariance, json_object,
};

const FILE: &str = "scheduler_config.json";

/// More steps than any chain was trained with; a table of them is made from this number.
pub(crate) const MOST_STEPS: usize = 1_000_000;

/// What a network of diffusers was trained on, and how its scheduler samples.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseConfig {
    /// The noise of the forward process.
    pub noise: TrainedNoise,
    /// What the network predicts.
    pub prediction: TrainedPrediction,
    /// The variance that the network, or its sampler, uses; `None` where the class has none.
    pub variance: Option<TrainedVariance>,
    /// The bound to which the estimate of the data is clipped while sampling; `None` for no clipping.
    pub clip_sample: Option<f64>,
    /// The rest of the file, which is about sampling.
    pub sampling: DiffusersSampling,
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
        Self::of_values(path, json_object::of_file(path, &without_infinities(text))?)
    }

    /// The same of the values in such a file.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn of_values(path: &Path, values: Map<String, Value>) -> Result<Self, CheckpointError> {
        let checks = Checks { path };
        let file: Written = serde_json::from_value(Value::Object(values.clone()))
            .map_err(|source| CheckpointError::Json { path: path.to_path_buf(), source })?;
        let class = file.class_name.as_str();
        let family =
            Family::of(class).ok_or_else(|| checks.refuse("_class_name", class, CLASSES))?;
        let noise = family.noise(&checks, &file)?;
        let clips = file.clip_sample.unwrap_or(CLIPPING.contains(&class));
        let range = file.clip_sample_range.unwrap_or(1.0);
        checks.positive("clip_sample_range", range)?;
        Ok(Self {
            prediction: family.prediction(&checks, &file)?,
            variance: file.variance_type,
            clip_sample: clips.then_some(range),
            sampling: DiffusersSampling::of(&checks, class, values, noise.steps())?,
            noise,
        })
    }
}

/// Python's text for numbers without end, which JSON lacks, as numbers that it has: far more than any value
/// that is compared with them.
fn without_infinities(text: &[u8]) -> Vec<u8> {
    const WORD: &[u8] = b"Infinity";
    let (mut plain, mut in_string, mut at) = (Vec::with_capacity(text.len()), false, 0);
    while at < text.len() {
        match text[at] {
            b'\\' if in_string => {
                plain.push(text[at]);
                at += 1;
            }
            b'"' => in_string = !in_string,
            b'I' if !in_string && text[at..].starts_with(WORD) => {
                plain.extend(b"1e308");
                at += WORD.len();
                continue;
            }
            _ => {}
        }
        plain.extend(text.get(at));
        at += 1;
    }
    plain
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
    rescale_betas_zero_snr: Option<bool>,
    beta_min: Option<f64>,
    beta_max: Option<f64>,
    sigma_min: Option<f64>,
    sigma_max: Option<f64>,
    sigma_data: Option<f64>,
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

/// Classes with EDM's preconditioning.
const EDM: [&str; 2] = ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"];

const CLASSES: &str = "a scheduler of diffusers with betas, ScoreSdeVeScheduler, ScoreSdeVpScheduler, \
                       EDMEulerScheduler or EDMDPMSolverMultistepScheduler";

/// Classes that have their noise in common.
#[derive(Clone, Copy)]
enum Family {
    Chain { start: f64, end: f64 },
    Exploding,
    Preserving,
    Edm,
}

impl Family {
    fn of(class: &str) -> Option<Self> {
        Some(match class {
            _ if CHAINS.contains(&class) => Self::Chain { start: 1e-4, end: 0.02 },
            _ if LATENT_CHAINS.contains(&class) => Self::Chain { start: 8.5e-4, end: 0.012 },
            "ScoreSdeVeScheduler" => Self::Exploding,
            "ScoreSdeVpScheduler" => Self::Preserving,
            _ if EDM.contains(&class) => Self::Edm,
            _ => return None,
        })
    }

    fn noise(self, checks: &Checks<'_>, file: &Written) -> Result<TrainedNoise, CheckpointError> {
        let steps = |default| checks.steps(file.num_train_timesteps.unwrap_or(default));
        match self {
            Self::Chain { start, end } => chain(checks, file, start, end),
            Self::Exploding => {
                let [sigma_min, sigma_max] = sigmas(checks, file, [0.01, 1348.0])?;
                Ok(TrainedNoise::Exploding { sigma_min, sigma_max, steps: steps(2000)? })
            }
            Self::Preserving => preserving(checks, file, steps(2000)?),
            Self::Edm => {
                let [sigma_min, sigma_max] = sigmas(checks, file, [0.002, 80.0])?;
                Ok(TrainedNoise::Edm { sigma_min, sigma_max, steps: steps(1000)? })
            }
        }
    }

    fn prediction(
        self,
        checks: &Checks<'_>,
        file: &Written,
    ) -> Result<TrainedPrediction, CheckpointError> {
        let said = file.prediction_type.unwrap_or(TrainedPrediction::Noise);
        match self {
            Self::Chain { .. } => Ok(said),
            Self::Preserving => Ok(TrainedPrediction::Noise),
            Self::Exploding => Ok(TrainedPrediction::Score),
            // which diffusers calls epsilon there
            Self::Edm if said == TrainedPrediction::Noise => {
                let sigma_data = file.sigma_data.unwrap_or(0.5);
                checks.positive("sigma_data", sigma_data)?;
                Ok(TrainedPrediction::Edm { sigma_data })
            }
            Self::Edm => {
                let value = format!("{said:?}").to_lowercase();
                Err(checks.refuse("prediction_type", &value, "epsilon, with EDM's preconditioning"))
            }
        }
    }
}

fn chain(
    checks: &Checks<'_>,
    file: &Written,
    start: f64,
    end: f64,
) -> Result<TrainedNoise, CheckpointError> {
    let zero_terminal_snr = file.rescale_betas_zero_snr.unwrap_or(false);
    let steps = checks.steps(file.num_train_timesteps.unwrap_or(1000))?;
    if let Some(betas) = &file.trained_betas {
        // of a longer list diffusers uses the beginning, of a shorter one it runs out
        if betas.len() != steps {
            let length = format!("a list of {}", betas.len());
            let allowed = format!("as many as num_train_timesteps, {steps}");
            return Err(checks.refuse("trained_betas", &length, &allowed));
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
        steps,
        zero_terminal_snr,
    })
}

/// The least and the largest deviation.
fn sigmas(
    checks: &Checks<'_>,
    file: &Written,
    [least, largest]: [f64; 2],
) -> Result<[f64; 2], CheckpointError> {
    let sigma_min = file.sigma_min.unwrap_or(least);
    let sigma_max = file.sigma_max.unwrap_or(largest);
    checks.positive("sigma_min", sigma_min)?;
    if sigma_max.is_nan() || sigma_max <= sigma_min {
        return Err(checks.refuse("sigma_max", &sigma_max.to_string(), "more than sigma_min"));
    }
    Ok([sigma_min, sigma_max])
}

fn preserving(
    checks: &Checks<'_>,
    file: &Written,
    steps: usize,
) -> Result<TrainedNoise, CheckpointError> {
    let (beta_min, beta_max) = (file.beta_min.unwrap_or(0.1), file.beta_max.unwrap_or(20.0));
    checks.positive("beta_min", beta_min)?;
    checks.positive("beta_max", beta_max)?;
    Ok(TrainedNoise::VariancePreserving { beta_min, beta_max, steps })
}

/// Ranges of values, with the file that errors name.
pub(crate) struct Checks<'a> {
    path: &'a Path,
}

impl Checks<'_> {
    fn beta(&self, key: &'static str, beta: f64) -> Result<f64, CheckpointError> {
        if beta > 0.0 && beta < 1.0 {
            return Ok(beta);
        }
        Err(self.refuse(key, &beta.to_string(), "a value in (0, 1)"))
    }

    fn positive(&self, key: &'static str, value: f64) -> Result<(), CheckpointError> {
        if value > 0.0 && value.is_finite() {
            return Ok(());
        }
        Err(self.refuse(key, &value.to_string(), "a positive number"))
    }

    fn steps(&self, steps: usize) -> Result<usize, CheckpointError> {
        if (1..=MOST_STEPS).contains(&steps) {
            return Ok(steps);
        }
        Err(self.refuse("num_train_timesteps", &steps.to_string(), "1 to 1000000"))
    }

    pub(crate) fn refuse(&self, key: &'static str, value: &str, allowed: &str) -> CheckpointError {
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
        let config = config.unwrap();
        assert_eq!((config.noise, config.prediction), (noise, TrainedPrediction::Noise));
        assert_eq!(config.variance, Some(TrainedVariance::FixedLarge));
        assert_eq!(config.clip_sample, Some(1.0));
        assert_eq!(config.sampling.class_name, "DDPMScheduler");
        assert_eq!(config.sampling.notes(), [""; 0]);
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
    fn motions_in_continuous_time_are_read() {
        let edm = parse(r#"{"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_max": 70}"#);
        let edm = edm.unwrap();
        let noise = TrainedNoise::Edm { sigma_min: 0.002, sigma_max: 70.0, steps: 1000 };
        assert_eq!(
            (edm.noise, edm.prediction),
            (noise, TrainedPrediction::Edm { sigma_data: 0.5 })
        );
        let preserving =
            parse(r#"{"_class_name": "ScoreSdeVpScheduler", "beta_max": 10}"#).unwrap();
        let noise = TrainedNoise::VariancePreserving { beta_min: 0.1, beta_max: 10.0, steps: 2000 };
        assert_eq!((preserving.noise, preserving.prediction), (noise, TrainedPrediction::Noise));
    }

    #[test]
    fn pythons_infinities_are_numbers_and_words_in_strings_stay() {
        let config = parse(
            r#"{"_class_name": "SASolverScheduler", "lambda_min_clipped": -Infinity,
                "own \" Infinity": "a \\", "sample_max_value": Infinity}"#,
        );
        let values = config.unwrap().sampling.values;
        assert_eq!(values["lambda_min_clipped"].as_f64(), Some(-1e308));
        assert_eq!(values["sample_max_value"].as_f64(), Some(1e308));
        assert_eq!(values["own \" Infinity"], "a \\");
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
        let betas =
            |betas: &str| with(&format!(r#""trained_betas": {betas}, "num_train_timesteps": 2"#));
        check_refused(&betas("[]"), "trained_betas is a list of 0, expected as many as");
        check_refused(&betas("[0.1, 0.2, 0.3]"), "num_train_timesteps, 2");
        check_refused(&betas("[0.1, 1.5]"), "trained_betas is 1.5");
        check_refused(&with(r#""trained_betas": [0.1, 0.2]"#), "num_train_timesteps, 1000");
        check_refused(&with(r#""clip_sample_range": 0"#), "clip_sample_range is 0");
        let sigmas = r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 2, "sigma_max": 1}"#;
        check_refused(sigmas, "sigma_max is 1, expected more than sigma_min");
        let edm = r#"{"_class_name": "EDMEulerScheduler", "prediction_type": "v_prediction"}"#;
        check_refused(edm, "prediction_type is velocity");
    }
}
