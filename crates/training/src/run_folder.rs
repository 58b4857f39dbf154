//! Where the parts of a run lie.

use std::path::{Path, PathBuf};

use tweedie_checkpoints::{CheckpointStore, write_atomically};

use crate::{RunConfig, TrainError};

/// The folder of a run.
///
/// ```text
/// config.toml        the configuration, every key written out
/// metrics.jsonl      one JSON object a line
/// summary.json       written when the run is done
/// checkpoints/       step-0000500/ and so on
/// samples/           step-0000500.png and so on
/// tensorboard/       event files
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    /// Makes the folder of a new run and writes its configuration.
    ///
    /// # Errors
    /// When there is a run already, or the folder cannot be written.
    pub fn create(root: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        let folder = Self { root: root.to_path_buf() };
        if folder.config().exists() {
            return Err(TrainError::RunExists { path: root.to_path_buf() });
        }
        std::fs::create_dir_all(root).map_err(TrainError::io("create", root))?;
        write_atomically(&folder.config(), config.to_toml()?.as_bytes())?;
        Ok(folder)
    }

    /// Opens the folder of a run and reads its configuration.
    ///
    /// # Errors
    /// When it is not a run's folder, or its configuration is damaged.
    pub fn open(root: &Path) -> Result<(Self, RunConfig), TrainError> {
        let folder = Self { root: root.to_path_buf() };
        if !folder.config().is_file() {
            let path = root.to_path_buf();
            return Err(TrainError::NotARun { path, missing: "config.toml" });
        }
        let config = RunConfig::load(&folder.config(), &[])?;
        Ok((folder, config))
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    /// The metrics.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// The summary of a run that is done.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// The folder of `TensorBoard`'s event files.
    #[must_use]
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The picture of samples drawn after `step` steps.
    #[must_use]
    pub fn samples(&self, step: u64) -> PathBuf {
        self.root.join("samples").join(format!("step-{step:07}.png"))
    }

    /// The checkpoints.
    ///
    /// # Errors
    /// When their folder cannot be made.
    pub fn checkpoints(&self) -> Result<CheckpointStore, TrainError> {
        Ok(CheckpointStore::create(&self.root.join("checkpoints"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_made_once_and_keeps_its_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("a/run");
        let config = RunConfig::parse("", &["training.seed=7".to_owned()]).unwrap();
        let made = RunFolder::create(&root, &config).unwrap();
        assert_eq!(RunFolder::open(&root).unwrap(), (made, config.clone()));
        let message = RunFolder::create(&root, &config).unwrap_err().to_string();
        assert!(message.contains("--resume"), "{message}");
    }

    #[test]
    fn another_folder_is_not_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let message = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("config.toml"), "{message}");
    }
}
