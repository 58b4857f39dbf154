//! `state.json`: what a checkpoint says about itself.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CheckpointError;
use crate::tensor_writer::hex;

/// The layout that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Start of a checkpoint's folder name; the step follows in seven or more digits.
pub(crate) const STEP_PREFIX: &str = "step-";

/// The step in a checkpoint folder's name; `None` for anything else.
pub(crate) fn step_of(folder: &Path) -> Option<u64> {
    folder.file_name().and_then(OsStr::to_str)?.strip_prefix(STEP_PREFIX)?.parse().ok()
}

/// Name of the file inside a checkpoint's folder.
pub(crate) const STATE_FILE: &str = "state.json";

/// Size and sum of a written file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Length in bytes.
    pub bytes: u64,
    /// sha256 of the content, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// The content of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointState {
    /// Version of the layout, [`FORMAT_VERSION`] in what this build writes.
    pub format: u32,
    /// Training steps done.
    pub step: u64,
    /// The figure by which the best checkpoint is told, lower is better; absent where none was
    /// measured at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The files of the checkpoint by name, with sizes and sums.
    pub files: BTreeMap<String, FileRecord>,
    /// What the training loop keeps beside its tensors: counters, running means.
    pub progress: serde_json::Value,
    /// sha256 of all the rest, written as compact JSON. Checkpoints of the first builds have none;
    /// they are read unchecked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl CheckpointState {
    /// Reads the `state.json` of a checkpoint's folder and checks it against its own sum and, where
    /// the folder's name tells a step, against that.
    pub(crate) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let path = folder.join(STATE_FILE);
        let bytes = std::fs::read(&path).map_err(CheckpointError::io("read", &path))?;
        let invalid = |source| CheckpointError::Json { path: path.clone(), source };
        let Version { format } = serde_json::from_slice(&bytes).map_err(invalid)?;
        if format != FORMAT_VERSION {
            let supported = FORMAT_VERSION;
            return Err(CheckpointError::UnknownFormat { path, found: format, supported });
        }
        let state: Self = serde_json::from_slice(&bytes).map_err(invalid)?;
        state.verify_itself(&path, step_of(folder))?;
        Ok(state)
    }

    /// The same state with its own sum written into it.
    pub(crate) fn sealed(mut self) -> Result<Self, serde_json::Error> {
        self.sha256 = None;
        self.sha256 = Some(hex(&Sha256::digest(serde_json::to_vec(&self)?)));
        Ok(self)
    }

    fn verify_itself(&self, path: &Path, step: Option<u64>) -> Result<(), CheckpointError> {
        let path = path.to_path_buf();
        if let Some(expected) = &self.sha256 {
            let sealed = self.clone().sealed();
            let actual = sealed
                .map_err(|source| CheckpointError::Encode { path: path.clone(), source })?
                .sha256
                .unwrap_or_default();
            if actual != *expected {
                let expected = expected.clone();
                return Err(CheckpointError::AlteredState { path, expected, actual });
            }
        }
        match step {
            Some(folder) if folder != self.step => {
                Err(CheckpointError::OtherStep { path, found: self.step, folder })
            }
            _ => Ok(()),
        }
    }

    /// Compares every listed file with its size and sum.
    pub(crate) fn verify(&self, folder: &Path) -> Result<(), CheckpointError> {
        self.files.iter().try_for_each(|(name, record)| record.verify(&folder.join(name)))
    }
}

impl FileRecord {
    /// Compares a file with this record.
    fn verify(&self, path: &Path) -> Result<(), CheckpointError> {
        let altered = |property, expected: String, actual| {
            Err(CheckpointError::Altered { path: path.to_path_buf(), property, expected, actual })
        };
        let mut file = File::open(path).map_err(CheckpointError::io("open", path))?;
        let length = file.metadata().map_err(CheckpointError::io("read", path))?.len();
        if length != self.bytes {
            return altered("size", self.bytes.to_string(), length.to_string());
        }
        let mut sum = Sha256::new();
        std::io::copy(&mut file, &mut HashSink(&mut sum))
            .map_err(CheckpointError::io("read", path))?;
        let actual = hex(&sum.finalize());
        if actual != self.sha256 {
            return altered("sha256", self.sha256.clone(), actual);
        }
        Ok(())
    }
}

/// A writer that only sums.
struct HashSink<'a>(&'a mut Sha256);

impl std::io::Write for HashSink<'_> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.update(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
