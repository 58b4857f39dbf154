//! One process at a time trains in a run's folder.

use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::TrainError;

/// A lock on a run's folder, released when dropped or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of the run at `root`.
    pub(crate) fn take(root: &Path) -> Result<Self, TrainError> {
        let path = root.join(".lock");
        let file = File::create(&path).map_err(TrainError::io("create", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(TrainError::InUse { path: root.to_path_buf() })
            }
            Err(errno) => Err(TrainError::io("lock", &path)(errno.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_trained_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = RunLock::take(folder.path()).unwrap();
        let message = RunLock::take(folder.path()).unwrap_err().to_string();
        assert!(message.contains(folder.path().to_str().unwrap()), "{message}");
        drop(lock);
        RunLock::take(folder.path()).unwrap();
    }
}
