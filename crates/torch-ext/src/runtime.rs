//! Settings and facts of the loaded libtorch.

use std::ffi::CStr;

use crate::{Error, ffi};

/// The version of libtorch that this program was compiled for, such as `2.11.0`.
#[must_use]
pub fn libtorch_version() -> &'static str {
    // SAFETY: the shim returns a string literal.
    unsafe { CStr::from_ptr(ffi::tweedie_libtorch_version()) }.to_str().unwrap_or("unknown")
}

/// Whether operations on this thread are recorded for a gradient.
#[must_use]
pub fn grad_enabled() -> bool {
    // SAFETY: reads a flag of the calling thread.
    unsafe { ffi::tweedie_grad_enabled() != 0 }
}

/// The number of threads that one operation may use.
#[must_use]
pub fn threads() -> usize {
    // SAFETY: reads a number.
    usize::try_from(unsafe { ffi::tweedie_threads() }).unwrap_or(1)
}

/// Sets the number of threads that one operation may use; results depend on it in the last bits.
///
/// # Errors
/// If libtorch refuses the number (zero).
pub fn set_threads(count: usize) -> Result<(), Error> {
    let count = i32::try_from(count).unwrap_or(i32::MAX);
    // SAFETY: passes a number.
    ffi::check("set_threads", unsafe { ffi::tweedie_set_threads(count) })
}

/// Asks libtorch for kernels that give the same result every time (on a CPU they do anyway).
///
/// # Errors
/// If libtorch refuses.
pub fn set_deterministic(on: bool) -> Result<(), Error> {
    // SAFETY: passes a flag.
    ffi::check("set_deterministic", unsafe { ffi::tweedie_set_deterministic(i32::from(on)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_pinned_one() {
        assert_eq!(libtorch_version(), "2.11.0");
    }

    #[test]
    fn grad_mode_is_seen() {
        assert!(grad_enabled());
        assert!(!tch::no_grad(grad_enabled));
    }

    #[test]
    fn threads_can_be_set() {
        let before = threads();
        set_threads(1).unwrap();
        assert_eq!(threads(), 1);
        set_threads(before).unwrap();
        assert!(set_threads(0).is_err());
        set_deterministic(true).unwrap();
        set_deterministic(false).unwrap();
    }
}
