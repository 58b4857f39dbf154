//! Layers whose inner values are computed again for the gradient: memory for time.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice::from_raw_parts;
use std::sync::{Mutex, PoisonError};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::ffi;

type Layer = Mutex<Box<dyn Fn(Vec<Tensor>) -> Tensor + Send>>;

/// `layer(inputs)`, of whose inner values none is kept: the gradient runs the layer again.
///
/// `parameters` are the other tensors that the layer reads and that gradients may reach. With `draws`
/// the layer draws the same random numbers of libtorch's generator again. Gradients are those of a
/// plain call, and can be differentiated again.
///
/// # Panics
/// If there is no input, or the layer panics (in the forward pass; later libtorch reports it).
pub fn recomputed(
    inputs: &[&Tensor],
    parameters: &[&Tensor],
    draws: bool,
    layer: impl Fn(Vec<Tensor>) -> Tensor + Send + 'static,
) -> Tensor {
    assert!(!inputs.is_empty(), "a recomputed layer needs an input");
    let all: Vec<&Tensor> = inputs.iter().chain(parameters).copied().collect();
    let addresses = ffi::addresses(&all);
    let layer: Box<Layer> = Box::new(Mutex::new(Box::new(layer)));
    let data = Box::into_raw(layer).cast::<c_void>();
    // SAFETY: the list has as many entries as said and outlives the call. `data` passes to the shim,
    // which calls `call` with it until it calls `forget` once.
    ffi::expect(ffi::tensor("recomputed", |out| unsafe {
        ffi::tweedie_recomputed(
            addresses.as_ptr(),
            all.len(),
            inputs.len(),
            c_int::from(draws),
            call,
            forget,
            data,
            out,
        )
    }))
}

/// Runs the layer on tensors that pass to it; 1 if it panicked.
unsafe extern "C" fn call(
    data: *const c_void,
    inputs: *const *mut C_tensor,
    count: usize,
    out: *mut C_tensor,
) -> c_int {
    // SAFETY: the shim gives `count` addresses of tensors made by `new`, which pass to us.
    let inputs: Vec<Tensor> = unsafe {
        from_raw_parts(inputs, count).iter().map(|input| Tensor::from_ptr(*input)).collect()
    };
    // SAFETY: `data` is what `recomputed` gave away, not forgotten yet; the mutex makes it shareable.
    let layer = unsafe { &*data.cast::<Layer>() };
    let run = || (layer.lock().unwrap_or_else(PoisonError::into_inner))(inputs);
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(output) => {
            // SAFETY: both are tensors that live through the call.
            unsafe { ffi::tweedie_assign(output.as_ptr(), out) };
            0
        }
        Err(_) => 1,
    }
}

unsafe extern "C" fn forget(data: *mut c_void) {
    // SAFETY: called once, with what `recomputed` gave away.
    drop(unsafe { Box::from_raw(data.cast::<Layer>()) });
}
