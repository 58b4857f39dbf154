//! A run killed at any moment and resumed ends with the same bytes as one never interrupted.
//!
//! The test starts this very binary again as the process that trains, and kills it with SIGKILL at
//! random moments and in the middle of writing a checkpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use sha2::{Digest, Sha256};
use tweedie_training::{Outcome, RunConfig, RunFolder, Trainer, read_metrics};

/// Names the run's folder to the process that trains.
const RUN: &str = "TWEEDIE_TEST_RUN";
const STEPS: u64 = 60;

/// Everything that draws random numbers is on, the law of times learns from the losses, as few steps as
/// the schedule has soon, and a checkpoint is written at every step.
const CONFIG: &str = r#"
[data]
flip = true
[network]
channels = 16
multipliers = [1]
blocks = 1
attention = []
groups = 4
dropout = 0.2
[schedule]
steps = 5
[objective]
kind = "hybrid"
[training]
steps = 60
batch_size = 8
accumulation = 2
time_sampling = "loss_second_moment"
warmup = 5
label_dropout = 0.2
threads = 2
[logging]
every = 1
held_out_every = 7
held_out_images = 8
[checkpoints]
every = 1
[samples]
every = 15
rows = 2
columns = 1
steps = 2
"#;

/// Not a test of its own: what the killed process does.
#[test]
fn the_process_that_trains() {
    let Some(run) = std::env::var_os(RUN).map(PathBuf::from) else { return };
    let mut trainer = if RunFolder::open(&run).is_ok() {
        Trainer::resume(&run).unwrap()
    } else {
        Trainer::new(RunConfig::parse(CONFIG, &[]).unwrap(), &run).unwrap()
    };
    let outcome = trainer.run(&mut (), &AtomicBool::new(false)).unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
}

fn start(run: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_trains"])
        .env(RUN, run)
        // Idle threads that spin would keep this process from looking at the right moment.
        .env("OMP_WAIT_POLICY", "passive")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Trains to the end; returns how long that took.
fn train(run: &Path) -> Duration {
    let begin = Instant::now();
    assert!(start(run).wait().unwrap().success());
    begin.elapsed()
}

/// Kills the process when `now` says so; whether it was still running then.
fn kill_when(mut child: Child, mut now: impl FnMut() -> bool) -> bool {
    while child.try_wait().unwrap().is_none() {
        if now() {
            // SIGKILL: the process has no chance to tidy up.
            child.kill().unwrap();
            return !child.wait().unwrap().success();
        }
    }
    false
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Checkpoints that are half written, by the process that runs or by one that was killed.
fn partials(run: &Path) -> Vec<String> {
    let mut names = names(&run.join("checkpoints"));
    names.retain(|name| name.starts_with(".partial-step-") && !name.contains("removed"));
    names
}

/// sha256 of each file with numbers in the last checkpoint.
fn final_sums(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = run.join(format!("checkpoints/step-{STEPS:07}"));
    let files = names(&folder).into_iter().filter(|name| name.ends_with(".safetensors"));
    files
        .map(|name| {
            let sum = Sha256::digest(std::fs::read(folder.join(&name)).unwrap()).to_vec();
            (name, sum)
        })
        .collect()
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, killed) = (folder.path().join("whole"), folder.path().join("killed"));
    let time = train(&whole);
    let expected = final_sums(&whole);
    let kinds: Vec<_> = expected.keys().map(String::as_str).collect();
    assert_eq!(kinds, ["ema.safetensors", "optimizer.safetensors", "weights.safetensors"]);

    let halves = kill_while_writing(&killed);
    let moments = kill_at_random(&killed, time);
    leave_half_written(&killed);
    train(&killed);

    assert!(halves > 0, "no kill fell into the writing of a checkpoint");
    assert!(moments.iter().any(|(_, hit)| *hit), "no kill found the process running: {moments:?}");
    assert_eq!(final_sums(&killed), expected, "killed after {moments:?}");
    check_metrics(&killed, &whole);
    let mut left: Vec<_> = hidden(&killed);
    left.retain(|path| path != &killed.join(".lock"));
    assert!(left.is_empty(), "{left:?}");
}

/// What a kill in the writing of a file leaves, in every place where files are written.
fn leave_half_written(run: &Path) {
    for name in [".partial-metrics.jsonl-1", ".partial-config.toml-1", "samples/.tmpAbCdEf"] {
        let path = run.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "half").unwrap();
    }
    std::fs::create_dir_all(run.join("tensorboard")).unwrap();
    std::fs::write(run.join("tensorboard/.partial-events-1"), "half").unwrap();
}

/// Everything below a folder whose name begins with a dot.
fn hidden(folder: &Path) -> Vec<PathBuf> {
    let paths = names(folder).into_iter().map(|name| folder.join(name));
    paths
        .flat_map(|path| {
            let dotted = path.file_name().unwrap().to_string_lossy().starts_with('.');
            if dotted { vec![path] } else { hidden(&path) }
        })
        .collect()
}

/// Kills the run twice in the middle of writing a checkpoint; how often that succeeded. A kill that
/// comes too late, after the folder has its name, is tried again.
fn kill_while_writing(run: &Path) -> usize {
    let mut halves = 0;
    for _ in 0..12 {
        let before = partials(run);
        kill_when(start(run), || partials(run).iter().any(|name| !before.contains(name)));
        halves += usize::from(!partials(run).is_empty());
        if halves == 2 {
            break;
        }
    }
    halves
}

/// Kills the run three times, each after a part of the time that a whole run takes.
fn kill_at_random(run: &Path, time: Duration) -> Vec<(Duration, bool)> {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let mut random = tweedie_score::stream_rng(u64::from(seed), 0);
    let mut kill = || {
        let delay = time.mul_f64(random.random_range(0.0..0.5));
        let begin = Instant::now();
        (delay, kill_when(start(run), || begin.elapsed() > delay))
    };
    (0..3).map(|_| kill()).collect()
}

/// Every step stands once, with the same loss as in the run that was never interrupted.
fn check_metrics(killed: &Path, whole: &Path) {
    let read = |run: &Path| {
        let lines = read_metrics(&run.join("metrics.jsonl")).unwrap();
        lines.iter().map(|line| (line.step, line.loss, line.held_out_loss)).collect::<Vec<_>>()
    };
    let (lines, expected) = (read(killed), read(whole));
    assert_eq!(lines, expected);
    assert_eq!(lines.len() as u64, STEPS);
}
