//! Makes one libtorch folder out of wheels: which of their files go where.

use super::error::SetupError;
use super::pins::{CPU_LIBRARIES, Variant};
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::result::ZipError;

/// Where an entry of a wheel goes in the libtorch folder, if it belongs there. All libraries share
/// one folder: they find one another there through the `$ORIGIN` in their search paths.
pub(crate) fn place(variant: Variant, entry: &str) -> Option<PathBuf> {
    if let Some(header) = entry.strip_prefix("torch/include/") {
        return (!header.is_empty() && !header.ends_with('/'))
            .then(|| Path::new("include").join(header));
    }
    let name = match entry.strip_prefix("torch/lib/") {
        Some(name) => name,
        None => entry.strip_prefix("nvidia/")?.split_once("/lib/")?.1,
    };
    let wanted = match variant {
        Variant::Cpu => CPU_LIBRARIES.contains(&name),
        // Everything that is loaded; the Python bindings would want a libpython.
        Variant::Cuda => is_library(name) && name != "libtorch_python.so",
    };
    (wanted && !name.contains('/')).then(|| Path::new("lib").join(name))
}

fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// Unpacks what belongs of the wheel `wheel` into `folder`. `progress` hears the bytes of each file
/// written.
pub(crate) fn unpack(
    wheel: &Path,
    variant: Variant,
    folder: &Path,
    progress: &dyn Fn(u64),
) -> Result<(), SetupError> {
    let io = |source| SetupError::from_io(folder, variant.unpacked_bytes(), source);
    let zip = |error| match error {
        ZipError::Io(source) => io(source),
        cause => SetupError::Archive { file: wheel.display().to_string(), cause },
    };
    let file = File::open(wheel).map_err(io)?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(zip)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(zip)?;
        // `enclosed_name` refuses names that lead out of the folder.
        let safe = entry.enclosed_name();
        let Some(place) = safe.and_then(|_| place(variant, entry.name())) else {
            continue;
        };
        progress(write(&mut entry, &folder.join(place)).map_err(io)?);
    }
    Ok(())
}

/// Writes `target`, down to the disk when it is a library: after a power cut a renamed folder must
/// not hold holes.
fn write(source: &mut impl io::Read, target: &Path) -> io::Result<u64> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create_new(target)?;
    let bytes = io::copy(source, &mut file)?;
    if target.parent().is_some_and(|parent| parent.ends_with("lib")) {
        file.sync_all()?;
    }
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    /// Writes a zip archive with these entries, each holding its own name.
    pub(crate) fn fake_wheel(path: &Path, entries: &[&str]) {
        let mut archive = ZipWriter::new(File::create(path).expect("writable"));
        for entry in entries {
            archive.start_file(*entry, SimpleFileOptions::default()).expect("writable");
            archive.write_all(entry.as_bytes()).expect("writable");
        }
        archive.finish().expect("writable");
    }

    #[track_caller]
    fn check(variant: Variant, entry: &str, expected: Option<&str>) {
        assert_eq!(place(variant, entry).as_deref(), expected.map(Path::new), "{entry}");
    }

    #[test]
    fn the_lean_copy_takes_the_headers_and_seven_libraries() {
        check(Variant::Cpu, "torch/include/ATen/ATen.h", Some("include/ATen/ATen.h"));
        check(Variant::Cpu, "torch/lib/libtorch_cpu.so", Some("lib/libtorch_cpu.so"));
        check(Variant::Cpu, "torch/lib/libgomp.so.1", Some("lib/libgomp.so.1"));
        check(Variant::Cpu, "nvidia/cu13/lib/libcudart.so.13", Some("lib/libcudart.so.13"));
        check(Variant::Cpu, "nvidia/cu13/lib/libcupti.so.13", Some("lib/libcupti.so.13"));
        check(Variant::Cpu, "nvidia/cu13/lib/libnvperf_host.so", None);
        check(Variant::Cpu, "torch/lib/libtorch_cuda.so", None);
        check(Variant::Cpu, "torch/lib/libtorch_python.so", None);
        check(Variant::Cpu, "torch/nn/functional.py", None);
        check(Variant::Cpu, "torch/include/", None);
    }

    #[test]
    fn the_gpu_set_takes_every_library_but_pythons() {
        check(Variant::Cuda, "torch/lib/libtorch_cuda.so", Some("lib/libtorch_cuda.so"));
        check(Variant::Cuda, "nvidia/cudnn/lib/libcudnn.so.9", Some("lib/libcudnn.so.9"));
        check(Variant::Cuda, "nvidia/cu13/lib/libcudart_static.a", None);
        check(Variant::Cuda, "nvidia/cu13/include/cuda.h", None);
        check(Variant::Cuda, "torch/lib/libtorch_python.so", None);
        check(Variant::Cuda, "torch/lib/libshm/libshm.h", None);
    }

    #[test]
    fn unpacking_writes_only_what_belongs_and_never_outside_the_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let wheel = dir.path().join("torch.whl");
        fake_wheel(
            &wheel,
            &[
                "torch/include/a/b.h",
                "torch/lib/libc10.so",
                "torch/version.py",
                "torch/include/../../../escaped.h",
            ],
        );
        let folder = dir.path().join("a/b/libtorch");
        let written = std::cell::Cell::new(0);
        unpack(&wheel, Variant::Cpu, &folder, &|bytes| written.set(written.get() + bytes))
            .expect("a good wheel");
        let library = fs::read_to_string(folder.join("lib/libc10.so")).expect("unpacked");
        assert_eq!(library, "torch/lib/libc10.so");
        assert!(folder.join("include/a/b.h").is_file());
        assert!(!folder.join("version.py").exists());
        assert!(!dir.path().join("a/escaped.h").exists() && !dir.path().join("escaped.h").exists());
        assert_eq!(written.get(), 38);
    }

    #[test]
    fn a_file_that_is_no_archive_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let wheel = dir.path().join("torch.whl");
        fs::write(&wheel, "half a downl").expect("writable");
        let error = unpack(&wheel, Variant::Cpu, dir.path(), &|_| ()).expect_err("no archive");
        assert!(error.to_string().contains("torch.whl does not unpack"), "{error}");
    }
}
