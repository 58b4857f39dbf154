//! Is this folder a whole libtorch of the pinned version?

use super::pins::{VERSION, Variant};
use std::fs;
use std::path::Path;

/// Why a folder is no usable libtorch. Reads as the second half of "X, but ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum FolderProblem {
    /// There is no such folder.
    #[error("there is no such folder")]
    Absent,
    /// A file that every libtorch has is missing or empty.
    #[error("it lacks {0}")]
    Lacks(String),
    /// It says nowhere what version it is.
    #[error(
        "its version cannot be told (no build-version, version.py or version.h), expected {VERSION}"
    )]
    NoVersion,
    /// It is another version.
    #[error("its version is {0}, expected {VERSION}")]
    WrongVersion(String),
    /// The dynamic linker refuses it.
    #[error("its libraries do not load: {0}")]
    DoesNotLoad(String),
}

/// What every libtorch holds, in the official archives as in a Python's `torch` folder.
const REQUIRED: [&str; 5] = [
    "lib/libtorch_cpu.so",
    "lib/libtorch.so",
    "lib/libc10.so",
    "include/ATen/ATen.h",
    "include/torch/csrc/api/include/torch/torch.h",
];

/// Checks that `folder` is a libtorch of the pinned version, whoever provided it.
pub(crate) fn check(folder: &Path) -> Result<(), FolderProblem> {
    if !folder.is_dir() {
        return Err(FolderProblem::Absent);
    }
    for file in REQUIRED {
        has(folder, file)?;
    }
    let version = version(folder).ok_or(FolderProblem::NoVersion)?;
    if release(&version) == VERSION { Ok(()) } else { Err(FolderProblem::WrongVersion(version)) }
}

/// Checks a folder that was fetched: [`check`], and each library of its variant.
pub(crate) fn check_fetched(folder: &Path, variant: Variant) -> Result<(), FolderProblem> {
    check(folder)?;
    variant.libraries().iter().try_for_each(|file| has(folder, &format!("lib/{file}")))
}

fn has(folder: &Path, file: &str) -> Result<(), FolderProblem> {
    match fs::metadata(folder.join(file)) {
        Ok(meta) if meta.is_file() && meta.len() > 0 => Ok(()),
        _ => Err(FolderProblem::Lacks(file.to_owned())),
    }
}

/// The version that a libtorch folder states: in `build-version` (archives), `version.py` (a
/// Python's `torch`) or a header.
pub(crate) fn version(folder: &Path) -> Option<String> {
    let read = |file: &str| fs::read_to_string(folder.join(file)).ok();
    let first_line = |text: String| {
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        (!line.is_empty()).then_some(line)
    };
    read("build-version")
        .and_then(first_line)
        .or_else(|| read("version.py").as_deref().and_then(python_version))
        .or_else(|| read("include/torch/headeronly/version.h").as_deref().and_then(header_version))
        .or_else(|| {
            read("include/torch/csrc/api/include/torch/version.h")
                .as_deref()
                .and_then(header_version)
        })
}

/// A version without its label: `2.11.0` of `2.11.0+cpu`.
fn release(version: &str) -> &str {
    version.split_once('+').map_or(version, |(release, _)| release)
}

fn python_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    let value = line.split_once('=')?.1.trim().trim_matches(['\'', '"']);
    Some(value.to_owned())
}

fn header_version(text: &str) -> Option<String> {
    let part = |name: &str| {
        let prefix = format!("#define TORCH_VERSION_{name} ");
        text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::trim)
    };
    Some(format!("{}.{}.{}", part("MAJOR")?, part("MINOR")?, part("PATCH")?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Writes a folder that looks like a whole libtorch of `version`.
    pub(crate) fn fake(folder: &Path, version: &str) {
        for file in REQUIRED {
            write(folder, file, "x");
        }
        for file in super::super::pins::CPU_LIBRARIES {
            write(folder, &format!("lib/{file}"), "x");
        }
        write(folder, "build-version", version);
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
        fs::write(path, text).expect("writable");
    }

    #[test]
    fn the_pinned_version_is_accepted_with_and_without_a_label() {
        for version in ["2.11.0", "2.11.0\n", "2.11.0+cpu", "2.11.0+cu130"] {
            let dir = tempfile::tempdir().expect("a folder");
            fake(dir.path(), version);
            assert_eq!(check(dir.path()), Ok(()), "{version:?}");
        }
    }

    #[test]
    fn any_other_version_is_refused_and_named() {
        for version in ["2.10.0", "2.11.1", "2.11.0a0+git1", "12.11.0", "2.11"] {
            let dir = tempfile::tempdir().expect("a folder");
            fake(dir.path(), version);
            let expected = Err(FolderProblem::WrongVersion(version.to_owned()));
            assert_eq!(check(dir.path()), expected);
        }
    }

    #[test]
    fn a_missing_or_empty_file_is_named() {
        for file in REQUIRED {
            let dir = tempfile::tempdir().expect("a folder");
            fake(dir.path(), VERSION);
            write(dir.path(), file, "");
            assert_eq!(check(dir.path()), Err(FolderProblem::Lacks(file.to_owned())));
            fs::remove_file(dir.path().join(file)).expect("there");
            assert_eq!(check(dir.path()), Err(FolderProblem::Lacks(file.to_owned())));
        }
        let gone = Path::new("/nonexistent/libtorch");
        assert_eq!(check(gone), Err(FolderProblem::Absent));
    }

    #[test]
    fn a_fetched_copy_needs_the_libraries_of_its_variant() {
        let dir = tempfile::tempdir().expect("a folder");
        fake(dir.path(), VERSION);
        assert_eq!(check_fetched(dir.path(), Variant::Cpu), Ok(()));
        let lacks = Err(FolderProblem::Lacks("lib/libtorch_cuda.so".to_owned()));
        assert_eq!(check_fetched(dir.path(), Variant::Cuda), lacks);
    }

    #[test]
    fn the_version_is_read_from_python_and_from_headers_too() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(version(dir.path()), None);
        let header = "#pragma once\n#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n\
                      #define TORCH_VERSION_PATCH 0\n";
        write(dir.path(), "include/torch/headeronly/version.h", header);
        assert_eq!(version(dir.path()).as_deref(), Some("2.11.0"));
        write(dir.path(), "version.py", "__all__ = []\n__version__ = '2.11.0+cu130'\n");
        assert_eq!(version(dir.path()).as_deref(), Some("2.11.0+cu130"));
    }
}
