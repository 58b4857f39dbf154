//! Resuming and reading runs in which something is damaged, missing or left over.

use super::*;
use crate::error::chain;

/// A run of 12 steps with checkpoints of steps 9 and 12, no longer open.
fn finished() -> (tempfile::TempDir, PathBuf) {
    let (folder, mut trainer) = trainer(&["checkpoints.keep_last=2"]);
    run(&mut trainer).unwrap();
    let root = folder.path().join("run");
    for step in [9, 12] {
        assert!(checkpoint(&root, step).is_dir());
    }
    for (step, path) in trainer.store.list().unwrap() {
        if step < 9 {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    (folder, root)
}

fn checkpoint(root: &Path, step: u64) -> PathBuf {
    root.join(format!("checkpoints/step-{step:07}"))
}

fn spoil(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(file, bytes).unwrap();
}

/// All files below a folder with their bytes.
fn content(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut files = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(content(&path));
        } else {
            files.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    files
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_kept_under_another_name() {
    let _alone = alone();
    let (_folder, root) = finished();
    spoil(&checkpoint(&root, 12).join("ema.safetensors"));
    let spoiled = std::fs::read(checkpoint(&root, 12).join("ema.safetensors")).unwrap();

    let model = TrainedModel::load(&root, Choice::Latest, tch::Device::Cpu).unwrap();
    assert_eq!(model.step, 9);
    assert_eq!(model.passed_over.len(), 1);
    assert_eq!(model.passed_over[0].0, checkpoint(&root, 12));

    let mut resumed = Trainer::resume(&root).unwrap();
    assert_eq!(resumed.step(), 9);
    let kept = root.join("checkpoints/step-0000012.damaged");
    assert_eq!(resumed.damaged[0].0, kept);
    run(&mut resumed).unwrap();
    assert_eq!(std::fs::read(kept.join("ema.safetensors")).unwrap(), spoiled);
    assert!(checkpoint(&root, 12).is_dir());
}

/// A checkpoint's `state.json` with `edit` done to it. Where it is to be believed, its own sum goes.
fn edit(file: &Path, believed: bool, edit: impl Fn(&mut serde_json::Value)) {
    let mut state = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    edit(&mut state);
    if believed {
        state.as_object_mut().unwrap().remove("sha256").unwrap();
    }
    std::fs::write(file, state.to_string()).unwrap();
}

#[test]
fn a_checkpoint_with_a_state_that_cannot_be_is_passed_over_and_the_run_ends_the_same() {
    let _alone = alone();
    let (_folder, root) = finished();
    let state = checkpoint(&root, 12).join("state.json");
    let whole = std::fs::read(&state).unwrap();
    let files = || {
        let mut files = content(&checkpoint(&root, 12));
        files.remove(&state);
        files
    };
    let ends = files();
    let damages: [(&str, serde_json::Value); 8] = [
        ("/step", 10.into()),
        ("/step", 1_000_000_000_000_u64.into()),
        ("/files", serde_json::json!({})),
        ("/progress", serde_json::json!({})),
        ("/progress/images/unpadded", [1, 16, 16].as_slice().into()),
        ("/progress/images/levels", 1.into()),
        ("/progress/training_seconds", (-5).into()),
        ("/progress/skipped", 1.into()),
    ];
    for (place, value) in damages {
        for believed in [false, true] {
            // A count that could be is told by the sum alone.
            if believed && place == "/progress/skipped" {
                continue;
            }
            std::fs::write(&state, &whole).unwrap();
            edit(&state, believed, |state| *state.pointer_mut(place).unwrap() = value.clone());
            let model = TrainedModel::load(&root, Choice::Latest, tch::Device::Cpu).unwrap();
            assert_eq!(model.step, 9, "{place} = {value}");
            let ninth = content(&checkpoint(&root, 9));
            let mut resumed = Trainer::resume(&root).unwrap();
            assert_eq!(resumed.step(), 9, "{place} = {value}");
            run(&mut resumed).unwrap();
            assert_eq!(files(), ends, "{place} = {value}");
            assert_eq!(content(&checkpoint(&root, 9)), ninth);
        }
    }
}

#[test]
fn a_run_without_a_whole_checkpoint_is_refused_and_stays_as_it_is() {
    let _alone = alone();
    let (_folder, root) = finished();
    spoil(&checkpoint(&root, 9).join("weights.safetensors"));
    std::fs::write(checkpoint(&root, 12).join("state.json"), "{").unwrap();
    let before = content(&root);
    let message = chain(&Trainer::resume(&root).unwrap_err());
    assert!(message.contains("none of the 2 checkpoints"), "{message}");
    assert!(message.contains("step-0000012/state.json"), "{message}");
    let sampling = TrainedModel::load(&root, Choice::Latest, tch::Device::Cpu).unwrap_err();
    assert_eq!(chain(&sampling), message);
    assert_eq!(content(&root), before);
}

#[test]
fn a_checkpoint_of_another_version_is_not_damage() {
    let _alone = alone();
    let (_folder, root) = finished();
    let state = checkpoint(&root, 12).join("state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let before = content(&root);
    let message = chain(&Trainer::resume(&root).unwrap_err());
    assert!(message.contains("format 2") && message.contains("format 1"), "{message}");
    assert_eq!(content(&root), before);
}

#[test]
fn one_checkpoint_can_be_given_by_its_folder() {
    let _alone = alone();
    let (_folder, root) = finished();
    let load = |path: &Path, choice| TrainedModel::load(path, choice, tch::Device::Cpu);
    let ninth = checkpoint(&root, 9);
    assert_eq!(load(&ninth, Choice::Latest).unwrap().step, 9);
    assert_eq!(load(&ninth, Choice::Step(9)).unwrap().step, 9);
    let error = load(&ninth, Choice::Step(12)).unwrap_err();
    assert!(matches!(error, TrainError::OneCheckpoint { step: 9, .. }), "{error}");
    let error = load(&root, Choice::Step(10)).unwrap_err();
    assert!(error.to_string().ends_with("has no checkpoint of step 10"), "{error}");
}

#[test]
fn reading_a_run_changes_nothing_in_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    RunFolder::create(folder.path(), &config(&[])).unwrap();
    let error = TrainedModel::load(folder.path(), Choice::Best, tch::Device::Cpu).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { step: None, .. }), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn leftovers_of_interrupted_writes_are_removed_at_resume() {
    let _alone = alone();
    let (_folder, root) = finished();
    let leftovers = [
        ".partial-metrics.jsonl-1",
        ".partial-config.toml-1",
        "samples/.tmpAbCdEf",
        "tensorboard/.partial-events-1",
        "checkpoints/.partial-step-0000013-1/weights.safetensors",
    ]
    .map(|name| root.join(name));
    for path in &leftovers {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    let before = content(&root);
    drop(Trainer::resume(&root).unwrap());
    let after = content(&root);
    let gone: Vec<_> = before.keys().filter(|path| !after.contains_key(*path)).collect();
    let mut expected: Vec<_> = leftovers.iter().collect();
    expected.sort();
    assert_eq!(gone, expected);
}

#[test]
fn what_cannot_be_trained_leaves_no_folder() {
    let _alone = alone();
    let refused = |overrides: &[&str], key: &str| {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let message = chain(&Trainer::new(config(overrides), &run).unwrap_err());
        assert!(message.contains(key), "{message}");
        assert!(!run.exists(), "{key}");
    };
    refused(&["data.pad=[4, 4]"], "data.pad is [4, 4]");
    refused(&["network.attention=[5]"], "network.attention is 5");
    refused(&["network.channels=8192", "network.multipliers=[64,64]"], "network.channels");
    let grid = ["samples.every=1", "samples.columns=256", "samples.rows=256"];
    refused(&[&grid[..], &["network.class_conditional=false"]].concat(), "samples.rows");
    let folder = tempfile::tempdir().unwrap();
    let mut made = config(&[]);
    made.training.accumulation = 0;
    let message = chain(&Trainer::new(made, &folder.path().join("run")).unwrap_err());
    assert!(message.contains("training.accumulation is 0"), "{message}");
}
