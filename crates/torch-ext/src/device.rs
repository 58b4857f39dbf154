//! Choosing the device, and loading a CUDA libtorch when there is one.
//!
//! The program links the CPU library alone. `libtorch_cuda.so` of a full install registers its
//! kernels when it is loaded, so loading it before the first use of a tensor is all it takes.

use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tch::Device;

use crate::ffi;

/// The variable that names a folder with `libtorch_cuda.so`, looked into first.
const FOLDER_VARIABLE: &str = "TWEEDIE_LIBTORCH_CUDA";
const LIBRARY: &str = "libtorch_cuda.so";

/// What became of loading CUDA.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CudaStatus {
    /// A GPU can be used; the file that was loaded.
    Available(PathBuf),
    /// No `libtorch_cuda.so` lies where it is looked for.
    NotInstalled,
    /// The library was loaded, but no GPU or driver was found.
    NoDevice(PathBuf),
    /// The library could not be loaded, or is of another version.
    Failed {
        /// The file.
        path: PathBuf,
        /// The reason.
        message: String,
    },
}

impl std::fmt::Display for CudaStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Available(path) => write!(f, "CUDA from {}", path.display()),
            Self::NotInstalled => write!(f, "no CUDA libtorch is installed"),
            Self::NoDevice(path) => {
                write!(f, "no GPU or driver found (CUDA libtorch: {})", path.display())
            }
            Self::Failed { path, message } => {
                write!(f, "{} could not be used: {message}", path.display())
            }
        }
    }
}

/// Loads `libtorch_cuda.so` once, if it is there; later calls return what the first one found.
///
/// Looked for in the folder that `TWEEDIE_LIBTORCH_CUDA` names and beside the loaded
/// `libtorch_cpu.so`. Call it before any tensor is made: libtorch decides once whether there is CUDA.
pub fn load_cuda() -> &'static CudaStatus {
    static STATUS: OnceLock<CudaStatus> = OnceLock::new();
    STATUS.get_or_init(|| find().map_or(CudaStatus::NotInstalled, load))
}

/// `Cuda(0)` if a GPU can be used and the CPU otherwise; loads CUDA as [`load_cuda`] does.
#[must_use]
pub fn default_device() -> Device {
    match load_cuda() {
        CudaStatus::Available(_) => Device::Cuda(0),
        _ => Device::Cpu,
    }
}

/// The first `libtorch_cuda.so` among the places it may lie in.
fn find() -> Option<PathBuf> {
    let named = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
    let folders = named.into_iter().chain(libtorch_folder());
    folders.map(|folder| folder.join(LIBRARY)).find(|path| path.is_file())
}

/// The folder that `libtorch_cpu.so` was loaded from.
fn libtorch_folder() -> Option<PathBuf> {
    // SAFETY: null or a string that the loader keeps as long as the library is loaded.
    let file = unsafe {
        let text = ffi::tweedie_libtorch_path();
        if text.is_null() {
            return None;
        }
        CStr::from_ptr(text)
    };
    Path::new(OsStr::from_bytes(file.to_bytes())).parent().map(Path::to_path_buf)
}

/// Loads one library after checking its version, and looks for a GPU.
fn load(path: PathBuf) -> CudaStatus {
    let failed = |path, message| CudaStatus::Failed { path, message };
    if let Some(version) = other_version(&path) {
        let message = format!("it is of libtorch {version}, not {}", crate::libtorch_version());
        return failed(path, message);
    }
    let Ok(name) = CString::new(path.as_os_str().as_bytes()) else {
        return failed(path, "its path holds a NUL byte".to_owned());
    };
    // SAFETY: runs the library's initializers, which is what loading libtorch's own library means.
    if let Err(message) = ffi::text_of(unsafe { ffi::tweedie_load_library(name.as_ptr()) }) {
        return failed(path, message);
    }
    let mut found = 0;
    // SAFETY: writes one integer.
    match ffi::text_of(unsafe { ffi::tweedie_has_cuda(&mut found) }) {
        Err(message) => failed(path, message),
        Ok(()) if found != 0 => CudaStatus::Available(path),
        Ok(()) => CudaStatus::NoDevice(path),
    }
}

/// The version of the install that a library belongs to, if it states another than ours.
fn other_version(library: &Path) -> Option<String> {
    let root = library.parent()?.parent()?;
    let plain = std::fs::read_to_string(root.join("build-version")).ok();
    let python = || {
        let text = std::fs::read_to_string(root.join("version.py")).ok()?;
        let line = text.lines().find(|line| line.starts_with("__version__"))?;
        line.split(['\'', '"']).nth(1).map(str::to_owned)
    };
    let stated = plain.or_else(python)?;
    let version = stated.trim().split('+').next().unwrap_or_default();
    (version != crate::libtorch_version()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_libtorch_is_found() {
        assert!(libtorch_folder().unwrap().join("libtorch_cpu.so").is_file());
    }

    #[test]
    fn a_file_that_is_no_library_is_reported() {
        let folder = std::env::temp_dir().join(format!("tweedie-cuda-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("lib")).unwrap();
        let file = folder.join("lib").join(LIBRARY);
        std::fs::write(&file, "text").unwrap();
        let status = load(file.clone());
        assert!(matches!(&status, CudaStatus::Failed { path, .. } if *path == file), "{status}");
        std::fs::write(folder.join("version.py"), "__version__ = '2.10.0+cu130'\n").unwrap();
        let status = load(file).to_string();
        assert!(status.ends_with("it is of libtorch 2.10.0, not 2.11.0"), "{status}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_default_device_works() {
        let device = default_device();
        let x = tch::Tensor::ones([2], (tch::Kind::Float, device));
        assert_eq!(x.sum(tch::Kind::Float).double_value(&[]), 2.0);
    }
}
