//! A file that is read at any place, on the disk or in memory.
//!
//! Long pieces of a file on the disk are mapped, one at a time and only for as long as they are looked
//! at: what is copied out of them never stands in memory twice, and neither does the whole file.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rawzip::ReaderAt;

use crate::CheckpointError;

/// A shorter piece is read: that costs less than making a mapping and taking it down.
const MAPPED_FROM: u64 = 1 << 17;

/// Bytes of a file, mapped, borrowed from memory or read.
pub struct FileBytes<'a>(Held<'a>);

enum Held<'a> {
    Borrowed(&'a [u8]),
    Mapped(vmap::Map),
    Read(Vec<u8>),
}

impl FileBytes<'_> {
    pub(crate) fn read(bytes: Vec<u8>) -> Self {
        Self(Held::Read(bytes))
    }

    /// The bytes as a value of their own.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Held::Read(bytes) => bytes,
            other => Self(other).to_vec(),
        }
    }
}

impl Deref for FileBytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Borrowed(bytes) => bytes,
            Held::Mapped(map) => map,
            Held::Read(bytes) => bytes,
        }
    }
}

impl fmt::Debug for FileBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileBytes({} bytes)", self.len())
    }
}

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

    /// `count` bytes from `offset` on, without a copy where they are many or in memory already.
    pub(crate) fn bytes(&self, offset: u64, count: u64) -> Result<FileBytes<'_>, CheckpointError> {
        self.check_range(offset, count)?;
        match &self.source {
            Source::Memory(bytes) => {
                Ok(FileBytes(Held::Borrowed(&bytes[offset as usize..(offset + count) as usize])))
            }
            Source::Disk(file) if count >= MAPPED_FROM => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner);
                let mut options = vmap::Map::with_options();
                options.offset(offset as usize).len(count as usize);
                match options.map(&file) {
                    Ok(map) => Ok(FileBytes(Held::Mapped(map))),
                    // some file systems cannot map
                    Err(_) => {
                        drop(file);
                        self.read(offset, count).map(FileBytes::read)
                    }
                }
            }
            Source::Disk(_) => self.read(offset, count).map(FileBytes::read),
        }
    }

    fn check_range(&self, offset: u64, count: u64) -> Result<(), CheckpointError> {
        let expected = offset.saturating_add(count);
        if expected <= self.length {
            return Ok(());
        }
        let path = self.path.clone();
        Err(CheckpointError::Truncated { path, expected, actual: self.length })
    }

    /// `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: u64, count: u64) -> Result<Vec<u8>, CheckpointError> {
        self.check_range(offset, count)?;
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
