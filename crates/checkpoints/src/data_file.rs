//! A file that is read at any place, on the disk or in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rawzip::ReaderAt;

use crate::CheckpointError;

/// A file of known length. Nothing is allocated for bytes that it does not have.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    length: u64,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Disk(Mutex<File>),
    Memory(Vec<u8>),
}

impl DataFile {
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, CheckpointError> {
        let file = File::open(path).map_err(CheckpointError::io("open", path))?;
        let length = file.metadata().map_err(CheckpointError::io("read", path))?.len();
        let source = Source::Disk(Mutex::new(file));
        Ok(Arc::new(Self { path: path.to_path_buf(), length, source }))
    }

    /// Bytes that are already in memory, under the name that errors are to give them.
    pub(crate) fn in_memory(path: &Path, bytes: Vec<u8>) -> Arc<Self> {
        let length = bytes.len() as u64;
        Arc::new(Self { path: path.to_path_buf(), length, source: Source::Memory(bytes) })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, count: u64) -> Result<Vec<u8>, CheckpointError> {
        let expected = offset.saturating_add(count);
        if expected > self.length {
            let path = self.path.clone();
            return Err(CheckpointError::Truncated { path, expected, actual: self.length });
        }
        let mut bytes = vec![0; count as usize];
        self.read_exact_at(&mut bytes, offset).map_err(CheckpointError::io("read", &self.path))?;
        Ok(bytes)
    }
}

impl ReaderAt for DataFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.source {
            Source::Disk(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))?;
                file.read(buffer)
            }
            Source::Memory(bytes) => {
                let start = offset.min(bytes.len() as u64) as usize;
                (&bytes[start..]).read(buffer)
            }
        }
    }
}
