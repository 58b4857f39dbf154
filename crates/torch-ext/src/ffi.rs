//! The C side: declarations of the shim, and the three ways a call comes back.

use std::ffi::{CStr, c_char, c_double, c_int, c_uint, c_void};
use std::ptr::null_mut;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::Error;

pub(crate) type Tensors = *const *const C_tensor;
pub(crate) type Outcome = *mut c_char;
/// Runs what the pointer stands for on so many tensors, and writes its output; 0 if it came back.
pub(crate) type LayerCall =
    unsafe extern "C" fn(*const c_void, *const *mut C_tensor, usize, *mut C_tensor) -> c_int;

unsafe extern "C" {
    pub(crate) fn tweedie_free(text: *mut c_char);
    pub(crate) fn tweedie_linear_combination(
        factors: *const c_double,
        terms: Tensors,
        count: usize,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_add_into(
        a: *mut C_tensor,
        b: *const C_tensor,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_add_scaled(
        a: *mut C_tensor,
        b: *const C_tensor,
        factor: c_double,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_conv2d(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        geometry: *const i64,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_linear(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_pack_conv2d(
        weight: *const C_tensor,
        geometry: *const i64,
        size: *const i64,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_packed_conv2d(
        x: *const C_tensor,
        packed: *const C_tensor,
        bias: *const C_tensor,
        geometry: *const i64,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_widens(x: *const C_tensor) -> c_int;
    pub(crate) fn tweedie_version(x: *const C_tensor) -> c_uint;
    pub(crate) fn tweedie_to_memory_format(
        x: *const C_tensor,
        channels_last: c_int,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_memory_format(x: *const C_tensor, out: *mut c_int) -> Outcome;
    pub(crate) fn tweedie_adamw(
        parameters: Tensors,
        gradients: Tensors,
        first: Tensors,
        second: Tensors,
        count: usize,
        step: c_double,
        hyper: *const c_double,
    ) -> Outcome;
    pub(crate) fn tweedie_foreach_lerp(
        targets: Tensors,
        ends: Tensors,
        count: usize,
        weight: c_double,
    ) -> Outcome;
    pub(crate) fn tweedie_foreach_scale(
        tensors: Tensors,
        count: usize,
        factor: c_double,
    ) -> Outcome;
    pub(crate) fn tweedie_total_norm(tensors: Tensors, count: usize, out: *mut c_double)
    -> Outcome;
    pub(crate) fn tweedie_gradient(x: *const C_tensor, out: *mut *mut C_tensor) -> Outcome;
    pub(crate) fn tweedie_clear_gradients(tensors: Tensors, count: usize) -> Outcome;
    pub(crate) fn tweedie_group_norm(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        shift: *const C_tensor,
        groups: i64,
        eps: c_double,
        silu: c_int,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_attention(
        q: *const C_tensor,
        k: *const C_tensor,
        v: *const C_tensor,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_assign(from: *const C_tensor, to: *mut C_tensor);
    pub(crate) fn tweedie_recomputed(
        all: Tensors,
        count: usize,
        inputs: usize,
        draws: c_int,
        call: LayerCall,
        forget: unsafe extern "C" fn(*mut c_void),
        data: *mut c_void,
        out: *mut *mut C_tensor,
    ) -> Outcome;
    pub(crate) fn tweedie_libtorch_version() -> *const c_char;
    pub(crate) fn tweedie_libtorch_path() -> *const c_char;
    pub(crate) fn tweedie_load_library(path: *const c_char) -> Outcome;
    pub(crate) fn tweedie_has_cuda(out: *mut c_int) -> Outcome;
    pub(crate) fn tweedie_grad_enabled() -> c_int;
    pub(crate) fn tweedie_threads() -> c_int;
    pub(crate) fn tweedie_set_threads(count: c_int) -> Outcome;
}

/// The addresses of a list of tensors, valid as long as the tensors are.
pub(crate) fn addresses<T: std::borrow::Borrow<Tensor>>(tensors: &[T]) -> Vec<*const C_tensor> {
    tensors.iter().map(|tensor| tensor.borrow().as_ptr()).collect()
}

/// Takes over the message of a failed call, if it failed.
pub(crate) fn text_of(outcome: Outcome) -> Result<(), String> {
    if outcome.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null outcome is a NUL-terminated string from `strdup` that is ours to free.
    let message = unsafe {
        let text = CStr::from_ptr(outcome).to_string_lossy().into_owned();
        tweedie_free(outcome);
        text
    };
    Err(message)
}

/// The result of a call that gives nothing back.
pub(crate) fn check(operation: &'static str, outcome: Outcome) -> Result<(), Error> {
    text_of(outcome).map_err(|message| Error::Libtorch { operation, message })
}

/// The result of a call that writes a new tensor.
pub(crate) fn tensor(
    operation: &'static str,
    call: impl FnOnce(*mut *mut C_tensor) -> Outcome,
) -> Result<Tensor, Error> {
    let mut out = null_mut();
    check(operation, call(&mut out))?;
    // SAFETY: on success the shim wrote the address of a tensor made by `new`, which passes to us.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// Unwraps the result of a call that fails only if an invariant is broken.
#[track_caller]
pub(crate) fn expect<T>(result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
