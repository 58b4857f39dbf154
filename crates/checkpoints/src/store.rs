//! The checkpoints of one run: list, find the latest whole one, set aside the damaged, remove the old.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::durable::{entries, sync_folder};
use crate::staged::set_aside;
use crate::state::{STATE_FILE, STEP_PREFIX, step_of};
use crate::{CheckpointError, CheckpointState, StagedCheckpoint, TensorFile};

/// End of the name of a damaged checkpoint that was set aside.
const DAMAGED_SUFFIX: &str = ".damaged";

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
    /// The newest checkpoint that is whole; `None` where there are no checkpoints.
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
        Ok(Self { root: root.to_path_buf() })
    }

    /// The store at `root`, for reading: nothing is made, and without the folder it is empty.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
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
        let paths = entries(&self.root)?.into_iter();
        let mut found: Vec<_> =
            paths.filter_map(|path| step_of(&path).map(|step| (step, path))).collect();
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
    /// A damaged checkpoint is passed over and reported in [`Found::damaged`].
    ///
    /// # Errors
    /// When the folder cannot be listed, a checkpoint cannot be read for another reason than damage
    /// (it may be whole, so none before it is taken), or there are checkpoints and all are damaged.
    pub fn latest(&self) -> Result<Found, CheckpointError> {
        self.latest_with(|_| Ok(()))
    }

    /// [`latest`](Self::latest), where a checkpoint is whole only if `check` finds in it what its
    /// reader needs: an error of [damage](CheckpointError::is_damage) passes it over like any other.
    ///
    /// # Errors
    /// As for [`latest`](Self::latest), and what `check` fails with for another reason than damage.
    pub fn latest_with(
        &self,
        check: impl Fn(&StoredCheckpoint) -> Result<(), CheckpointError>,
    ) -> Result<Found, CheckpointError> {
        let mut damaged = Vec::new();
        for (_, path) in self.list()?.into_iter().rev() {
            let opened = StoredCheckpoint::open(&path);
            match opened.and_then(|checkpoint| check(&checkpoint).map(|()| checkpoint)) {
                Ok(checkpoint) => {
                    return Ok(Found { checkpoint: Some(checkpoint), damaged });
                }
                Err(error) if error.is_damage() => damaged.push((path, error)),
                Err(error) => return Err(error),
            }
        }
        let count = damaged.len();
        match damaged.into_iter().next() {
            Some((newest, source)) => Err(CheckpointError::NoneWhole {
                path: self.root.clone(),
                count,
                newest,
                source: source.into(),
            }),
            None => Ok(Found { checkpoint: None, damaged: Vec::new() }),
        }
    }

    /// The checkpoint with the lowest score, the earlier one on a tie; `None` where none has a
    /// score.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn best(&self) -> Result<Option<(u64, f64)>, CheckpointError> {
        let mut best: Option<(u64, f64)> = None;
        for (step, path) in self.list()? {
            let score = CheckpointState::read(&path).ok().and_then(|state| state.score);
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
        for (step, path) in all.into_iter().take(old).filter(|(step, _)| Some(*step) != best) {
            set_aside(&path)?;
            removed.push(step);
        }
        Ok(removed)
    }

    /// Renames the folder of a damaged checkpoint to `step-N.damaged` and returns the new name: it
    /// no longer counts as a checkpoint, and what is left of it is kept.
    ///
    /// # Errors
    /// When the folder cannot be renamed.
    pub fn keep_damaged(&self, checkpoint: &Path) -> Result<PathBuf, CheckpointError> {
        let name = checkpoint.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let again = (2..).map(|count| format!("-{count}"));
        let kept = std::iter::once(String::new())
            .chain(again)
            .map(|count| self.root.join(format!("{name}{DAMAGED_SUFFIX}{count}")))
            .find(|path| !path.exists())
            .unwrap_or_default();
        fs::rename(checkpoint, &kept).map_err(CheckpointError::io("rename", checkpoint))?;
        sync_folder(&self.root)?;
        Ok(kept)
    }
}

impl StoredCheckpoint {
    pub(crate) fn new(path: PathBuf, state: CheckpointState) -> Self {
        Self { path, state }
    }

    /// Opens a checkpoint's folder and checks its files against sizes and sums.
    ///
    /// # Errors
    /// When `state.json` is missing, unreadable, altered or of another format, tells another step
    /// than the folder's name, or a file does not match.
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
        serde_json::from_value(self.state.progress.clone())
            .map_err(|source| CheckpointError::Json { path: path(), source })
    }

    /// Opens one of the checkpoint's weight files.
    ///
    /// # Errors
    /// When the checkpoint has no such file or its header is invalid.
    pub fn tensors(&self, name: &str) -> Result<TensorFile, CheckpointError> {
        if !self.state.files.contains_key(name) {
            let path = self.path.clone();
            return Err(CheckpointError::MissingFile { path, name: name.to_owned() });
        }
        TensorFile::open(&self.path.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;
    use crate::{OwnedTensor, remove_partials};

    fn save(store: &CheckpointStore, step: u64, score: Option<f64>) {
        let mut staged = store.stage(step).unwrap();
        let value = OwnedTensor::from_f32(&[1], &[step as f32]).unwrap();
        staged.write("weights.safetensors", [("w", value)]).unwrap();
        staged.commit(score, &serde_json::json!({ "skipped": step })).unwrap();
    }

    fn store() -> (tempfile::TempDir, CheckpointStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::create(&folder.path().join("checkpoints")).unwrap();
        (folder, store)
    }

    fn steps(store: &CheckpointStore) -> Vec<u64> {
        store.list().unwrap().into_iter().map(|(step, _)| step).collect()
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
        let kept = store.keep_damaged(&found.damaged[0].0).unwrap();
        assert!(kept.ends_with("step-0000002.damaged"));
        assert!(kept.join("weights.safetensors").is_file());
        assert_eq!(steps(&store), [1]);
        // A second one of the same step does not replace the first.
        save(&store, 2, None);
        let kept = store.keep_damaged(store.open(2).unwrap().path()).unwrap();
        assert!(kept.ends_with("step-0000002.damaged-2"));
    }

    #[test]
    fn a_state_that_was_altered_is_damage() {
        let (_folder, store) = store();
        save(&store, 6, Some(0.5));
        let path = store.root().join("step-0000006/state.json");
        let whole = fs::read_to_string(&path).unwrap();
        for (from, to) in
            [("\"step\": 6", "\"step\": 5"), ("\"skipped\": 6", "\"skipped\": 7"), ("0.5", "0.25")]
        {
            assert!(whole.contains(from), "{whole}");
            fs::write(&path, whole.replace(from, to)).unwrap();
            let error = store.open(6).unwrap_err();
            assert!(matches!(error, CheckpointError::AlteredState { .. }), "{error}");
            assert!(error.is_damage());
            assert_eq!(store.best().unwrap(), None);
        }
        // Only how it is laid out is free.
        let value: serde_json::Value = serde_json::from_str(&whole).unwrap();
        fs::write(&path, value.to_string()).unwrap();
        store.open(6).unwrap();
    }

    #[test]
    fn a_checkpoint_under_the_name_of_another_step_is_damage() {
        let (_folder, store) = store();
        save(&store, 6, None);
        let renamed = store.root().join("step-0000008");
        fs::rename(store.root().join("step-0000006"), &renamed).unwrap();
        let error = store.open(8).unwrap_err();
        assert!(matches!(error, CheckpointError::OtherStep { found: 6, folder: 8, .. }), "{error}");
        assert!(error.is_damage());
        // A name that tells no step contradicts none.
        let copy = store.root().join("kept");
        fs::rename(renamed, &copy).unwrap();
        assert_eq!(StoredCheckpoint::open(&copy).unwrap().state().step, 6);
    }

    #[test]
    fn what_its_reader_cannot_use_is_passed_over() {
        let (_folder, store) = store();
        save(&store, 1, None);
        let staged = store.stage(2).unwrap();
        staged.commit(None, &()).unwrap();
        let weights = |found: &StoredCheckpoint| found.tensors("weights.safetensors").map(|_| ());
        let found = store.latest_with(weights).unwrap();
        assert_eq!(found.checkpoint.unwrap().state().step, 1);
        assert!(matches!(found.damaged[0].1, CheckpointError::MissingFile { .. }));
    }

    /// All names below a folder.
    fn names(store: &CheckpointStore) -> Vec<PathBuf> {
        let inside = |folder: &Path| {
            let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            paths.collect::<Vec<_>>()
        };
        let mut names: Vec<_> = inside(store.root()).iter().flat_map(|path| inside(path)).collect();
        names.sort();
        names
    }

    #[test]
    fn checkpoints_that_are_all_damaged_are_an_error_and_stay() {
        let (_folder, store) = store();
        for step in [1, 2, 3] {
            save(&store, step, None);
        }
        let file = |step: u64, name: &str| store.root().join(format!("step-{step:07}/{name}"));
        fs::write(file(1, "state.json"), "{").unwrap();
        fs::write(file(2, "weights.safetensors"), "short").unwrap();
        fs::remove_file(file(3, "weights.safetensors")).unwrap();
        let before = names(&store);
        let error = store.latest().unwrap_err();
        assert!(matches!(error, CheckpointError::NoneWhole { count: 3, .. }), "{error}");
        let message = chain(&error);
        assert!(message.contains("step-0000003/weights.safetensors"), "{message}");
        assert_eq!(names(&store), before);
    }

    #[test]
    fn a_checkpoint_that_may_be_whole_is_not_passed_over() {
        let (_folder, store) = store();
        save(&store, 1, None);
        save(&store, 2, None);
        let path = store.root().join("step-0000002/state.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"format\": 1", "\"format\": 9")).unwrap();
        let error = store.latest().unwrap_err();
        assert!(matches!(error, CheckpointError::UnknownFormat { found: 9, .. }), "{error}");
        // Reading fails otherwise than by damage: a folder stands where the file was.
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = store.latest().unwrap_err();
        assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    }

    #[test]
    fn reading_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let store = CheckpointStore::at(&folder.path().join("checkpoints"));
        assert!(store.latest().unwrap().checkpoint.is_none());
        assert!(store.best().unwrap().is_none());
        assert!(!store.root().exists());
    }

    #[test]
    fn errors_of_writing_name_the_checkpoint_and_not_its_temporary_folder() {
        let (_folder, store) = store();
        let mut staged = store.stage(4).unwrap();
        fs::remove_dir_all(store.root()).unwrap();
        let value = OwnedTensor::from_f32(&[1], &[0.0]).unwrap();
        let error = staged.write("weights.safetensors", [("w", value)]).unwrap_err();
        let path = store.root().join("step-0000004/weights.safetensors");
        assert_eq!(error.to_string(), format!("cannot create {}", path.display()));
        let error = staged.commit(None, &()).unwrap_err();
        let path = store.root().join("step-0000004/state.json");
        assert_eq!(error.to_string(), format!("cannot create {}", path.display()));
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
        assert_eq!(remove_partials(store.root()).unwrap(), 1);
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
        let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 9");
        fs::write(&path, text).unwrap();
        let message = store.open(1).unwrap_err().to_string();
        assert!(message.contains("format 9") && message.contains("format 1"), "{message}");
    }
}
