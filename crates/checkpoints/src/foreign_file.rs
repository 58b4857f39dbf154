//! Files that stand where weights are expected and are something else.

use crate::CheckpointError;
use crate::data_file::DataFile;

/// How much of a file is looked at.
const START: u64 = 512;

/// What a file is that came in the place of weights by a download that went wrong; `None` where it is nothing that
/// is known.
pub(crate) fn instead_of_weights(file: &DataFile) -> Result<Option<&'static str>, CheckpointError> {
    let start = file.read(0, file.length().min(START))?;
    let text = start.trim_ascii_start();
    let begins =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    Ok(if begins(b"version https://git-lfs") {
        Some("a pointer of Git LFS, not the weights themselves")
    } else if begins(b"<!") || begins(b"<html") {
        Some("a web page, not weights")
    } else {
        None
    })
}
