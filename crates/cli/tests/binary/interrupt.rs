//! Stopping a run by a signal and taking it up again.

use crate::program::{Program, TINY};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

fn final_weights(run: &Path) -> Vec<Vec<u8>> {
    let last = run.join("checkpoints/step-0000012");
    ["weights", "ema", "optimizer"]
        .map(|name| std::fs::read(last.join(format!("{name}.safetensors"))).unwrap())
        .into()
}

/// Trains until the first step is reported, sends SIGTERM, and returns exit code, output and what standard
/// error says from then on.
fn interrupted(config: &Path, out: &Path) -> (Option<i32>, String, Vec<String>) {
    let mut child = Program::command()
        .args(["train", config.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().is_ok_and(|line| line.starts_with("step 1/")))
        .unwrap()
        .unwrap();
    std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let heard = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), heard)
}

#[test]
fn a_signal_saves_and_the_resumed_run_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, broken) = (folder.path().join("whole"), folder.path().join("broken"));
    Program::train(folder.path(), TINY, &whole, &[]).expect_success();
    let (code, says, heard) = interrupted(&folder.path().join("config.toml"), &broken);
    assert_eq!(code, Some(143), "{says}");
    assert!(says.contains("tweedie train --resume"), "{says}");
    assert!(heard.iter().any(|line| line.starts_with("stopping after this step")), "{heard:?}");
    Program::run(&["train", "--resume", broken.to_str().unwrap()]).expect_success();
    assert_eq!(final_weights(&whole), final_weights(&broken));
}
