//! The few libtorch calls that `tch` does not wrap, as safe typed functions over [`tch::Tensor`].
//!
//! This is the only crate of the workspace with `unsafe` in it. A thin C++ shim over `ATen` (`cpp/`)
//! is compiled by the build script; every C++ exception comes back as [`Error::Libtorch`], never as
//! undefined behaviour. What is here:
//! - [`linear_combination`], the one operation that samplers need, and memory formats;
//! - [`adamw_step`], [`lerp_`], [`total_norm`], [`scale_`], [`gradients`] and [`clear_gradients`],
//!   over lists of tensors at once;
//! - [`group_norm`] (with `SiLU` in the same pass) and [`attention`], the two kernels that a U-Net
//!   on a CPU gains most from, both differentiable any number of times;
//! - [`conv2d`] and [`linear`] in bf16 by f32 products where a processor is faster at those, and
//!   [`PackedWeight`], which spares a convolution the reordering of its weight in every call;
//! - [`recomputed`], layers that run again for the gradient instead of keeping their inner values;
//! - [`default_device`], which loads a CUDA libtorch where there is one, so that one binary serves
//!   machines with and without a GPU.
//!
//! Dependents that build programs or tests read `DEP_TWEEDIE_TORCH_EXT_LIBTORCH_LIB` in their build
//! script to set the run path to libtorch.

mod attention;
mod combine;
mod device;
#[cfg(test)]
mod drawn;
mod error;
mod ffi;
mod layout;
mod list;
mod norm;
mod optimizer;
mod products;
mod recompute;
mod runtime;

pub use attention::attention;
pub use combine::{add_reusing, add_scaled, linear_combination};
pub use device::{CudaStatus, default_device, load_cuda};
pub use error::Error;
pub use layout::{MemoryFormat, has_format, to_format};
pub use norm::{Activation, GroupNorm, group_norm};
pub use optimizer::{
    AdamW, AdamWState, adamw_step, clear_gradients, gradients, lerp_, scale_, total_norm,
};
pub use products::{Conv2d, PackedWeight, conv2d, linear, widens};
pub use recompute::recomputed;
pub use runtime::{MOST_THREADS, grad_enabled, libtorch_version, set_threads, threads};
