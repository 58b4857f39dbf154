//! The recipes that stand in `configs/`.

use std::path::{Path, PathBuf};

use tweedie_training::RunConfig;

fn recipes() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_recipe_is_a_configuration() {
    let names: Vec<_> = recipes()
        .iter()
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let expected = ["cifar10-iddpm", "digits-edm", "digits-iddpm", "digits-subvp", "digits-ve"];
    let more = ["digits-vp", "fashion-mnist-subvp"];
    for name in expected.iter().chain(&more) {
        assert!(names.iter().any(|found| found == name), "{name} is not in {names:?}");
    }
    for path in recipes() {
        let config = RunConfig::load(&path, &[]).unwrap();
        config.noise_schedule().unwrap();
    }
}

/// Sections of which one reason may stand for all keys: nothing in them changes what is trained.
const BESIDE_TRAINING: [&str; 3] = ["[logging]", "[checkpoints]", "[samples]"];

/// The values of a recipe that say neither on their line nor above it where they come from.
fn without_source(text: &str) -> Vec<String> {
    let (mut section, mut above, mut missing) = ("", "", Vec::new());
    for line in text.lines() {
        if line.starts_with('[') {
            section = line;
        } else if !line.is_empty() && !line.starts_with('#') {
            let name = section.split('#').next().unwrap_or_default().trim();
            let of_section = section.contains('#') && BESIDE_TRAINING.contains(&name);
            if !of_section && !line.contains('#') && !above.starts_with('#') {
                missing.push(format!("{name} {line}"));
            }
        }
        above = line;
    }
    missing
}

#[test]
fn every_value_of_a_recipe_has_its_source_or_reason() {
    for path in recipes() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        assert!(text.starts_with("# "), "{name} does not say what it is");
        assert_eq!(without_source(&text), [""; 0], "{name}");
    }
}

#[test]
fn a_value_without_a_source_is_found_in_any_section() {
    let text =
        "[data]\nflip = true # why\n# why\npad = [1]\nsize = 2\n[network] # why\nblocks = 2\n";
    assert_eq!(without_source(text), ["[data] size = 2", "[network] blocks = 2"]);
    assert_eq!(without_source("[training]\nseed = 0\n"), ["[training] seed = 0"]);
    assert_eq!(without_source("[logging] # why\nevery = 1\n"), [""; 0]);
    assert_eq!(without_source("[logging]\nevery = 1\n"), ["[logging] every = 1"]);
}
