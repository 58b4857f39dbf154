//! The configuration of `score_sde` and of ncsnv2: groups of values, and what they say about the noise.

use std::path::Path;

use serde_json::{Map, Value};

use super::{DataRange, NetworkConventions, TrainedTime};
use crate::noise_config::MOST_STEPS;
use crate::{BetaShape, CheckpointError, TrainedNoise, TrainedPrediction};

/// The groups that a network is built from.
const GROUPS: [&str; 3] = ["training", "data", "model"];

/// The groups of a configuration that the network reads; names with dots (`model.nf`) become groups.
///
/// # Errors
/// When there is no group `model`.
pub(super) fn groups(
    path: &Path,
    values: &Map<String, Value>,
) -> Result<Map<String, Value>, CheckpointError> {
    let mut groups = Map::new();
    for (key, value) in values {
        match (key.split_once('.'), value) {
            (None, Value::Object(group)) => merge(&mut groups, key, group.clone()),
            (Some((name, field)), value) => {
                let field = [(field.to_owned(), value.clone())].into_iter().collect();
                merge(&mut groups, name, field);
            }
            _ => {}
        }
    }
    groups.retain(|key, _| GROUPS.contains(&key.as_str()));
    if groups.contains_key("model") {
        return Ok(groups);
    }
    Err(CheckpointError::Value {
        path: path.to_path_buf(),
        key: "the configuration",
        value: format!(
            "a list of [{}]",
            values.keys().take(12).cloned().collect::<Vec<_>>().join(", ")
        ),
        allowed: "the groups training, data and model".to_owned(),
    })
}

fn merge(groups: &mut Map<String, Value>, name: &str, fields: Map<String, Value>) {
    let group = groups.entry(name.to_owned()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(group) = group {
        group.extend(fields);
    }
}

/// What the configuration of `score_sde` says about noise, time and prediction.
pub(super) fn conventions(
    path: &Path,
    config: &Map<String, Value>,
) -> Result<NetworkConventions, CheckpointError> {
    let groups = Groups { path, config };
    let steps = groups.steps("num_scales", 1000)?;
    let continuous = groups.truth("training.continuous")?;
    let sde = groups.text("training.sde")?.map(str::to_ascii_lowercase);
    let (noise, time, prediction) = match sde.as_deref() {
        Some("vpsde") if continuous => {
            let [beta_min, beta_max] = groups.betas()?;
            (TrainedNoise::VariancePreserving { beta_min, beta_max, steps }, SCALED, NOISE)
        }
        Some("vpsde") => (groups.chain(steps)?, TrainedTime::Index { steps, scale: 1.0 }, NOISE),
        Some("subvpsde") => {
            let [beta_min, beta_max] = groups.betas()?;
            (TrainedNoise::SubVariancePreserving { beta_min, beta_max, steps }, SCALED, NOISE)
        }
        Some("vesde") => {
            let noise = groups.exploding("sigma_min", "sigma_max", steps)?;
            let descending = TrainedTime::DescendingIndex { steps };
            (noise, if continuous { TrainedTime::Sigma } else { descending }, SCORE)
        }
        Some(other) => {
            return Err(groups.refuse("training.sde", other, "vpsde, subvpsde or vesde"));
        }
        None => {
            return Err(CheckpointError::NeedsNoise {
                path: path.to_path_buf(),
                needs: "`sde` (vpsde, subvpsde or vesde) and `continuous` in its group `training`",
            });
        }
    };
    Ok(NetworkConventions {
        noise,
        prediction,
        variance: None,
        time,
        data_range: groups.data_range("data.centered")?,
        clip_sample: None,
        sampling: None,
    })
}

/// The networks of variance-preserving motions take 999 t in continuous time.
const SCALED: TrainedTime = TrainedTime::Time { scale: 999.0 };
const NOISE: TrainedPrediction = TrainedPrediction::Noise;
const SCORE: TrainedPrediction = TrainedPrediction::Score;

/// The same for ncsnv2, which knows one kind of noise.
pub(super) fn conventions_of_ncsnv2(
    path: &Path,
    config: &Map<String, Value>,
) -> Result<NetworkConventions, CheckpointError> {
    let groups = Groups { path, config };
    let steps = groups.steps("num_classes", 232)?;
    Ok(NetworkConventions {
        noise: groups.exploding("sigma_end", "sigma_begin", steps)?,
        prediction: TrainedPrediction::Score,
        variance: None,
        time: TrainedTime::DescendingIndex { steps },
        data_range: groups.data_range("data.rescaled")?,
        clip_sample: None,
        sampling: None,
    })
}

/// Values in their groups, with the file that errors name.
struct Groups<'a> {
    path: &'a Path,
    config: &'a Map<String, Value>,
}

impl Groups<'_> {
    fn get(&self, group: &str, key: &str) -> Option<&Value> {
        self.config.get(group)?.get(key)
    }

    /// The value of `group.key`, unless there is none.
    fn said(&self, path: &str) -> Option<&Value> {
        let (group, key) = path.split_once('.')?;
        self.get(group, key).filter(|value| !value.is_null())
    }

    fn text(&self, path: &'static str) -> Result<Option<&str>, CheckpointError> {
        let Some(value) = self.said(path) else { return Ok(None) };
        let text = value.as_str().map(Some);
        text.ok_or_else(|| self.refuse(path, &value.to_string(), "a text"))
    }

    /// What is not said is not so.
    fn truth(&self, path: &'static str) -> Result<bool, CheckpointError> {
        let Some(value) = self.said(path) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.refuse(path, &value.to_string(), "true or false"))
    }

    fn steps(&self, key: &'static str, default: usize) -> Result<usize, CheckpointError> {
        let Some(value) = self.get("model", key) else { return Ok(default) };
        let steps = value.as_u64().and_then(|steps| usize::try_from(steps).ok());
        steps
            .filter(|steps| (1..=MOST_STEPS).contains(steps))
            .ok_or_else(|| self.refuse(key, &value.to_string(), "an integer from 1 to 1000000"))
    }

    fn positive(&self, key: &'static str, default: f64) -> Result<f64, CheckpointError> {
        let Some(value) = self.get("model", key) else { return Ok(default) };
        let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
        number.ok_or_else(|| self.refuse(key, &value.to_string(), "a positive number"))
    }

    fn betas(&self) -> Result<[f64; 2], CheckpointError> {
        Ok([self.positive("beta_min", 0.1)?, self.positive("beta_max", 20.0)?])
    }

    /// The chain that stands for a motion in so many steps.
    fn chain(&self, steps: usize) -> Result<TrainedNoise, CheckpointError> {
        let [beta_min, beta_max] = self.betas()?;
        let (start, end) = (beta_min / steps as f64, beta_max / steps as f64);
        if !(start < 1.0 && end < 1.0) {
            let allowed = "less than num_scales, so that each step's beta is below 1";
            return Err(self.refuse("beta_max", &beta_max.to_string(), allowed));
        }
        let shape = BetaShape::Linear;
        Ok(TrainedNoise::Betas { shape, start, end, steps, zero_terminal_snr: false })
    }

    fn exploding(
        &self,
        least: &'static str,
        largest: &'static str,
        steps: usize,
    ) -> Result<TrainedNoise, CheckpointError> {
        let (sigma_min, sigma_max) = (self.positive(least, 0.01)?, self.positive(largest, 50.0)?);
        if sigma_max <= sigma_min {
            let allowed = format!("more than {least}");
            return Err(self.refuse(largest, &sigma_max.to_string(), &allowed));
        }
        Ok(TrainedNoise::Exploding { sigma_min, sigma_max, steps })
    }

    fn data_range(&self, path: &'static str) -> Result<DataRange, CheckpointError> {
        Ok(if self.truth(path)? { DataRange::Symmetric } else { DataRange::Unit })
    }

    fn refuse(&self, key: &'static str, value: &str, allowed: &str) -> CheckpointError {
        CheckpointError::Value {
            path: self.path.to_path_buf(),
            key,
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        }
    }
}
