//! Fetching the public data sets: resumable, checked, whole or not at all.

mod download;
mod sources;
#[cfg(test)]
mod tests;

use std::{
    error::Error,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::read::GzDecoder;

use crate::error::DatasetError;
use download::Download;
pub use sources::FetchSet;
use sources::{RemoteFile, Source};

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchProgress<'a> {
    /// Name of the file.
    pub file: &'a str,
    /// Bytes on disk.
    pub received: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// Fetches a set into the folder `to` and gives back the folder to pass to [`open`](crate::open).
///
/// Each file is downloaded to its name with `.part`, checked against its published sha256 sum, and
/// renamed. What a broken-off download leaves behind is taken up again, within a call (after a
/// pause, some times in a row) and by a later one; files that are already there and right are left
/// alone. The archive of CIFAR-10 is unpacked under a temporary name, renamed, and removed.
///
/// `base` replaces the public address, for a mirror: files are looked for at `base/NAME`. `progress`
/// is called as bytes arrive.
///
/// # Errors
/// When the server does not answer or not with the file, when it sends too much or the sum is wrong (the
/// file is removed), when a file of the same name with other content is in the way, or the folder cannot be written.
pub fn fetch(
    set: FetchSet,
    to: &Path,
    base: Option<&str>,
    progress: &mut dyn FnMut(FetchProgress<'_>),
) -> Result<PathBuf, DatasetError> {
    fetch_source(&set.source(), to, base, Duration::from_millis(200), progress)
}

/// As [`fetch`], from any source; `pause` is the wait before the first new attempt.
fn fetch_source(
    source: &Source,
    to: &Path,
    base: Option<&str>,
    pause: Duration,
    progress: &mut dyn FnMut(FetchProgress<'_>),
) -> Result<PathBuf, DatasetError> {
    std::fs::create_dir_all(to)
        .map_err(|source| DatasetError::Write { path: to.to_path_buf(), source })?;
    // The folder only ever appears by renaming, so it is whole.
    if let Some(folder) = source.unpacks_to.map(|name| to.join(name)).filter(|path| path.is_dir()) {
        return Ok(folder);
    }
    let base = base.unwrap_or(source.base).trim_end_matches('/');
    for file in source.files {
        fetch_file(file, base, to, pause, progress)?;
    }
    match (source.unpacks_to, source.files) {
        (Some(folder), [archive]) => unpack(&to.join(archive.name), folder),
        _ => Ok(to.to_path_buf()),
    }
}

/// Fetches one file, unless it is already there.
fn fetch_file(
    file: &RemoteFile,
    base: &str,
    to: &Path,
    pause: Duration,
    progress: &mut dyn FnMut(FetchProgress<'_>),
) -> Result<(), DatasetError> {
    let path = to.join(file.name);
    if path.exists() {
        let got = download::sha256(&path)?;
        if got == file.sha256 {
            progress(FetchProgress { file: file.name, received: file.bytes, total: file.bytes });
            return Ok(());
        }
        return Err(DatasetError::InTheWay { path, got, expected: file.sha256.to_owned() });
    }
    let part = to.join(format!("{}.part", file.name));
    let url = format!("{base}/{}", file.name);
    Download::new(url, part.clone(), *file, pause).run(progress)?;
    let got = download::sha256(&part)?;
    if got != file.sha256 {
        let removed = std::fs::remove_file(&part);
        removed.map_err(|source| DatasetError::Write { path: part, source })?;
        return Err(DatasetError::Checksum { path, got, expected: file.sha256.to_owned() });
    }
    std::fs::rename(&part, &path).map_err(|source| DatasetError::Write { path, source })
}

/// What stands at the end of an error's chain: the messages before it name temporary files.
fn first_cause(error: io::Error) -> io::Error {
    let mut cause = error.get_ref().map(|inner| inner as &dyn Error);
    while let Some(next) = cause.and_then(Error::source) {
        cause = Some(next);
    }
    let Some(cause) = cause else { return error };
    let code = cause.downcast_ref().and_then(io::Error::raw_os_error);
    code.map_or_else(
        || io::Error::new(error.kind(), cause.to_string()),
        io::Error::from_raw_os_error,
    )
}

/// Unpacks `folder` out of a gzipped tar archive beside it, whole or not at all; removes the archive.
fn unpack(archive: &Path, folder: &str) -> Result<PathBuf, DatasetError> {
    let failed = |source| DatasetError::Unpack { path: archive.to_path_buf(), source };
    let beside = archive.parent().unwrap_or(Path::new("."));
    // The error of the temporary folder names that folder, its kind alone does not.
    let temporary = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(beside)
        .map_err(|error| failed(error.kind().into()))?;
    let tar = GzDecoder::new(File::open(archive).map_err(failed)?);
    let unpacked = tar::Archive::new(tar).unpack(temporary.path());
    unpacked.map_err(|error| failed(first_cause(error)))?;
    let target = beside.join(folder);
    std::fs::rename(temporary.path().join(folder), &target).map_err(failed)?;
    std::fs::remove_file(archive).map_err(failed)?;
    Ok(target)
}
