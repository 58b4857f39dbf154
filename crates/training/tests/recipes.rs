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

#[test]
fn every_number_of_a_published_recipe_has_its_source() {
    for path in recipes() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        assert!(text.starts_with("# "), "{name} does not say what it is");
        let table: toml::Table = toml::from_str(&text).unwrap();
        for section in ["schedule", "objective"] {
            for (key, _) in table[section].as_table().unwrap() {
                let line =
                    text.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
                let before = text.lines().take_while(|other| other != &line).last().unwrap_or("");
                let said = line.contains('#') || before.starts_with('#');
                let plain = ["reduction", "kind", "loss", "steps"].contains(&key.as_str());
                assert!(said || plain, "{name}: {line} has no source or reason");
            }
        }
    }
}
