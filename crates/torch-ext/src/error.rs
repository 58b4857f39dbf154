//! What can go wrong in a call to libtorch.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// libtorch threw an exception.
    #[error("libtorch failed in {operation}: {message}")]
    Libtorch {
        /// The function of this crate that was called.
        operation: &'static str,
        /// The exception's text.
        message: String,
    },
    /// No number of threads to compute with.
    #[error("{got} threads, expected 1 to {most}")]
    ThreadsOutOfRange {
        /// Threads asked for.
        got: usize,
        /// The highest number allowed.
        most: usize,
    },
    /// Lists that must go together have different lengths.
    #[error("{operation} got {got} {what} for {expected} parameters")]
    ListLength {
        /// The function of this crate that was called.
        operation: &'static str,
        /// Which list is off.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The length it should have.
        expected: usize,
    },
}
