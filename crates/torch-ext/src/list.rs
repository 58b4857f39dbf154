//! Checks on lists of tensors that go together.

use crate::Error;

/// An error unless a list has the expected length.
pub(crate) fn check_length(
    operation: &'static str,
    what: &'static str,
    got: usize,
    expected: usize,
) -> Result<(), Error> {
    if got == expected {
        return Ok(());
    }
    Err(Error::ListLength { operation, what, got, expected })
}
