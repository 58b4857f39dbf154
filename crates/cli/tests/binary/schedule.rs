//! Pictures of schedules.

use crate::program::Program;
use std::path::Path;

fn plot(schedules: &[&str], out: &Path) -> Program {
    let mut arguments = vec!["schedule", "plot", "--out", out.to_str().unwrap()];
    arguments.extend(schedules.iter().flat_map(|schedule| ["--schedule", schedule]));
    Program::run(&arguments)
}

#[test]
fn every_schedule_becomes_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let all = [
        "vp-linear",
        "vp-cosine",
        "sub-vp",
        "ve",
        "edm",
        "linear",
        "scaled-linear",
        "quadratic",
        "sigmoid",
        "cosine",
        "constant",
        "jsd",
        "linear:zero-terminal-snr",
    ];
    let out = folder.path().join("made/all.png");
    let text = plot(&all, &out).expect_success();
    assert!(text.contains("linear, 1000 steps") && text.contains("all.png"), "{text}");
    assert!(image::open(&out).unwrap().width() >= 1000);
    let out = folder.path().join("one.svg");
    plot(&["ve:sigma-max=100"], &out).expect_success();
    assert!(std::fs::read_to_string(&out).unwrap().contains("<svg"));
}

#[test]
fn bad_requests_are_refused_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("x.png");
    for (schedule, says) in [
        ("nothing", "there is no schedule 'nothing', expected vp-linear"),
        ("linear:beta-end=2", "beta_end is 2, expected a value in (0, 1)"),
        ("ve:sigma-min=-1", "sigma"),
        ("cosine:betas=3", "cosine has no 'betas'"),
    ] {
        let message = plot(&[schedule], &out).expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
    }
    assert!(plot(&[], &out).expect_refusal().contains("--schedule"));
    assert!(plot(&["edm"], &folder.path().join("x.gif")).expect_refusal().contains(".png or .svg"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    let message = plot(&["edm"], &folder.path().join("file/x.png")).expect_refusal();
    assert!(message.contains("--out"), "{message}");
    let run = ["schedule", "plot", "--run", "no/such/run", "--out", out.to_str().unwrap()];
    assert!(Program::run(&run).expect_refusal().contains("no/such/run"));
    assert!(!out.exists());
}
