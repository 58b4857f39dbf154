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

/// The most threads that can be asked for: more would exhaust the system long before they help.
pub const MOST_THREADS: usize = 1024;

/// Sets the number of threads that one operation may use; results depend on it in the last bits.
///
/// # Errors
/// If the number is not in 1 to 1024.
pub fn set_threads(count: usize) -> Result<(), Error> {
    if !(1..=MOST_THREADS).contains(&count) {
        return Err(Error::ThreadsOutOfRange { got: count, most: MOST_THREADS });
    }
    // SAFETY: passes a number.
    ffi::check("set_threads", unsafe { ffi::tweedie_set_threads(count as i32) })
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
        for count in [0, 1025, usize::MAX] {
            let error = set_threads(count).unwrap_err().to_string();
            assert_eq!(error, format!("{count} threads, expected 1 to 1024"));
        }
        assert_eq!(threads(), before);
    }
}
