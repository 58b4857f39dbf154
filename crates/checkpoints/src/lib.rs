//! Weight files and training checkpoints, without libtorch.
//!
//! What lives here:
//! - [`TensorFile`] opens a safetensors file, checks its header against the file before anything is
//!   allocated, and reads one tensor at a time; [`write_safetensors`] writes one deterministically.
//! - [`TorchFile`] opens what `torch.save` wrote (`.pt`, `.pth`, `.bin`) without running anything in it,
//!   as a tree of plain values with tensors that stay in the file until they are read.
//! - [`PublishedCheckpoint`] opens what other programs left: a folder of diffusers, a `.pth` of
//!   `score_sde`, a `.pt` of guided-diffusion, and says all that a network needs to be built and used.
//! - [`CheckpointStore`] keeps the checkpoints of a run. A checkpoint is a folder
//!   `step-0000500/` with weight files and a small `state.json` that lists them with their sizes and
//!   sha256 sums. It is written under a temporary name, flushed to the disk and renamed, so that it
//!   exists whole or not at all, whenever the process dies.
//! - [`DiffusersFolder`] finds the configuration, the weights (whole or in shards, safetensors or
//!   `.bin`) and the noise schedule in a folder saved by diffusers; [`write_diffusers_folder`] writes
//!   one that diffusers loads.
//!
//! ```
//! use tweedie_checkpoints::{Dtype, OwnedTensor, TensorFile, write_safetensors};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = std::env::temp_dir().join(format!("tweedie-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&folder)?;
//! let path = folder.join("weights.safetensors");
//! let bias = OwnedTensor::from_f32(&[2], &[0.5, -1.0])?;
//! write_safetensors(&path, [("bias", bias)], &Default::default())?;
//!
//! let file = TensorFile::open(&path)?;
//! assert_eq!(file.read_f32("bias")?, [0.5, -1.0]);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok(())
//! # }
//! ```

mod data_file;
mod diffusers;
mod diffusers_sampling;
mod diffusers_writer;
mod durable;
mod error;
mod foreign_file;
mod json_object;
mod noise_config;
mod pickle;
mod published;
mod staged;
mod state;
mod store;
mod stored_tensor;
mod tensor_file;
mod tensor_header;
mod tensor_writer;
mod torch_file;
mod trained_noise;

pub use data_file::FileBytes;
pub use diffusers::DiffusersFolder;
pub use diffusers_sampling::{
    DiffusersSampling, SamplingCorrector, SamplingThreshold, StepSpacing,
};
pub use diffusers_writer::write_diffusers_folder;
pub use durable::{remove_partials, write_atomically};
pub use error::CheckpointError;
pub use noise_config::NoiseConfig;
pub use pickle::PickleError;
pub use published::{
    CheckpointSource, DataRange, NetworkConventions, NetworkFamily, PublishedCheckpoint,
    PublishedOptions, TrainedTime, WeightChoice, WeightKind, parse_network_config,
};
pub use safetensors::{Dtype, View};
pub use staged::StagedCheckpoint;
pub use state::{CheckpointState, FORMAT_VERSION, FileRecord};
pub use store::{CheckpointStore, Found, StoredCheckpoint};
pub use stored_tensor::{StoredTensor, TensorDescription};
pub use tensor_file::TensorFile;
pub use tensor_writer::{OwnedTensor, sha256, write_safetensors};
pub use torch_file::{TorchFile, Value};
pub use trained_noise::{BetaShape, TrainedNoise, TrainedPrediction, TrainedVariance};
