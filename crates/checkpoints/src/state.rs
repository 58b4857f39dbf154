//! `state.json`: what a checkpoint says about itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CheckpointError;
use crate::tensor_writer::hex;

/// The layout that this build writes and reads.
pub const FORMAT_VERSION: u32 = 1;

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
}

impl CheckpointState {
    /// Reads the `state.json` of a checkpoint's folder.
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
        serde_json::from_slice(&bytes).map_err(invalid)
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
