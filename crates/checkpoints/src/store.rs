//! The checkpoints of one run: list, find the latest whole one, remove the old.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::durable::remove_partials;
use crate::staged::set_aside;
use crate::state::STATE_FILE;
use crate::{CheckpointError, CheckpointState, StagedCheckpoint, TensorFile};

/// Start of a checkpoint's folder name; the step follows in seven or more digits.
const STEP_PREFIX: &str = "step-";

/// The folder that holds the checkpoints of a run.
#[derive(Clone, Debug)]
pub struct CheckpointStore {
    root: PathBuf,
}

/// A checkpoint on the disk.
#[derive(Clone, Debug)]
pub struct StoredCheckpoint {
    path: PathBuf,
    state: CheckpointState,
}

/// What [`CheckpointStore::latest`] found.
#[derive(Debug)]
pub struct Found {
    /// The newest checkpoint that is whole, if there is one.
    pub checkpoint: Option<StoredCheckpoint>,
    /// Newer ones that are damaged, newest first, with what is wrong.
    pub damaged: Vec<(PathBuf, CheckpointError)>,
}

impl CheckpointStore {
    /// The store at `root`, made if it is missing.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn create(root: &Path) -> Result<Self, CheckpointError> {
        fs::create_dir_all(root).map_err(CheckpointError::io("create", root))?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Removes what interrupted writes left behind, and says how many leftovers there were. Only
    /// the process that trains in this run may call it.
    ///
    /// # Errors
    /// When the folder cannot be listed or a leftover not removed.
    pub fn clean(&self) -> Result<usize, CheckpointError> {
        remove_partials(&self.root)
    }

    /// Begins the checkpoint of `step`.
    ///
    /// # Errors
    /// When the temporary folder cannot be made.
    pub fn stage(&self, step: u64) -> Result<StagedCheckpoint, CheckpointError> {
        StagedCheckpoint::new(self.root.join(format!("{STEP_PREFIX}{step:07}")), step)
    }

    /// Steps and folders of all checkpoints, oldest first, without opening them.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root).map_err(CheckpointError::io("list", &self.root))? {
            let path = entry
                .map_err(CheckpointError::io("list", &self.root))?
                .path();
            if let Some(step) = step_of(&path) {
                found.push((step, path));
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Opens the checkpoint of `step`, files checked against sizes and sums.
    ///
    /// # Errors
    /// When it is missing or damaged.
    pub fn open(&self, step: u64) -> Result<StoredCheckpoint, CheckpointError> {
        StoredCheckpoint::open(&self.root.join(format!("{STEP_PREFIX}{step:07}")))
    }

    /// The newest checkpoint whose files all have the recorded sizes and sums.
    ///
    /// # Errors
    /// When the folder cannot be listed. A damaged checkpoint is no error here, it is passed over
    /// and reported in [`Found::damaged`].
    pub fn latest(&self) -> Result<Found, CheckpointError> {
        let mut damaged = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            match StoredCheckpoint::open(&path) {
                Ok(checkpoint) => {
                    return Ok(Found {
                        checkpoint: Some(checkpoint),
                        damaged,
                    });
                }
                Err(error) => damaged.push((path, error)),
            }
        }
        Ok(Found {
            checkpoint: None,
            damaged,
        })
    }

    /// The checkpoint with the lowest score, the earlier one on a tie; `None` where none has a
    /// score.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn best(&self) -> Result<Option<(u64, f64)>, CheckpointError> {
        let mut best: Option<(u64, f64)> = None;
        for (step, path) in self.list()? {
            let score = CheckpointState::read(&path)
                .ok()
                .and_then(|state| state.score);
            if let Some(score) = score.filter(|score| !score.is_nan())
                && best.is_none_or(|(_, lowest)| score < lowest)
            {
                best = Some((step, score));
            }
        }
        Ok(best)
    }

    /// Removes all but the last `keep_last` (at least one) checkpoints and the best, and returns
    /// the steps removed.
    ///
    /// # Errors
    /// When the folder cannot be listed or a checkpoint not removed.
    pub fn prune(&self, keep_last: usize) -> Result<Vec<u64>, CheckpointError> {
        let best = self.best()?.map(|(step, _)| step);
        let all = self.list()?;
        let old = all.len().saturating_sub(keep_last.max(1));
        let mut removed = Vec::new();
        for (step, path) in all
            .into_iter()
            .take(old)
            .filter(|(step, _)| Some(*step) != best)
        {
            set_aside(&path)?;
            removed.push(step);
        }
        Ok(removed)
    }

    /// Removes every checkpoint after `step`: damaged ones that a resumed run has passed over.
    ///
    /// # Errors
    /// When the folder cannot be listed or a checkpoint not removed.
    pub fn remove_after(&self, step: u64) -> Result<(), CheckpointError> {
        self.list()?
            .into_iter()
            .filter(|(found, _)| *found > step)
            .try_for_each(|(_, path)| set_aside(&path))
    }
}

impl StoredCheckpoint {
    pub(crate) fn new(path: PathBuf, state: CheckpointState) -> Self {
        Self { path, state }
    }

    /// Opens a checkpoint's folder and checks its files against sizes and sums.
    ///
    /// # Errors
    /// When `state.json` is missing, unreadable or of another format, or a file does not match.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let state = CheckpointState::read(path)?;
        state.verify(path)?;
        Ok(Self::new(path.to_path_buf(), state))
    }

    /// The checkpoint's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `state.json` says.
    #[must_use]
    pub fn state(&self) -> &CheckpointState {
        &self.state
    }

    /// What the training loop kept beside its tensors.
    ///
    /// # Errors
    /// When the content does not have the form asked for.
    pub fn progress<T: DeserializeOwned>(&self) -> Result<T, CheckpointError> {
        let path = || self.path.join(STATE_FILE);
        serde_json::from_value(self.state.progress.clone()).map_err(|source| {
            CheckpointError::Json {
                path: path(),
                source,
            }
        })
    }

    /// Opens one of the checkpoint's weight files.
    ///
    /// # Errors
    /// When the checkpoint has no such file or its header is invalid.
    pub fn tensors(&self, name: &str) -> Result<TensorFile, CheckpointError> {
        if !self.state.files.contains_key(name) {
            let path = self.path.clone();
            return Err(CheckpointError::MissingFile {
                path,
                name: name.to_owned(),
            });
        }
        TensorFile::open(&self.path.join(name))
    }
}

/// The step in a checkpoint folder's name; `None` for anything else.
fn step_of(path: &Path) -> Option<u64> {
    path.file_name()
        .and_then(OsStr::to_str)?
        .strip_prefix(STEP_PREFIX)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OwnedTensor;

    fn save(store: &CheckpointStore, step: u64, score: Option<f64>) {
        let mut staged = store.stage(step).unwrap();
        let value = OwnedTensor::from_f32(&[1], &[step as f32]).unwrap();
        staged.write("weights.safetensors", [("w", value)]).unwrap();
        staged
            .commit(score, &serde_json::json!({ "skipped": step }))
            .unwrap();
    }

    fn store() -> (tempfile::TempDir, CheckpointStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::create(&folder.path().join("checkpoints")).unwrap();
        (folder, store)
    }

    fn steps(store: &CheckpointStore) -> Vec<u64> {
        store
            .list()
            .unwrap()
            .into_iter()
            .map(|(step, _)| step)
            .collect()
    }

    #[test]
    fn a_checkpoint_comes_back_whole() {
        let (_folder, store) = store();
        save(&store, 500, Some(0.25));
        let found = store.latest().unwrap().checkpoint.unwrap();
        assert!(found.path().ends_with("step-0000500"));
        assert_eq!((found.state().step, found.state().score), (500, Some(0.25)));
        let weights = found.tensors("weights.safetensors").unwrap();
        assert_eq!(weights.read_f32("w").unwrap(), [500.0]);
        let progress: serde_json::Value = found.progress().unwrap();
        assert_eq!(progress["skipped"], 500);
        found.tensors("ema.safetensors").unwrap_err();
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over_and_named() {
        let (_folder, store) = store();
        save(&store, 1, None);
        save(&store, 2, None);
        let victim = store.root().join("step-0000002/weights.safetensors");
        let mut bytes = fs::read(&victim).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&victim, bytes).unwrap();
        let found = store.latest().unwrap();
        assert_eq!(found.checkpoint.unwrap().state().step, 1);
        assert_eq!(found.damaged.len(), 1);
        assert!(found.damaged[0].1.to_string().contains("sha256"));
        store.remove_after(1).unwrap();
        assert_eq!(steps(&store), [1]);
    }

    #[test]
    fn a_staged_checkpoint_is_invisible_until_committed() {
        let (_folder, store) = store();
        let mut staged = store.stage(3).unwrap();
        let value = OwnedTensor::from_f32(&[1], &[0.0]).unwrap();
        staged.write("weights.safetensors", [("w", value)]).unwrap();
        assert!(store.latest().unwrap().checkpoint.is_none());
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 1);
        drop(staged);
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 0);
    }

    #[test]
    fn leftovers_of_a_killed_writer_are_cleaned() {
        let (_folder, store) = store();
        save(&store, 1, None);
        std::mem::forget(store.stage(2).unwrap());
        assert_eq!(store.clean().unwrap(), 1);
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 1);
    }

    #[test]
    fn pruning_keeps_the_last_and_the_best() {
        let (_folder, store) = store();
        for (step, score) in [(1, 0.5), (2, 0.1), (3, 0.4), (4, 0.3), (5, 0.2)] {
            save(&store, step, Some(score));
        }
        assert_eq!(store.best().unwrap(), Some((2, 0.1)));
        assert_eq!(store.prune(2).unwrap(), [1, 3]);
        assert_eq!(steps(&store), [2, 4, 5]);
        assert_eq!(store.prune(0).unwrap(), [4]);
    }

    #[test]
    fn a_checkpoint_of_the_same_step_is_replaced() {
        let (_folder, store) = store();
        save(&store, 7, Some(1.0));
        save(&store, 7, Some(2.0));
        assert_eq!(store.open(7).unwrap().state().score, Some(2.0));
        assert_eq!(fs::read_dir(store.root()).unwrap().count(), 1);
    }

    #[test]
    fn another_format_is_named_with_both_versions() {
        let (_folder, store) = store();
        save(&store, 1, None);
        let path = store.root().join("step-0000001/state.json");
        let text = fs::read_to_string(&path)
            .unwrap()
            .replace("\"format\": 1", "\"format\": 9");
        fs::write(&path, text).unwrap();
        let message = store.open(1).unwrap_err().to_string();
        assert!(
            message.contains("format 9") && message.contains("format 1"),
            "{message}"
        );
    }
}
