//! The array libraries that states can come from.

#[cfg(feature = "ndarray")]
mod ndarray_state;
#[cfg(feature = "tch")]
mod tch_state;
