//! Files that stand where weights or a configuration are expected and are something else.

use crate::CheckpointError;
use crate::data_file::DataFile;

/// How much of a file is looked at.
const START: u64 = 512;

/// What a weight file is that a download that went wrong left there; `None` where it is nothing that is known.
pub(crate) fn instead_of_weights(file: &DataFile) -> Result<Option<&'static str>, CheckpointError> {
    Ok(left_by_a_download(&file.read(0, file.length().min(START))?))
}

/// What a file is that begins so, if a download that went wrong left it.
pub(crate) fn left_by_a_download(start: &[u8]) -> Option<&'static str> {
    // perhaps behind a byte order mark
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    let begins =
        |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"version https://git-lfs") {
        Some("a pointer of Git LFS, not the file itself")
    } else if begins(b"<!") || begins(b"<html") {
        Some("a web page, not the file itself")
    } else {
        None
    }
}
