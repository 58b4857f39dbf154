//! Fetches a libtorch into the cache: wheels through pip, checked by sha256, unpacked under a
//! temporary name, renamed.
//!
//! Whatever happens meanwhile (a signal, a power cut, a full disk, two at once), the folder under
//! its final name is either absent or whole. Wheels that arrived whole are kept for the next try
//! until the folder is there.

use super::cache::Cache;
use super::error::SetupError;
use super::folder;
use super::pins::{VERSION, Variant, Wheel};
use super::progress::Progress;
use super::{pip, python, unpack};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A download that gives its caller the path of the file: pip in earnest, a stand-in under test.
pub(crate) type Download<'a> =
    &'a dyn Fn(&Wheel, &Path, &dyn Fn(u64)) -> Result<PathBuf, SetupError>;

/// Provides the libtorch of `variant` in `cache`, with the first of `pythons` that runs pip.
pub(crate) fn fetch(
    cache: &Cache,
    variant: Variant,
    pythons: &[PathBuf],
) -> Result<PathBuf, SetupError> {
    check_platform()?;
    let _held = cache.lock(&variant.folder_name())?;
    let target = cache.libtorch(variant);
    if folder::check_fetched(&target, variant).is_ok() {
        return Ok(target); // Another process was faster.
    }
    let python = python::with_pip(pythons)?;
    eprintln!("setting up libtorch {VERSION} in {}", target.display());
    let download: Download<'_> =
        &|wheel, folder, progress| pip::download(&python, wheel, folder, progress);
    assemble(cache, variant, variant.wheels(), download)?;
    Ok(target)
}

fn check_platform() -> Result<(), SetupError> {
    if cfg!(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")) {
        return Ok(());
    }
    let libc = if cfg!(target_env = "musl") { " with musl" } else { "" };
    let got = format!("{} {}{libc}", std::env::consts::OS, std::env::consts::ARCH);
    Err(SetupError::Platform { got })
}

/// Fetches `wheels` and makes the folder of `variant` out of them. The caller holds the lock.
fn assemble(
    cache: &Cache,
    variant: Variant,
    wheels: &[Wheel],
    download: Download<'_>,
) -> Result<(), SetupError> {
    let staging = cache.staging(variant);
    let total = variant.download_bytes() + variant.unpacked_bytes();
    let io = |source| SetupError::from_io(&staging, total, source);
    let kept = staging.join("wheels");
    fs::create_dir_all(&kept).map_err(io)?;
    remove_leftovers(&staging, &kept).map_err(io)?;

    let missing: Vec<&Wheel> = wheels.iter().filter(|wheel| !is_whole(&kept, wheel)).collect();
    check_room(&staging, &missing, variant)?;
    for wheel in missing {
        obtain(wheel, &staging, &kept, download)?;
    }

    let unpacked = staging.join("unpacked");
    let progress = Progress::start("unpacking libtorch", variant.unpacked_bytes());
    for wheel in wheels {
        unpack::unpack(&kept.join(wheel.file), variant, &unpacked, &|bytes| progress.add(bytes))?;
    }
    progress.finish();
    // Written last: a folder without it is not taken for a libtorch.
    fs::write(unpacked.join("build-version"), VERSION).map_err(io)?;
    folder::check_fetched(&unpacked, variant).map_err(|problem| SetupError::Fetched { problem })?;
    move_into_place(&unpacked, &cache.libtorch(variant), &staging).map_err(io)
}

/// Removes what an interrupted run left in `staging`, all but the wheels that had arrived.
fn remove_leftovers(staging: &Path, kept: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let path = entry?.path();
        if path != kept {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn is_whole(kept: &Path, wheel: &Wheel) -> bool {
    let file = kept.join(wheel.file);
    fs::metadata(&file).is_ok_and(|meta| meta.len() == wheel.bytes)
        && sha256(&file).is_ok_and(|sum| sum == wheel.sha256)
}

/// Asks before half a gigabyte is under way. The largest wheel may exist twice for a moment, while
/// pip copies it.
fn check_room(staging: &Path, missing: &[&Wheel], variant: Variant) -> Result<(), SetupError> {
    let bytes = || missing.iter().map(|wheel| wheel.bytes);
    let needed = bytes().sum::<u64>() + bytes().max().unwrap_or(0).max(variant.unpacked_bytes());
    let Ok(stat) = rustix::fs::statvfs(staging) else {
        return Ok(()); // Not every file system tells; a full disk is still noticed while writing.
    };
    let available = stat.f_bavail.saturating_mul(stat.f_frsize);
    if available >= needed {
        return Ok(());
    }
    Err(SetupError::DiskFull {
        path: staging.parent().unwrap_or(staging).to_owned(),
        needed,
        available: Some(available),
    })
}

/// Downloads `wheel` and, once its bytes are the pinned ones, moves it to `kept`.
fn obtain(
    wheel: &Wheel,
    staging: &Path,
    kept: &Path,
    download: Download<'_>,
) -> Result<(), SetupError> {
    let io = |source| SetupError::from_io(staging, wheel.bytes, source);
    // A fresh name each time: a pip that outlived a killed run may still be writing into its own
    // folder.
    let folder = tempfile::Builder::new().prefix("pip-").tempdir_in(staging).map_err(io)?;
    let progress = Progress::start(&format!("fetching {}", wheel.requirement), wheel.bytes);
    let file = download(wheel, folder.path(), &|bytes| progress.set(bytes))?;
    let got = sha256(&file).map_err(io)?;
    if got != wheel.sha256 {
        return Err(SetupError::WrongHash {
            file: wheel.file.to_owned(),
            expected: wheel.sha256.to_owned(),
            got,
        });
    }
    progress.finish();
    fs::rename(&file, kept.join(wheel.file)).map_err(io)
}

fn sha256(path: &Path) -> io::Result<String> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut hasher = Sha256::new();
    loop {
        let bytes = file.fill_buf()?;
        let length = bytes.len();
        if length == 0 {
            break;
        }
        hasher.update(bytes);
        file.consume(length);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Renames `unpacked` to `target`; a damaged folder that stands there makes way first.
fn move_into_place(unpacked: &Path, target: &Path, staging: &Path) -> io::Result<()> {
    if target.exists() {
        eprintln!("replacing {}, which is not whole", target.display());
        fs::rename(target, staging.join("damaged"))?;
    }
    fs::rename(unpacked, target)?;
    fs::remove_dir_all(staging)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::pins::CPU_LIBRARIES;
    use crate::libtorch::unpack::tests::fake_wheel;
    use std::cell::Cell;

    /// A cache in a temporary folder, and one wheel that makes a whole libtorch.
    struct Scene {
        dir: tempfile::TempDir,
        cache: Cache,
        wheel: Wheel,
        downloads: Cell<usize>,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let file = dir.path().join("torch.whl");
            let libraries = CPU_LIBRARIES.map(|name| format!("torch/lib/{name}"));
            let mut entries: Vec<&str> = libraries.iter().map(String::as_str).collect();
            entries.push("torch/include/ATen/ATen.h");
            entries.push("torch/include/torch/csrc/api/include/torch/torch.h");
            fake_wheel(&file, &entries);
            let wheel = Wheel {
                requirement: "torch==2.11.0",
                file: "torch.whl",
                bytes: fs::metadata(&file).expect("there").len(),
                sha256: Box::leak(sha256(&file).expect("readable").into_boxed_str()),
            };
            let cache = Cache::at(dir.path().join("cache"));
            Self { dir, cache, wheel, downloads: Cell::new(0) }
        }

        /// Runs the set-up with a download that hands over these bytes, or a whole wheel.
        fn run(&self, bytes: Option<&[u8]>) -> Result<(), SetupError> {
            let whole = fs::read(self.dir.path().join("torch.whl")).expect("there");
            assemble(&self.cache, Variant::Cpu, &[self.wheel], &|wheel, folder, _| {
                self.downloads.set(self.downloads.get() + 1);
                let file = folder.join(wheel.file);
                fs::write(&file, bytes.unwrap_or(&whole)).expect("writable");
                Ok(file)
            })
        }

        fn target(&self) -> PathBuf {
            self.cache.libtorch(Variant::Cpu)
        }
    }

    #[test]
    fn a_fetched_libtorch_is_whole_and_leaves_nothing_beside_it() {
        let scene = Scene::new();
        scene.run(None).expect("a good download");
        assert_eq!(folder::check_fetched(&scene.target(), Variant::Cpu), Ok(()));
        assert!(!scene.cache.staging(Variant::Cpu).exists());
    }

    #[test]
    fn other_bytes_than_the_pinned_ones_are_thrown_away() {
        let scene = Scene::new();
        let error = scene.run(Some(b"corrupt")).expect_err("wrong bytes");
        let text = error.to_string();
        assert!(text.contains("sha256") && text.contains(scene.wheel.sha256), "{text}");
        assert!(!scene.target().exists());
        assert!(!scene.cache.staging(Variant::Cpu).join("wheels/torch.whl").exists());
        scene.run(None).expect("the next try works");
        assert_eq!(scene.downloads.get(), 2);
    }

    #[test]
    fn an_interrupted_run_is_taken_up_without_trusting_its_remains() {
        let scene = Scene::new();
        let staging = scene.cache.staging(Variant::Cpu);
        // Killed while it unpacked: the wheel had arrived, the folder had not.
        fs::create_dir_all(staging.join("wheels")).expect("writable");
        fs::create_dir_all(staging.join("unpacked/lib")).expect("writable");
        fs::create_dir_all(staging.join("pip-a1b2/tmp")).expect("writable");
        fs::write(staging.join("unpacked/lib/libtorch_cpu.so"), "ha").expect("writable");
        fs::copy(scene.dir.path().join("torch.whl"), staging.join("wheels/torch.whl"))
            .expect("writable");
        scene.run(None).expect("taken up");
        assert_eq!(scene.downloads.get(), 0);
        let library =
            fs::read_to_string(scene.target().join("lib/libtorch_cpu.so")).expect("there");
        assert_eq!(library, "torch/lib/libtorch_cpu.so");
    }

    #[test]
    fn a_kept_wheel_that_was_cut_off_is_fetched_again() {
        let scene = Scene::new();
        let kept = scene.cache.staging(Variant::Cpu).join("wheels");
        fs::create_dir_all(&kept).expect("writable");
        let whole = fs::read(scene.dir.path().join("torch.whl")).expect("there");
        fs::write(kept.join("torch.whl"), &whole[..whole.len() / 2]).expect("writable");
        scene.run(None).expect("fetched again");
        assert_eq!(scene.downloads.get(), 1);
        assert_eq!(folder::check_fetched(&scene.target(), Variant::Cpu), Ok(()));
    }

    #[test]
    fn a_damaged_folder_under_the_final_name_is_replaced() {
        let scene = Scene::new();
        fs::create_dir_all(scene.target().join("lib")).expect("writable");
        fs::write(scene.target().join("stray"), "x").expect("writable");
        scene.run(None).expect("replaced");
        assert_eq!(folder::check_fetched(&scene.target(), Variant::Cpu), Ok(()));
        assert!(!scene.target().join("stray").exists());
    }

    #[test]
    fn too_little_room_is_an_error_before_anything_is_fetched() {
        let dir = tempfile::tempdir().expect("a folder");
        let huge = Wheel { bytes: 1 << 60, ..Variant::Cpu.wheels()[0] };
        let error = check_room(dir.path(), &[&huge], Variant::Cpu).expect_err("too large");
        let text = error.to_string();
        assert!(text.contains("disk is full") && text.contains("TWEEDIE_CACHE"), "{text}");
    }

    #[test]
    fn wheels_that_do_not_make_a_libtorch_are_refused() {
        let mut scene = Scene::new();
        let file = scene.dir.path().join("torch.whl");
        fake_wheel(&file, &["torch/lib/libc10.so"]);
        scene.wheel.bytes = fs::metadata(&file).expect("there").len();
        scene.wheel.sha256 = Box::leak(sha256(&file).expect("readable").into_boxed_str());
        let error = scene.run(None).expect_err("not whole").to_string();
        assert!(error.contains("lacks lib/libtorch_cpu.so"), "{error}");
        assert!(!scene.target().exists());
    }
}
