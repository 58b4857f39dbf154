//! Files that `torch.save` wrote (`.pt`, `.pth`, `.bin`), read without running anything in them.

mod archive;
mod legacy;
mod tensors;
mod value;

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub use value::Value;

use crate::data_file::DataFile;
use crate::foreign_file::instead_of_weights;
use crate::pickle::{Graph, NodeId};
use crate::{CheckpointError, PickleError, StoredTensor};

/// Where the bytes of each storage lie in the file, by the storage's key.
type Storages = HashMap<String, Range<u64>>;

/// An open file of torch: a tree of plain values, with tensors that stay in the file until they are
/// read. Both forms are known, the zip archive of today and the pickles one after another of torch
/// before 1.6.
///
/// Everything that the file says about its tensors is held against its length before anything is
/// allocated for it. Names that a file uses beyond those that rebuild tensors and plain containers are
/// refused, see [`PickleError::ForbiddenName`](crate::PickleError::ForbiddenName).
#[derive(Debug)]
pub struct TorchFile {
    file: Arc<DataFile>,
    graph: Graph,
    root: NodeId,
    tensors: Vec<StoredTensor>,
}

impl TorchFile {
    /// Opens the file and reads all of it but the tensors' elements.
    ///
    /// # Errors
    /// When the file cannot be read, is no file of torch, was written by a big-endian machine, refers
    /// to anything else than tensors and plain containers, or says about its tensors what its length
    /// belies.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::read(DataFile::open(path)?)
    }

    /// The same for a file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::read(DataFile::in_memory(name, bytes))
    }

    fn read(file: Arc<DataFile>) -> Result<Self, CheckpointError> {
        if let Some(found) = foreign(&file)? {
            return Err(CheckpointError::ForeignFile { path: file.path().to_path_buf(), found });
        }
        let mut graph = Graph::default();
        let (root, storages) = if archive::is_archive(&file)? {
            archive::read(&file, &mut graph)?
        } else {
            legacy::read(&file, &mut graph).map_err(|error| unread(&file, error))?
        };
        let tensors = tensors::locate(&file, &graph, &storages)?;
        Ok(Self { file, graph, root, tensors })
    }

    /// The file's path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The value that was saved.
    #[must_use]
    pub fn root(&self) -> Value<'_> {
        Value::new(self, self.root)
    }
}

/// What a file is that is easily taken for one of torch.
fn foreign(file: &DataFile) -> Result<Option<&'static str>, CheckpointError> {
    let start = file.read(0, file.length().min(512))?;
    if start.get(257..262) == Some(b"ustar") {
        return Ok(Some(
            "a tar archive, as torch wrote before version 0.1.10; such files are not read",
        ));
    }
    instead_of_weights(file)
}

/// What is wrong with a file without an archive: where it is text, that first. Pickles may be text too: they end
/// with a full stop, or name something that they would call.
fn unread(file: &DataFile, error: CheckpointError) -> CheckpointError {
    let calls = match &error {
        CheckpointError::Pickle { source: PickleError::ForbiddenName { module, name }, .. } => {
            let mut letters = module.chars().chain(name.chars());
            letters.all(|letter| letter.is_alphanumeric() || "._".contains(letter))
        }
        _ => false,
    };
    let (start, length) = (file.read(0, file.length().min(512)), file.length());
    let stops = || file.read(length.saturating_sub(1), 1).is_ok_and(|last| last == b".");
    if calls || !start.is_ok_and(|start| is_text(&start)) || stops() {
        return error;
    }
    CheckpointError::ForeignFile {
        path: file.path().to_path_buf(),
        found: "no file of torch: it is text",
    }
}

/// Whether there is something, and only characters that are seen, spaces and ends of lines.
fn is_text(start: &[u8]) -> bool {
    let shown =
        |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace() || !byte.is_ascii();
    // what is cut off at the end is no fault
    let is_utf8 =
        std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    !start.is_empty() && start.iter().all(shown) && is_utf8
}
