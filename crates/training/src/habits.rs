//! How the program that a model comes from samples with it.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tweedie_checkpoints::{
    CheckpointError, DiffusersSampling, NetworkConventions, NoiseConfig, TrainedVariance,
    write_atomically,
};

use crate::{DataRange, RunFolder, TrainError};

/// How the program that a model comes from samples with it.
///
/// A run that was converted from another program's checkpoint keeps it in its `habits.json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Habits {
    /// The variance of its ancestral steps, where it says one.
    pub variance: Option<TrainedVariance>,
    /// The range within which it holds estimates of the data; `None` where it does not hold them.
    pub clip: Option<(f64, f64)>,
    /// The scheduler that it was saved with, where the program is diffusers.
    pub sampling: Option<DiffusersSampling>,
}

/// `habits.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    variance: Option<TrainedVariance>,
    clip: Option<(f64, f64)>,
    #[serde(rename = "scheduler")]
    sampling: Option<Map<String, Value>>,
}

impl Habits {
    /// Those of runs of this program on data of this range.
    pub(crate) fn of_runs(range: DataRange) -> Self {
        Self { variance: None, clip: Some(range.ends()), sampling: None }
    }

    /// Those of the program of a published checkpoint.
    pub(crate) fn of_published(conventions: &NetworkConventions) -> Self {
        let clip = conventions.clip_sample.map(|bound| (-bound, bound));
        let sampling = conventions.sampling.clone();
        Self { variance: conventions.variance, clip, sampling }
    }

    /// Those that a run was converted with; `None` where it was not.
    pub(crate) fn read(folder: &RunFolder) -> Result<Option<Self>, TrainError> {
        let path = folder.habits();
        if !path.is_file() {
            return Ok(None);
        }
        let text = fs::read(&path).map_err(TrainError::io("read", &path))?;
        Ok(Some(Self::parse(&path, &text)?))
    }

    fn parse(path: &Path, text: &[u8]) -> Result<Self, CheckpointError> {
        let Written { variance, clip, sampling } = serde_json::from_slice(text)
            .map_err(|source| CheckpointError::Json { path: path.to_path_buf(), source })?;
        if let Some((low, high)) = clip.filter(|(low, high)| low >= high) {
            let (path, value) = (path.to_path_buf(), format!("[{low}, {high}]"));
            let allowed = "a lower and a higher bound".to_owned();
            return Err(CheckpointError::Value { path, key: "clip", value, allowed });
        }
        let sampling = sampling.map(|values| NoiseConfig::of_values(path, values)).transpose()?;
        Ok(Self { variance, clip, sampling: sampling.map(|config| config.sampling) })
    }

    /// Writes them into a run.
    pub(crate) fn write(&self, folder: &RunFolder) -> Result<(), TrainError> {
        let path = folder.habits();
        let object = json!({
            "variance": self.variance.map(TrainedVariance::name),
            "clip": self.clip,
            "scheduler": self.sampling.as_ref().map(|sampling| &sampling.values),
        });
        let encode = |source| TrainError::Encode { path: path.clone(), source };
        let text = serde_json::to_vec_pretty(&object).map_err(encode)?;
        Ok(write_atomically(&path, &text)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::at(root.path());
        assert_eq!(Habits::read(&folder).unwrap(), None);
        let text = r#"{"_class_name": "DDIMScheduler", "thresholding": true, "own": 1}"#;
        let sampling = NoiseConfig::parse(Path::new("x"), text.as_bytes()).unwrap().sampling;
        let (variance, clip) = (Some(TrainedVariance::FixedLargeLog), Some((-2.0, 2.0)));
        for habits in [
            Habits { variance, clip, sampling: Some(sampling) },
            Habits { variance: None, clip: None, sampling: None },
        ] {
            habits.write(&folder).unwrap();
            assert_eq!(Habits::read(&folder).unwrap(), Some(habits));
        }
    }

    #[test]
    fn what_was_altered_is_refused_by_name() {
        for (text, says) in [
            (r#"{"clip": [1, -1]}"#, "clip is [1, -1], expected a lower"),
            (r#"{"variance": "zigzag"}"#, "habits.json is not valid"),
            (r#"{"scheduler": {"_class_name": "Zig"}}"#, "_class_name is Zig"),
        ] {
            let error = Habits::parse(Path::new("habits.json"), text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }
}
