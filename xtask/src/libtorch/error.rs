//! What can go wrong while libtorch is found or fetched, each with its remedy.

use super::folder::FolderProblem;
use super::pins::VERSION;
use std::io;
use std::path::{Path, PathBuf};

/// Why no usable libtorch could be provided.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SetupError {
    /// `LIBTORCH` names a folder that cannot be used.
    #[error(
        "LIBTORCH is {}, but {problem}\n\
         remedy: point LIBTORCH at an unpacked libtorch {VERSION}, or unset it and one is found or fetched",
        path.display()
    )]
    Named { path: PathBuf, problem: FolderProblem },

    /// There is no folder to cache in.
    #[error(
        "there is no folder to keep libtorch in: neither TWEEDIE_CACHE, XDG_CACHE_HOME nor HOME names one\n\
         remedy: set TWEEDIE_CACHE to a folder with room for libtorch"
    )]
    NoCacheFolder,

    /// `TWEEDIE_LIBTORCH` holds something else than a variant.
    #[error("TWEEDIE_LIBTORCH is {got:?}\nremedy: set it to \"cpu\" or \"cuda\", or unset it")]
    UnknownVariant { got: String },

    /// The pinned wheels are for another kind of machine.
    #[error(
        "the pinned libtorch is for x86-64 Linux with glibc, and this is {got}\n\
         remedy: install torch {VERSION} into the python3 on PATH, or set LIBTORCH to a libtorch {VERSION}"
    )]
    Platform { got: String },

    /// No Python to run pip with.
    #[error(
        "libtorch {VERSION} is not here yet, and fetching it takes python3, which is not on PATH\n\
         remedy: install Python 3 with pip (Debian, Ubuntu: apt install python3 python3-pip), \
         or set LIBTORCH to a libtorch {VERSION}"
    )]
    NoPython,

    /// Python, but no working pip.
    #[error(
        "libtorch {VERSION} is not here yet, and fetching it takes pip, which {} cannot run: {detail}\n\
         remedy: install pip (Debian, Ubuntu: apt install python3-pip; elsewhere: python3 -m ensurepip), \
         or set LIBTORCH to a libtorch {VERSION}",
        python.display()
    )]
    NoPip { python: PathBuf, detail: String },

    /// The package index could not be reached.
    #[error(
        "no connection to the package index while fetching {file}: {detail}\n\
         remedy: check the network (pip's own settings for index, proxy and certificates hold here too) and \
         run the command again; what has arrived whole is kept. Once set up, no network is needed"
    )]
    NoNetwork { file: String, detail: String },

    /// The package index does not have the file.
    #[error(
        "the package index that pip uses does not offer {file}: {detail}\n\
         remedy: let pip use an index that has it (pip config list shows which one it uses), \
         or set LIBTORCH to a libtorch {VERSION}"
    )]
    NotOffered { file: String, detail: String },

    /// A file arrived with other bytes than the pinned ones.
    #[error(
        "{file} is not the pinned file: its sha256 is {got}, expected {expected}; it was thrown away\n\
         remedy: run the command again; if it happens twice, the index or a proxy serves a damaged file"
    )]
    WrongHash { file: String, expected: String, got: String },

    /// Not enough room.
    #[error(
        "the disk is full: {} {}\n\
         remedy: make room there, or set TWEEDIE_CACHE to a folder on a larger disk",
        path.display(), shortage(*needed, *available)
    )]
    DiskFull { path: PathBuf, needed: u64, available: Option<u64> },

    /// pip failed in a way not listed above.
    #[error(
        "pip could not fetch {file}: {detail}\nremedy: mend pip's complaint and run the command again"
    )]
    Pip { file: String, detail: String },

    /// A wheel passed its checksum but does not unpack.
    #[error("{file} does not unpack: {cause}\nremedy: run the command again")]
    Archive { file: String, cause: zip::result::ZipError },

    /// The unpacked wheels did not make a whole libtorch.
    #[error(
        "the fetched libtorch is not whole: {problem}; the pins in xtask/src/libtorch/pins.rs want mending"
    )]
    Fetched { problem: FolderProblem },

    /// Any other failure of the file system.
    #[error("{}: {cause}\nremedy: make the folder writable, or set TWEEDIE_CACHE to one that is", path.display())]
    Io { path: PathBuf, cause: io::Error },
}

impl SetupError {
    /// The error for a failed file operation on `path`; a full disk is told apart. `needed` is what
    /// the whole set-up takes, in bytes.
    pub(crate) fn from_io(path: &Path, needed: u64, cause: io::Error) -> Self {
        match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned(), needed, available: None }
            }
            _ => Self::Io { path: path.to_owned(), cause },
        }
    }
}

fn shortage(needed: u64, available: Option<u64>) -> String {
    let needed = indicatif::DecimalBytes(needed);
    match available {
        Some(available) => format!(
            "has {} free, and fetching libtorch takes {needed}",
            indicatif::DecimalBytes(available)
        ),
        None => format!("ran out of room; fetching libtorch takes {needed}"),
    }
}
