//! Where fetched things are kept: a folder outside the checkout, so that a fresh clone finds them
//! again.

use super::error::SetupError;
use super::pins::Variant;
use rustix::fs::{FlockOperation, flock};
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The project's cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of this user: `TWEEDIE_CACHE`, else `tweedie` in `XDG_CACHE_HOME`, else in
    /// `~/.cache`.
    pub(crate) fn of_user() -> Result<Self, SetupError> {
        Self::choose(|name| env::var_os(name)).ok_or(SetupError::NoCacheFolder)
    }

    /// The cache in `root`.
    pub(crate) fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn choose(var: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        let folder = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        // The base directory specification tells programs to ignore a relative path.
        let absolute = |name: &str| folder(name).filter(|path| path.is_absolute());
        folder("TWEEDIE_CACHE")
            .and_then(|path| std::path::absolute(path).ok())
            .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("tweedie")))
            .or_else(|| Some(absolute("HOME")?.join(".cache/tweedie")))
            .map(Self::at)
    }

    /// The cache folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the libtorch of `variant` lies once it is whole.
    pub(crate) fn libtorch(&self, variant: Variant) -> PathBuf {
        self.root.join(variant.folder_name())
    }

    /// Where the libtorch of `variant` grows while it is fetched.
    pub(crate) fn staging(&self, variant: Variant) -> PathBuf {
        self.root.join(format!("{}.partial", variant.folder_name()))
    }

    /// Where a pinned tool is installed.
    pub(crate) fn tool(&self, name: &str, version: &str) -> PathBuf {
        self.root.join("tools").join(format!("{name}-{version}"))
    }

    /// Waits until no other process holds `name`, then holds it until the returned value is dropped
    /// or the process ends. Says on stderr when there is something to wait for.
    pub(crate) fn lock(&self, name: &str) -> Result<Lock, SetupError> {
        let path = self.root.join(format!("{name}.lock"));
        let io = |source| SetupError::from_io(&path, 0, source);
        fs::create_dir_all(&self.root).map_err(io)?;
        let file = File::create(&path).map_err(io)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            eprintln!("waiting for another `cargo xtask` that is setting up {name} ...");
            flock(&file, FlockOperation::LockExclusive).map_err(|errno| io(errno.into()))?;
        }
        Ok(Lock { _file: file })
    }
}

/// A held lock; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vars: &[(&str, &str)], expected: Option<&str>) {
        let var =
            |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        let got = Cache::choose(var).map(|cache| cache.root);
        assert_eq!(got.as_deref(), expected.map(Path::new));
    }

    #[test]
    fn the_cache_folder_follows_the_users_settings() {
        check(&[("HOME", "/home/u")], Some("/home/u/.cache/tweedie"));
        check(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "/c")], Some("/c/tweedie"));
        check(&[("HOME", "/home/u"), ("XDG_CACHE_HOME", "c")], Some("/home/u/.cache/tweedie"));
        check(&[("HOME", "/home/u"), ("TWEEDIE_CACHE", "/big")], Some("/big"));
        check(&[("HOME", "/home/u"), ("TWEEDIE_CACHE", "")], Some("/home/u/.cache/tweedie"));
        check(&[], None);
    }

    #[test]
    fn a_lock_keeps_a_second_holder_out_until_it_is_dropped() {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::at(dir.path().join("new"));
        let held = cache.lock("libtorch").expect("free");
        let other = File::open(cache.root().join("libtorch.lock")).expect("there");
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_err());
        drop(held);
        assert!(flock(&other, FlockOperation::NonBlockingLockExclusive).is_ok());
    }
}
