//! What can go wrong with weight files and checkpoints, each naming the file.

mod context;

use std::path::PathBuf;

use safetensors::{Dtype, SafeTensorError};
use thiserror::Error;

use crate::PickleError;

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
    /// The header is no valid JSON, or a name stands twice in it.
    #[error("{} has an invalid safetensors header", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with the header.
        source: serde_json::Error,
    },
    /// What the header says of a tensor does not fit: its type, its shape, and its range.
    #[error("{}: tensor `{name}` of type {dtype} {problem}", path.display())]
    HeaderTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type, in the words of the header.
        dtype: String,
        /// Its shape and what is wrong with it: "and shape [3] takes 12 bytes, its range has 8".
        problem: String,
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
    /// A pickle in a file of torch was refused, or is damaged.
    #[error("{} cannot be read as a file of torch: at byte {position}", path.display())]
    Pickle {
        /// The file.
        path: PathBuf,
        /// Where in the file, in bytes from its start.
        position: u64,
        /// What is wrong there.
        source: PickleError,
    },
    /// The first pickle of a file is not torch's mark.
    #[error(
        "{} was not written by torch.save: it begins with {found}, not with torch's number",
        path.display()
    )]
    NotTorch {
        /// The file.
        path: PathBuf,
        /// The kind of value that stands there.
        found: &'static str,
    },
    /// The file is of another kind, one that is easily taken for a weight file.
    #[error("{} is {found}", path.display())]
    ForeignFile {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The zip archive that a file of torch is cannot be read.
    #[error("{} is no whole zip archive", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with the archive.
        source: rawzip::Error,
    },
    /// An entry of the zip archive that a file of torch is does not fit.
    #[error("{}: entry `{name}` of the archive {problem}", path.display())]
    ArchiveEntry {
        /// The file.
        path: PathBuf,
        /// The entry, without the archive's folder where that is known.
        name: String,
        /// What is wrong with it: "is missing".
        problem: &'static str,
    },
    /// The file was written by a machine of the other byte order.
    #[error("{} is big-endian, only little-endian files are read", path.display())]
    ByteOrder {
        /// The file.
        path: PathBuf,
    },
    /// A storage holds fewer bytes than the tensors' descriptions say.
    #[error("{}: storage `{key}` is said to take {claimed} bytes, it has {actual}", path.display())]
    StorageSize {
        /// The file.
        path: PathBuf,
        /// The storage's name in the file.
        key: String,
        /// Bytes that it is said to take.
        claimed: u64,
        /// Bytes that the file has for it.
        actual: u64,
    },
    /// A tensor reaches beyond its storage, or would take more memory than the file is long.
    #[error(
        "{}: the tensor described at byte {position}, of shape {shape:?} with strides {strides:?} from element {offset} on, does not fit its storage of {elements} elements",
        path.display()
    )]
    TensorRange {
        /// The file.
        path: PathBuf,
        /// Where in the file the tensor is described, in bytes from its start.
        position: u64,
        /// Its shape.
        shape: Vec<usize>,
        /// Its strides, in elements.
        strides: Vec<usize>,
        /// The place of its first element in the storage.
        offset: u64,
        /// Elements of the storage.
        elements: u64,
    },
    /// Tensors share storages so much that they would take many times the file's length.
    #[error(
        "{}: its tensors repeat each other, they would take {claimed} bytes; at most {allowed} are allowed",
        path.display()
    )]
    Repeated {
        /// The file.
        path: PathBuf,
        /// Bytes that the tensors take once they are read.
        claimed: u64,
        /// The limit, a few times the file's length.
        allowed: u64,
    },
    /// A value is missing from the tree of a file of torch.
    #[error("{} has no `{key}`: there is {found}", path.display())]
    MissingEntry {
        /// The file.
        path: PathBuf,
        /// The keys from the root to the one that is missing, with dots between.
        key: String,
        /// What is there instead.
        found: String,
    },
    /// A value stands where a tensor, or a list or dict of tensors, is expected.
    #[error("{}: `{name}` is {found}, expected tensors", path.display())]
    NotATensor {
        /// The file.
        path: PathBuf,
        /// Its key.
        name: String,
        /// The kind of value that it is.
        found: &'static str,
    },
    /// The shards of a model do not hold what their index says.
    #[error(
        "{} does not fit its shards: [{}] are not where it says, [{}] are where it does not say",
        path.display(), missing.join(", "), unlisted.join(", ")
    )]
    Index {
        /// The index.
        path: PathBuf,
        /// Tensors that the index places in a shard that lacks them.
        missing: Vec<String>,
        /// Tensors of the shards that the index does not place there.
        unlisted: Vec<String>,
    },
    /// There is something where a folder is to be written.
    #[error("{} exists already and is not empty", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// diffusers has no scheduler for what a network was trained with.
    #[error(
        "diffusers has no scheduler for {what}; it has some for betas with a network that is told the index \
         of the step, for VE with a score that is told sigma, on data from 0 to 1, and for EDM told \
         ln sigma / 4"
    )]
    NotInDiffusers {
        /// The noise and what the network takes and gives, in words.
        what: String,
    },
    /// A path is no checkpoint of a program that is known.
    #[error(
        "{} is not recognised as a checkpoint: {found}; known are a folder of diffusers, a .pth of score_sde, a .pt of guided-diffusion or improved-diffusion, and weights with a config.json beside them",
        path.display()
    )]
    NotRecognized {
        /// The file or folder.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The weights are there, but nothing says how their network is built.
    #[error(
        "{} holds weights of {source_name} alone; how their network is built must be said by {}, config.json beside them, or a file that is named: {needs}",
        path.display(), path.with_extension("json").display()
    )]
    NeedsConfig {
        /// The weights.
        path: PathBuf,
        /// The program that they are of.
        source_name: &'static str,
        /// What the file must hold.
        needs: String,
    },
    /// Nothing says which noise the network was trained with.
    #[error("{} does not say which noise the network was trained with: it needs {needs}", path.display())]
    NeedsNoise {
        /// The file or folder that should say it.
        path: PathBuf,
        /// What it must hold.
        needs: &'static str,
    },
    /// A configuration holds a key that is not known.
    #[error("{}: `{key}` is not known, expected one of {known}", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Those that are known.
        known: String,
    },
    /// A running average is of another network: it has not as many tensors as that is trained in.
    #[error(
        "{}: the running average holds {averages} tensors, the model has {parameters} trained parameters",
        path.display()
    )]
    AverageCount {
        /// The file.
        path: PathBuf,
        /// Trained parameters of the model.
        parameters: usize,
        /// Tensors of the average.
        averages: usize,
    },
    /// A tensor of a running average does not fit the parameter whose place it has.
    #[error(
        "{}: tensor {index} of the running average has shape {average:?}, its parameter `{name}` has {parameter:?}",
        path.display()
    )]
    AverageShape {
        /// The file.
        path: PathBuf,
        /// The place in the average's list.
        index: usize,
        /// The parameter of that place.
        name: String,
        /// The parameter's shape.
        parameter: Vec<usize>,
        /// The average's shape.
        average: Vec<usize>,
    },
    /// The folder does not look like one that diffusers saved.
    #[error(
        "{} is not a diffusers model folder: expected config.json with diffusion_pytorch_model.safetensors (or .bin, or their .index.json, or one variant of these such as .fp16.safetensors) in it or in its subfolder unet",
        path.display()
    )]
    NotDiffusers {
        /// The folder.
        path: PathBuf,
    },
}

/// An error's message and those of its sources, as they are printed.
#[cfg(test)]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let rest = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{rest}")
}
