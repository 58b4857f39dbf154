//! Files and folders that appear whole or not at all.
//!
//! A file is written under a temporary name in the same folder, flushed to the disk, renamed, and
//! the folder is flushed too. Temporary names start with [`PARTIAL_PREFIX`], so what a killed
//! process left behind is recognized and removed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::CheckpointError;

/// Start of every temporary name. Nothing with such a name is ever read.
pub(crate) const PARTIAL_PREFIX: &str = ".partial-";

/// Replaces the file at `path` by `bytes` in one step: a reader, or a run after a crash, sees the
/// old content or the new, never a part.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full. The old file then stays.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    write_then_rename(path, |file| {
        file.write_all(bytes).map_err(CheckpointError::io("write", path))
    })
}

/// Runs `write` on a temporary file beside `path`, flushes it and renames it to `path`.
pub(crate) fn write_then_rename<T>(
    path: &Path,
    write: impl FnOnce(&mut File) -> Result<T, CheckpointError>,
) -> Result<T, CheckpointError> {
    let partial = partial_name(path);
    let written = write_partial(path, &partial, write).and_then(|value| {
        fs::rename(&partial, path).map_err(CheckpointError::io("rename to", path))?;
        sync_folder(parent(path))?;
        Ok(value)
    });
    if written.is_err() {
        // The error of the write is what matters; a leftover is removed at the next resume.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write_partial<T>(
    path: &Path,
    partial: &Path,
    write: impl FnOnce(&mut File) -> Result<T, CheckpointError>,
) -> Result<T, CheckpointError> {
    let mut file = File::create(partial).map_err(CheckpointError::io("create", path))?;
    let value = write(&mut file)?;
    file.sync_all().map_err(CheckpointError::io("flush", path))?;
    Ok(value)
}

/// The temporary name that belongs to `path`, unique to this process.
pub(crate) fn partial_name(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or("file");
    parent(path).join(format!("{PARTIAL_PREFIX}{name}-{}", std::process::id()))
}

/// Flushes a folder's list of names to the disk, which makes a rename in it last.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), CheckpointError> {
    // Windows cannot open a folder as a file, and needs no such flush.
    if cfg!(unix) {
        let opened = File::open(folder).map_err(CheckpointError::io("open", folder))?;
        opened.sync_all().map_err(CheckpointError::io("flush", folder))?;
    }
    Ok(())
}

/// Removes what interrupted writes left in `folder`, and says how many leftovers there were; none
/// where there is no such folder. Only the process that alone writes there may call it.
///
/// # Errors
/// When the folder cannot be listed or a leftover not removed.
pub fn remove_partials(folder: &Path) -> Result<usize, CheckpointError> {
    let mut removed = 0;
    for path in entries(folder)? {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if name.starts_with(PARTIAL_PREFIX) {
            remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The paths in a folder; none where there is no such folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let paths = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
    };
    paths.map_err(CheckpointError::io("list", folder))
}

fn remove(path: &Path) -> Result<(), CheckpointError> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.map_err(CheckpointError::io("remove", path))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_content_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomically(&path, b"a long first content").unwrap();
        write_atomically(&path, b"short").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"short");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_fails_keeps_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomically(&path, b"old").unwrap();
        let failed: Result<(), _> = write_then_rename(&path, |file| {
            file.write_all(b"half of the ne").unwrap();
            Err(CheckpointError::MissingFile { path: path.clone(), name: "x".into() })
        });
        failed.unwrap_err();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = write_atomically(Path::new("/no/such/folder/file"), b"x").unwrap_err();
        assert_eq!(error.to_string(), "cannot create /no/such/folder/file");
    }

    #[test]
    fn leftovers_of_killed_processes_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".partial-step-0000001-77")).unwrap();
        fs::write(folder.path().join(".partial-step-0000001-77/weights"), b"x").unwrap();
        fs::write(folder.path().join(".partial-metrics-77"), b"x").unwrap();
        fs::write(folder.path().join("kept"), b"x").unwrap();
        assert_eq!(remove_partials(folder.path()).unwrap(), 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
