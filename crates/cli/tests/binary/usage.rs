//! Help, version, refusals, data sets.

use crate::program::{Program, TINY};

#[test]
fn every_command_explains_itself() {
    for command in [
        &[][..],
        &["train"],
        &["sample"],
        &["evaluate"],
        &["likelihood"],
        &["encode"],
        &["decode"],
        &["interpolate"],
        &["convert"],
        &["model"],
        &["model", "info"],
        &["data"],
        &["data", "fetch"],
        &["data", "info"],
        &["schedule"],
        &["schedule", "plot"],
        &["plan"],
        &["completions"],
    ] {
        let mut arguments = command.to_vec();
        arguments.push("--help");
        let help = Program::run(&arguments).expect_success();
        assert!(help.contains("Usage: tweedie"), "{help}");
    }
}

#[test]
fn the_version_names_libtorch_and_the_device() {
    let version = Program::run(&["--version"]).expect_success();
    assert!(version.contains("libtorch 2.11.0") && version.contains("threads"), "{version}");
}

#[test]
fn completions_name_the_commands() {
    let script = Program::run(&["completions", "bash"]).expect_success();
    assert!(script.contains("evaluate") && script.contains("--every-step"));
}

#[test]
fn bad_configurations_are_refused_by_key_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    for (set, says) in [
        ("training.batch_size=0", "training.batch_size"),
        ("training.batchsize=4", "training.batch_size"),
        ("network.channels=30", "network"),
        ("data.source=no/such/set", "no/such/set"),
    ] {
        let run = Program::train(folder.path(), TINY, &out, &["--set", set]);
        let message = run.expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
        assert!(!out.exists(), "{set} left {}", out.display());
    }
}

#[test]
fn a_missing_run_is_refused() {
    for command in [&["sample", "no/such/run"][..], &["evaluate", "no/such/run"]] {
        assert!(Program::run(command).expect_refusal().contains("no/such/run"));
    }
    assert!(
        Program::run(&["train", "--resume", "no/such/run"])
            .expect_refusal()
            .contains("no/such/run")
    );
    assert!(Program::run(&["train"]).expect_refusal().contains("CONFIG"));
}

#[test]
fn data_info_counts_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("sheet.png");
    let text = Program::run(&["data", "info", "digits", "--out", sheet.to_str().unwrap()]);
    let text = text.expect_success();
    assert!(text.contains("1617") && text.contains("180") && text.contains("8 x 8"), "{text}");
    assert!(image::open(&sheet).unwrap().width() > 100);
    let words = folder.path().join("sheet.txt");
    let refusal = Program::run(&["data", "info", "digits", "--out", words.to_str().unwrap()]);
    assert!(refusal.expect_refusal().contains(".png") && !words.exists());
    let refusal = Program::run(&["data", "info", "no/such/set"]).expect_refusal();
    assert!(refusal.contains("no/such/set"), "{refusal}");
}
