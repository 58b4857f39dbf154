//! What can go wrong with weight files and checkpoints, each naming the file.

use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

/// Why a weight file or a checkpoint could not be read or written.
///
/// No message repeats its source: whoever prints an error prints the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system refused an operation on a file or folder.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "write", "rename".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is shorter than its own header says.
    #[error(
        "{} is truncated: it holds {actual} bytes, its header asks for {expected}",
        path.display()
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that the header asks for.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// The file goes on after the last tensor that its header lists.
    #[error("{} holds {actual} bytes, but its header accounts for {expected}", path.display())]
    TrailingBytes {
        /// The file.
        path: PathBuf,
        /// Bytes that the header accounts for.
        expected: u64,
        /// Bytes that are there.
        actual: u64,
    },
    /// The file claims a header beyond the format's limit.
    #[error(
        "{} claims a header of {claimed} bytes, at most {limit} are allowed: not a safetensors file?",
        path.display()
    )]
    HeaderTooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes claimed in the first eight bytes of the file.
        claimed: u64,
        /// The limit of the format.
        limit: u64,
    },
    /// The header is no valid JSON, or its ranges overlap, leave gaps or disagree with the shapes.
    #[error("{} has an invalid safetensors header", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with the header.
        source: serde_json::Error,
    },
    /// The tensors handed over for writing do not form a valid file.
    #[error("cannot describe the tensors of {}", path.display())]
    Describe {
        /// The file that was to be written.
        path: PathBuf,
        /// What is wrong with the tensors.
        source: SafeTensorError,
    },
    /// A tensor's bytes do not fit its shape and element type.
    #[error(
        "tensor `{name}` of shape {shape:?} and type {dtype} takes {expected} bytes, got {actual}"
    )]
    TensorSize {
        /// The tensor, empty where it has no name yet.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// Its element type.
        dtype: Dtype,
        /// Bytes that shape and type ask for; `None` on overflow is given as `u64::MAX`.
        expected: u64,
        /// Bytes given.
        actual: u64,
    },
    /// The file does not hold a tensor of this name.
    #[error("{} holds no tensor `{name}`", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The name asked for.
        name: String,
    },
    /// A tensor has another element type than asked for.
    #[error("tensor `{name}` in {} is {actual}, expected {expected}", path.display())]
    WrongDtype {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The element type asked for.
        expected: Dtype,
        /// The element type in the file.
        actual: Dtype,
    },
    /// A tensor has another shape than asked for.
    #[error("tensor `{name}` in {} has shape {actual:?}, expected {expected:?}", path.display())]
    WrongShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape asked for.
        expected: Vec<usize>,
        /// The shape in the file.
        actual: Vec<usize>,
    },
    /// A JSON file could not be understood.
    #[error("{} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// A value could not be turned into JSON.
    #[error("cannot write {} as JSON", path.display())]
    Encode {
        /// The file that was to be written.
        path: PathBuf,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// The checkpoint was written by a version of Tweedie that uses another layout.
    #[error("{} has checkpoint format {found}, this build reads format {supported}", path.display())]
    UnknownFormat {
        /// The checkpoint's `state.json`.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this build reads.
        supported: u32,
    },
    /// A file of the checkpoint has not the size or the sum that `state.json` states.
    #[error("{} does not match its checkpoint's state.json: {property} is {actual}, expected {expected}", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// "size" or "sha256".
        property: &'static str,
        /// What `state.json` says.
        expected: String,
        /// What the file has.
        actual: String,
    },
    /// A `state.json` is not as it was written.
    #[error("{} was altered: its sha256 is {actual}, expected {expected}", path.display())]
    AlteredState {
        /// The file.
        path: PathBuf,
        /// The sum that the file states.
        expected: String,
        /// The sum of its content.
        actual: String,
    },
    /// A `state.json` lies in the folder of another step.
    #[error("{} is of step {found}, its folder is named for step {folder}", path.display())]
    OtherStep {
        /// The file.
        path: PathBuf,
        /// The step that the file tells.
        found: u64,
        /// The step in the folder's name.
        folder: u64,
    },
    /// A `state.json` holds a value that cannot be.
    #[error("{}: {key} is {value}, expected {allowed}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The value's place in the file.
        key: &'static str,
        /// The value.
        value: String,
        /// What could be.
        allowed: String,
    },
    /// The checkpoint has no file of this name.
    #[error("the checkpoint {} has no file `{name}`", path.display())]
    MissingFile {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The file asked for.
        name: String,
    },
    /// There are checkpoints, but every one of them is damaged.
    #[error(
        "none of the {count} checkpoints in {} is whole; nothing was changed, the newest is {}",
        path.display(), newest.display()
    )]
    NoneWhole {
        /// The folder of the checkpoints.
        path: PathBuf,
        /// How many there are.
        count: usize,
        /// The newest.
        newest: PathBuf,
        /// What is wrong with the newest.
        source: Box<CheckpointError>,
    },
    /// The folder does not look like one that diffusers saved.
    #[error(
        "{} is not a diffusers model folder: expected config.json with diffusion_pytorch_model.safetensors in it or in its subfolder unet",
        path.display()
    )]
    NotDiffusers {
        /// The folder.
        path: PathBuf,
    },
}

impl CheckpointError {
    /// Whether a file is missing or not as it was written. What could not be read for another
    /// reason (no permission, another version's layout) may well be whole.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::HeaderTooLarge { .. }
            | Self::Header { .. }
            | Self::Json { .. }
            | Self::Altered { .. }
            | Self::AlteredState { .. }
            | Self::OtherStep { .. }
            | Self::Value { .. }
            | Self::MissingFile { .. } => true,
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// The same error about a file of `partial` under the name that it was to have in `target`.
    pub(crate) fn in_target(mut self, partial: &Path, target: &Path) -> Self {
        if let Self::Io { path, .. } | Self::Describe { path, .. } | Self::Encode { path, .. } =
            &mut self
            && let Ok(inside) = path.strip_prefix(partial)
        {
            *path = target.join(inside);
        }
        self
    }

    /// For `map_err` on an operation of the file system.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }
}

/// An error's message and those of its sources, as they are printed.
#[cfg(test)]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let rest = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{rest}")
}
