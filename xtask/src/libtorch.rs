//! Finds the pinned libtorch on this machine, or fetches it.
//!
//! In this order: the folder that `LIBTORCH` names; a Python on `PATH` whose `torch` is exactly the
//! pinned version; the copy in the user's cache; a new copy, fetched through pip. With an NVIDIA
//! driver the copy is the full GPU set, else a lean one for the CPU (`TWEEDIE_LIBTORCH=cpu|cuda`
//! overrides).

mod cache;
mod driver;
mod error;
mod fetch;
mod folder;
mod pins;
mod pip;
mod progress;
mod python;
mod unpack;

pub(crate) use cache::Cache;

use driver::Machine;
use error::SetupError;
use pins::Variant;
use std::env;
use std::path::{Path, PathBuf};

/// Gives the folder of a whole libtorch of the pinned version, fetching one if there is none.
pub(crate) fn provide() -> Result<PathBuf, SetupError> {
    let machine = Machine::this();
    let named = env::var_os("LIBTORCH").filter(|value| !value.is_empty());
    let wish = env::var("TWEEDIE_LIBTORCH").ok();
    let variant = machine.variant(wish.as_deref())?;
    let pythons = python::on_path(&machine.path);
    let cache = Cache::of_user();
    match locate(named.map(PathBuf::from), &pythons, cache.as_ref().ok(), variant)? {
        Some(found) => Ok(found),
        None => fetch_or_fall_back(&cache?, variant, &pythons),
    }
}

/// Looks in the three places where a libtorch may already be.
fn locate(
    named: Option<PathBuf>,
    pythons: &[PathBuf],
    cache: Option<&Cache>,
    variant: Variant,
) -> Result<Option<PathBuf>, SetupError> {
    if let Some(path) = named {
        return match folder::check(&path) {
            // As given where it can be: another spelling would make cargo rebuild what depends on
            // it.
            Ok(()) => Ok(Some(absolute(path))),
            Err(problem) => Err(SetupError::Named { path, problem }),
        };
    }
    if let Some(torch) = python::find_torch(pythons) {
        return Ok(Some(torch));
    }
    let cached = cache.map(|cache| cache.libtorch(variant));
    Ok(cached.filter(|path| folder::check_fetched(path, variant).is_ok()))
}

fn absolute(path: PathBuf) -> PathBuf {
    if path.is_absolute() { path } else { path.canonicalize().unwrap_or(path) }
}

/// Fetches `variant`. Where that fails and a lean copy is at hand, the CPU is better than nothing.
fn fetch_or_fall_back(
    cache: &Cache,
    variant: Variant,
    pythons: &[PathBuf],
) -> Result<PathBuf, SetupError> {
    fetch::fetch(cache, variant, pythons).or_else(|error| {
        let lean: &Path = &cache.libtorch(Variant::Cpu);
        if variant == Variant::Cpu || folder::check_fetched(lean, Variant::Cpu).is_err() {
            return Err(error);
        }
        eprintln!("warning: the libtorch for the GPU could not be fetched, the one for the CPU is used: {error}");
        Ok(lean.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use folder::FolderProblem;
    use folder::tests::fake;
    use python::tests::{fake_python, fake_python_with};

    /// A machine with a libtorch in each of the three places.
    struct Scene {
        dir: tempfile::TempDir,
        pythons: Vec<PathBuf>,
        cache: Cache,
    }

    impl Scene {
        fn new() -> Self {
            let dir = tempfile::tempdir().expect("a folder");
            let cache = Cache::at(dir.path().join("cache"));
            fake(&dir.path().join("named"), "2.11.0+cpu");
            fake(&dir.path().join("site/torch"), "2.11.0");
            fake(&cache.libtorch(Variant::Cpu), "2.11.0");
            let python =
                fake_python_with(&dir.path().join("bin"), &dir.path().join("site/torch"), 0);
            Self { pythons: vec![python], cache, dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn locate(&self, named: Option<PathBuf>, variant: Variant) -> Option<PathBuf> {
            locate(named, &self.pythons, Some(&self.cache), variant).expect("no error")
        }
    }

    #[test]
    fn the_places_are_tried_in_order() {
        let mut scene = Scene::new();
        let named = Some(scene.path("named"));
        assert_eq!(scene.locate(named.clone(), Variant::Cpu), named);
        assert_eq!(scene.locate(None, Variant::Cpu), Some(scene.path("site/torch")));
        scene.pythons.clear();
        assert_eq!(scene.locate(None, Variant::Cpu), Some(scene.cache.libtorch(Variant::Cpu)));
        assert_eq!(scene.locate(None, Variant::Cuda), None);
        scene.cache = Cache::at(scene.path("elsewhere"));
        assert_eq!(scene.locate(None, Variant::Cpu), None);
    }

    #[test]
    fn a_wrong_folder_in_libtorch_is_an_error_even_where_another_place_would_do() {
        let scene = Scene::new();
        fake(&scene.path("old"), "2.10.0+cpu");
        for (name, expected) in [
            ("old", FolderProblem::WrongVersion("2.10.0+cpu".to_owned())),
            ("absent", FolderProblem::Absent),
        ] {
            let named = Some(scene.path(name));
            match locate(named, &scene.pythons, Some(&scene.cache), Variant::Cpu) {
                Err(error @ SetupError::Named { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains(&expected.to_string()), "{text}");
                    assert!(text.contains("remedy:"), "{text}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_cached_copy_that_is_not_whole_is_not_used() {
        let mut scene = Scene::new();
        scene.pythons.clear();
        std::fs::remove_file(scene.cache.libtorch(Variant::Cpu).join("build-version"))
            .expect("there");
        assert_eq!(scene.locate(None, Variant::Cpu), None);
    }

    #[test]
    fn without_a_way_to_fetch_the_gpu_set_a_lean_copy_serves() {
        let scene = Scene::new();
        let bare = fake_python(&scene.path("bare"), "exit 1");
        let lean = scene.cache.libtorch(Variant::Cpu);
        let got = fetch_or_fall_back(&scene.cache, Variant::Cuda, std::slice::from_ref(&bare));
        assert_eq!(got.expect("the lean copy"), lean);
        std::fs::remove_dir_all(&lean).expect("there");
        let got = fetch_or_fall_back(&scene.cache, Variant::Cuda, &[bare]);
        assert!(matches!(got, Err(SetupError::NoPip { .. })), "{got:?}");
    }
}
