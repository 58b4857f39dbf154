//! Is there an NVIDIA driver, so that the full GPU set is worth its size?

use super::error::SetupError;
use super::pins::Variant;
use std::path::{Path, PathBuf};

/// Where `libcuda.so.1`, the driver's own library, is found besides the dynamic linker's search
/// path.
const LIBRARY_FOLDERS: [&str; 7] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/wsl/lib",
    "usr/local/nvidia/lib64",
    "usr/local/nvidia/lib",
    "usr/local/cuda/compat",
];

/// The traces that a driver leaves, and where to look for them.
#[derive(Debug)]
pub(crate) struct Machine {
    /// The root of the file system.
    pub(crate) root: PathBuf,
    /// The folders of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// The folders of `LD_LIBRARY_PATH`.
    pub(crate) library_path: Vec<PathBuf>,
}

impl Machine {
    /// This machine, as the environment describes it.
    pub(crate) fn this() -> Self {
        let folders = |name| {
            let value = std::env::var_os(name).unwrap_or_default();
            std::env::split_paths(&value).filter(|path| path.is_absolute()).collect()
        };
        Self {
            root: Path::new("/").to_owned(),
            path: folders("PATH"),
            library_path: folders("LD_LIBRARY_PATH"),
        }
    }

    /// Whether an NVIDIA driver is installed.
    pub(crate) fn has_nvidia_driver(&self) -> bool {
        let system = LIBRARY_FOLDERS.iter().map(|folder| self.root.join(folder));
        self.root.join("proc/driver/nvidia/version").exists()
            || self.path.iter().any(|folder| folder.join("nvidia-smi").is_file())
            || system
                .chain(self.library_path.iter().cloned())
                .any(|folder| folder.join("libcuda.so.1").exists())
    }

    /// The libtorch to use here; `wish` is the value of `TWEEDIE_LIBTORCH`.
    pub(crate) fn variant(&self, wish: Option<&str>) -> Result<Variant, SetupError> {
        match wish {
            Some("cpu") => Ok(Variant::Cpu),
            Some("cuda") => Ok(Variant::Cuda),
            Some(got) if !got.is_empty() => Err(SetupError::UnknownVariant { got: got.to_owned() }),
            _ if self.has_nvidia_driver() => Ok(Variant::Cuda),
            _ => Ok(Variant::Cpu),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[track_caller]
    fn check(files: &[&str], expected: Variant) {
        let dir = tempfile::tempdir().expect("a folder");
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
            fs::write(path, "x").expect("writable");
        }
        let machine = Machine {
            root: dir.path().to_owned(),
            path: vec![dir.path().join("bin"), dir.path().join("usr/bin")],
            library_path: vec![dir.path().join("opt/driver")],
        };
        assert_eq!(machine.variant(None).expect("no wish"), expected, "{files:?}");
        assert_eq!(machine.variant(Some("")).expect("no wish"), expected, "{files:?}");
        assert_eq!(machine.variant(Some("cpu")).expect("a wish"), Variant::Cpu);
        assert_eq!(machine.variant(Some("cuda")).expect("a wish"), Variant::Cuda);
    }

    #[test]
    fn each_trace_of_a_driver_asks_for_the_gpu_set() {
        check(&[], Variant::Cpu);
        check(&["bin/python3", "usr/lib/x86_64-linux-gnu/libc.so.6"], Variant::Cpu);
        check(&["proc/driver/nvidia/version"], Variant::Cuda);
        check(&["usr/bin/nvidia-smi"], Variant::Cuda);
        check(&["usr/lib/x86_64-linux-gnu/libcuda.so.1"], Variant::Cuda);
        check(&["opt/driver/libcuda.so.1"], Variant::Cuda);
    }

    #[test]
    fn an_unknown_wish_is_an_error_that_names_it() {
        let machine =
            Machine { root: PathBuf::from("/nonexistent"), path: vec![], library_path: vec![] };
        let error = machine.variant(Some("rocm")).expect_err("unknown").to_string();
        assert!(error.contains("rocm") && error.contains("cpu"), "{error}");
    }
}
