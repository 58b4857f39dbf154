//! Where the parts of a run lie.

use std::path::{Path, PathBuf};

use tweedie_checkpoints::{CheckpointStore, remove_partials, write_atomically};

use crate::{RunConfig, TrainError};

/// The folder of a run.
///
/// ```text
/// config.toml        the configuration, every key written out
/// habits.json        of a run that was converted: how the program that it comes from samples
/// metrics.jsonl      one JSON object a line
/// summary.json       written when the run is done
/// checkpoints/       step-0000500/ and so on
/// samples/           step-0000500.png and so on
/// losses/            step-0000500.json and .png: the held-out loss by noise level
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
    /// When there is a run already, or parts of one, or the folder cannot be written.
    pub fn create(root: &Path, config: &RunConfig) -> Result<Self, TrainError> {
        Self::check_free(root)?;
        std::fs::create_dir_all(root).map_err(TrainError::io("create", root))?;
        let folder = Self::at(root);
        folder.write_config(config)?;
        Ok(folder)
    }

    /// The folder of a run that is being made: it becomes one with its configuration.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// Writes the configuration.
    pub(crate) fn write_config(&self, config: &RunConfig) -> Result<(), TrainError> {
        Ok(write_atomically(&self.config(), config.to_toml()?.as_bytes())?)
    }

    /// Refuses a folder in which a run lies, or parts of one, which a new run would take over.
    pub(crate) fn check_free(root: &Path) -> Result<(), TrainError> {
        let path = root.to_path_buf();
        if root.join("config.toml").exists() {
            return Err(TrainError::RunExists { path });
        }
        let parts =
            ["checkpoints", "metrics.jsonl", "summary.json", "samples", "losses", "tensorboard"];
        match parts.into_iter().find(|part| root.join(part).exists()) {
            Some(found) => Err(TrainError::PartsOfARun { path, found }),
            None => Ok(()),
        }
    }

    /// Opens the folder of a run and reads its configuration.
    ///
    /// # Errors
    /// When it is not a run's folder, or its configuration is damaged or not complete.
    pub fn open(root: &Path) -> Result<(Self, RunConfig), TrainError> {
        let folder = Self { root: root.to_path_buf() };
        if !folder.config().is_file() {
            let path = root.to_path_buf();
            return Err(TrainError::NotARun { path, missing: "config.toml" });
        }
        let config = RunConfig::load_complete(&folder.config())?;
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

    /// How the program that a converted run comes from samples with it.
    #[must_use]
    pub fn habits(&self) -> PathBuf {
        self.root.join("habits.json")
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
        self.samples_folder().join(format!("step-{step:07}.png"))
    }

    /// The held-out loss by noise level after `step` steps, as numbers.
    #[must_use]
    pub fn losses(&self, step: u64) -> PathBuf {
        self.losses_folder().join(format!("step-{step:07}.json"))
    }

    /// The same as a picture.
    #[must_use]
    pub fn losses_picture(&self, step: u64) -> PathBuf {
        self.losses(step).with_extension("png")
    }

    fn losses_folder(&self) -> PathBuf {
        self.root.join("losses")
    }

    /// The checkpoints, for reading: nothing is made.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::at(&self.checkpoints_folder())
    }

    /// The checkpoints, their folder made if it is missing.
    pub(crate) fn make_checkpoints(&self) -> Result<CheckpointStore, TrainError> {
        Ok(CheckpointStore::create(&self.checkpoints_folder())?)
    }

    fn checkpoints_folder(&self) -> PathBuf {
        self.root.join("checkpoints")
    }

    fn samples_folder(&self) -> PathBuf {
        self.root.join("samples")
    }

    /// Removes what interrupted writes left behind. Only the process that holds the run's lock may
    /// call it.
    pub(crate) fn remove_leftovers(&self) -> Result<(), TrainError> {
        let folders =
            [&self.root, &self.checkpoints_folder(), &self.losses_folder(), &self.tensorboard()];
        for folder in folders {
            remove_partials(folder)?;
        }
        remove_half_pictures(&self.samples_folder())
    }
}

/// Pictures are written under names that begin so, and then renamed.
const HALF_PICTURE: &str = ".tmp";

fn remove_half_pictures(folder: &Path) -> Result<(), TrainError> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder).map_err(TrainError::io("list", folder))? {
        let entry = entry.map_err(TrainError::io("list", folder))?;
        if entry.file_name().to_string_lossy().starts_with(HALF_PICTURE) {
            let path = entry.path();
            std::fs::remove_file(&path).map_err(TrainError::io("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_run_are_not_taken_over() {
        let config = RunConfig::default();
        for part in ["checkpoints", "metrics.jsonl", "summary.json"] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join(part)).unwrap();
            let error = RunFolder::create(folder.path(), &config).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            assert!(!folder.path().join("config.toml").exists());
        }
    }

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
    fn a_configuration_that_lost_a_part_is_not_filled_up_with_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunConfig::parse("", &[]).unwrap();
        let made = RunFolder::create(&folder.path().join("run"), &config).unwrap();
        let whole = std::fs::read_to_string(made.config()).unwrap();
        let without = |line: &str| whole.replace(&format!("{line}\n"), "");
        for (text, key) in [
            (String::new(), "data.source"),
            (whole[..whole.find("[samples]").unwrap()].to_owned(), "samples.every"),
            (without("ema_decay = 0.995"), "training.ema_decay"),
        ] {
            assert_ne!(text, whole);
            std::fs::write(made.config(), text).unwrap();
            let message = crate::error::chain(&RunFolder::open(made.root()).unwrap_err());
            assert!(message.contains(key) && message.contains("config.toml"), "{message}");
        }
    }

    #[test]
    fn the_configuration_of_a_run_made_before_a_key_came_is_read_with_what_it_had_in_effect() {
        let folder = tempfile::tempdir().unwrap();
        let config = RunConfig::parse("[schedule]\nkind = \"sub_vp\"", &[]).unwrap();
        let made = RunFolder::create(&folder.path().join("run"), &config).unwrap();
        let whole = std::fs::read_to_string(made.config()).unwrap();
        let without = |lines: &[&str]| {
            let cut = |text: String, line: &&str| text.replace(&format!("{line}\n"), "");
            std::fs::write(made.config(), lines.iter().fold(whole.clone(), cut)).unwrap();
            RunFolder::open(made.root())
        };
        let (kind, own) = ("kind = \"denoising\"", "weighting = \"own\"");
        let old = without(&[kind, own, "reduction = \"mean\""]).unwrap().1;
        assert_eq!(old, config);
        // one of them missing is a loss, and so is one of the schedule
        let message = crate::error::chain(&without(&[own]).unwrap_err());
        assert!(message.contains("objective.weighting"), "{message}");
        let message = crate::error::chain(&without(&["beta_max = 20.0"]).unwrap_err());
        assert!(message.contains("schedule.beta_max"), "{message}");
    }

    #[test]
    fn another_folder_is_not_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let message = RunFolder::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains("config.toml"), "{message}");
    }
}
