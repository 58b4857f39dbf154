//! A run from training to judgement, through the binary.

use crate::program::{Program, TINY, values};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One tiny finished run that the tests of this file share.
fn run() -> &'static Path {
    static RUN: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let made = RUN.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        Program::train(folder.path(), TINY, &out, &[]).expect_success();
        (folder, out)
    });
    &made.1
}

fn sample(out: &Path, more: &[&str]) -> Program {
    let mut arguments = vec!["sample", run().to_str().unwrap(), "--steps", "4"];
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(more);
    Program::run(&arguments)
}

#[test]
fn a_run_folder_holds_what_is_promised() {
    for name in ["config.toml", "metrics.jsonl", "summary.json", "checkpoints", "tensorboard"] {
        assert!(run().join(name).exists(), "{name}");
    }
    let metrics = std::fs::read_to_string(run().join("metrics.jsonl")).unwrap();
    assert!(metrics.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
}

#[test]
fn an_image_does_not_depend_on_batch_size_or_count() {
    let folder = tempfile::tempdir().unwrap();
    for method in [&["--sampler", "ddpm"][..], &["--eta", "0.5"]] {
        let (all, few) = (folder.path().join("all.npy"), folder.path().join("few.npy"));
        sample(&all, &[method, &["--count", "6", "--batch-size", "6"]].concat()).expect_success();
        sample(&few, &[method, &["--count", "4", "--batch-size", "3"]].concat()).expect_success();
        let (all, few) = (values(&all), values(&few));
        assert_eq!((all.len(), few.len()), (6 * 64, 4 * 64));
        let level = 2.0 / 255.0;
        assert!(all.iter().zip(&few).all(|(a, b)| (a - b).abs() <= level), "{method:?}");
        assert!(all[..64] != all[64..128], "two images are the same");
    }
}

#[test]
fn every_ending_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    sample(&path("grid.png"), &["--count", "5"]).expect_success();
    assert!(image::open(path("grid.png")).unwrap().width() > 3 * 64);
    sample(&path("folder"), &["--count", "3", "--class", "3"]).expect_success();
    let single = image::open(path("folder").join("00002-class-3.png")).unwrap();
    assert_eq!((single.width(), single.height()), (8, 8));
    sample(&path("x.safetensors"), &["--count", "3", "--class", "1,7"]).expect_success();
    let file = tweedie_checkpoints::TensorFile::open(&path("x.safetensors")).unwrap();
    assert_eq!(file.read_f32("images").unwrap().len(), 3 * 64);
    sample(&path("strip.png"), &["--count", "2", "--every-step"]).expect_success();
    let strip = image::open(path("strip.png")).unwrap();
    assert!(strip.width() > 2 * strip.height());
}

#[test]
fn bad_requests_are_refused_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    for (more, says) in [
        (&["--class", "10"][..], "0 to 9"),
        (&["--class", "-1"], "--class"),
        (&["--count", "0"], "from 1 to"),
        (&["--count", "1000000000000000000"], "from 1 to"),
        (&["--seed", "-1"], "--seed"),
        (&["--threads", "65535"], "--threads"),
        (&["--eta", "1.5"], "more noise than there is at its end"),
        (&["--eta", "-0.5"], "at least 0"),
        (&["--eta", "nan"], "at least 0"),
        (&["--sampler", "ddpm", "--eta", "0.5"], "--eta"),
        (&["--checkpoint", "999"], "999"),
    ] {
        let message = sample(&out, more).expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
        assert!(!out.exists());
    }
    std::fs::write(folder.path().join("file"), "").unwrap();
    std::fs::create_dir(folder.path().join("folder.png")).unwrap();
    for unwritable in ["file", "file/x.png", "file/x.npy", "folder.png"] {
        let message = sample(&folder.path().join(unwritable), &[]).expect_refusal();
        assert!(message.contains("--out"), "{message}");
    }
    let run = run().to_str().unwrap();
    let message = Program::run(&["sample", run, "--steps", "101"]).expect_refusal();
    assert!(message.contains("1 to 100"), "{message}");
    let message = Program::run(&["sample", run, "--out", "x.gif"]).expect_refusal();
    assert!(message.contains(".npy"), "{message}");
}

#[test]
fn evaluation_measures_quality() {
    let arguments =
        ["evaluate", run().to_str().unwrap(), "--count", "60", "--steps", "4", "--json"];
    let text = Program::run(&arguments).expect_success();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} in {text}"));
    // A network of a dozen steps draws nothing like digits; the real images speak for themselves.
    assert!(number("frechet_distance") > number("frechet_distance_halves"));
    assert!((0.0..=1.0).contains(&number("class_agreement")));
    assert!(number("class_agreement_real") > 0.95);
    assert!((number("nearest_real_distance_real") - 1.03).abs() < 0.05);
}

#[test]
fn the_schedule_of_a_run_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("schedule.png");
    let (run, path) = (run().to_str().unwrap(), out.to_str().unwrap());
    let text = Program::run(&["schedule", "plot", "--run", run, "--out", path]).expect_success();
    assert!(text.contains("100 steps"), "{text}");
    assert!(image::open(&out).unwrap().width() >= 1000);
}

#[test]
fn a_finished_run_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let message = Program::train(folder.path(), TINY, run(), &[]).expect_refusal();
    assert!(message.contains("--resume"), "{message}");
}
