//! A checkpoint on its way to the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::View;
use serde::Serialize;

use crate::durable::{partial_name, sync_folder};
use crate::state::STATE_FILE;
use crate::store::StoredCheckpoint;
use crate::{CheckpointError, CheckpointState, FORMAT_VERSION, FileRecord};
use crate::{write_atomically, write_safetensors};

/// A checkpoint being written under a temporary name. It becomes visible with
/// [`commit`](Self::commit); dropped before that, it is removed.
#[derive(Debug)]
pub struct StagedCheckpoint {
    partial: PathBuf,
    target: PathBuf,
    step: u64,
    files: BTreeMap<String, FileRecord>,
    committed: bool,
}

impl StagedCheckpoint {
    pub(crate) fn new(target: PathBuf, step: u64) -> Result<Self, CheckpointError> {
        let partial = partial_name(&target);
        if partial.exists() {
            fs::remove_dir_all(&partial).map_err(CheckpointError::io("remove", &partial))?;
        }
        fs::create_dir_all(&partial).map_err(CheckpointError::io("create", &target))?;
        Ok(Self { partial, target, step, files: BTreeMap::new(), committed: false })
    }

    /// Writes `tensors` to the file `name` of the checkpoint.
    ///
    /// # Errors
    /// When a tensor's bytes disagree with its shape, or the file cannot be written.
    pub fn write<S, V>(
        &mut self,
        name: &str,
        tensors: impl IntoIterator<Item = (S, V)>,
    ) -> Result<(), CheckpointError>
    where
        S: Into<String>,
        V: View,
    {
        let record = write_safetensors(&self.partial.join(name), tensors, &BTreeMap::new())
            .map_err(|error| error.in_target(&self.partial, &self.target))?;
        self.files.insert(name.to_owned(), record);
        Ok(())
    }

    /// Adds `state.json`, flushes everything to the disk and gives the folder its real name.
    ///
    /// `score` is the figure by which the best checkpoint is told (lower is better), `progress`
    /// what the training loop keeps beside its tensors.
    ///
    /// # Errors
    /// When a file cannot be written or the folder not renamed. No checkpoint appears then.
    pub fn commit(
        mut self,
        score: Option<f64>,
        progress: &impl Serialize,
    ) -> Result<StoredCheckpoint, CheckpointError> {
        let path = self.target.join(STATE_FILE);
        let encode = |source| CheckpointError::Encode { path: path.clone(), source };
        let state = CheckpointState {
            format: FORMAT_VERSION,
            step: self.step,
            // JSON has no other numbers.
            score: score.filter(|score| score.is_finite()),
            files: std::mem::take(&mut self.files),
            progress: serde_json::to_value(progress).map_err(encode)?,
            sha256: None,
        };
        let state = state.sealed().map_err(encode)?;
        let text = serde_json::to_vec_pretty(&state).map_err(encode)?;
        write_atomically(&self.partial.join(STATE_FILE), &text)
            .and_then(|()| sync_folder(&self.partial))
            .map_err(|error| error.in_target(&self.partial, &self.target))?;
        self.publish()?;
        self.committed = true;
        Ok(StoredCheckpoint::new(self.target.clone(), state))
    }

    /// Renames the folder. A checkpoint of the same step makes way first.
    fn publish(&self) -> Result<(), CheckpointError> {
        if self.target.exists() {
            set_aside(&self.target)?;
        }
        fs::rename(&self.partial, &self.target)
            .map_err(CheckpointError::io("rename to", &self.target))?;
        sync_folder(self.target.parent().unwrap_or(Path::new(".")))
    }
}

impl Drop for StagedCheckpoint {
    fn drop(&mut self) {
        if !self.committed {
            // A leftover is harmless: it is never read, and removed at the next resume.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Removes a checkpoint: first its name in one step, then its content.
pub(crate) fn set_aside(folder: &Path) -> Result<(), CheckpointError> {
    let doomed = partial_name(&folder.with_extension("removed"));
    fs::rename(folder, &doomed).map_err(CheckpointError::io("rename", folder))?;
    fs::remove_dir_all(&doomed).map_err(CheckpointError::io("remove", folder))
}
