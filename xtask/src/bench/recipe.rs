//! Runs of the recipes under `configs/`, trained once.

use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Trains `run` by `configs/RECIPE.toml` if it is not finished, and gives its training time in seconds.
pub(super) fn train(tweedie: &Tweedie, recipe: &str, run: &Path, seed: u64) -> Result<f64> {
    train_changed(tweedie, recipe, run, seed, &[])
}

/// The same with values of the recipe changed, each `key=value`.
pub(crate) fn train_changed(
    tweedie: &Tweedie,
    recipe: &str,
    run: &Path,
    seed: u64,
    changes: &[&str],
) -> Result<f64> {
    if let Some(seconds) = training_seconds(run)? {
        eprintln!("{} is finished", workspace::shown(run));
        return Ok(seconds);
    }
    let mut command = tweedie.command();
    command.arg("train");
    if run.exists() {
        command.arg("--resume").arg(run);
    } else {
        let config = workspace::root().join("configs").join(recipe).with_extension("toml");
        command.arg(config).arg("--out").arg(run);
        command.arg("--set").arg(format!("training.seed={seed}"));
        changes.iter().for_each(|change| {
            command.arg("--set").arg(change);
        });
    }
    process::signal_once(&mut command);
    if !process::run(&mut command)?.is_success() {
        bail!(
            "training {recipe} with seed {seed} did not finish; the same command takes it up again"
        );
    }
    training_seconds(run)?.with_context(|| format!("{} has no summary.json", run.display()))
}

/// The training time that a finished run states; nothing when it is not finished.
fn training_seconds(run: &Path) -> Result<Option<f64>> {
    let file = run.join("summary.json");
    if !file.exists() {
        return Ok(None);
    }
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let summary: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let seconds = summary["training_seconds"].as_f64();
    Ok(Some(seconds.with_context(|| format!("no training_seconds in {}", file.display()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_finished_once_it_states_its_training_time() {
        let dir = tempfile::tempdir().expect("a folder");
        assert_eq!(training_seconds(dir.path()).expect("nothing there"), None);
        fs::write(dir.path().join("summary.json"), r#"{"training_seconds": 212.5}"#)
            .expect("writable");
        assert_eq!(training_seconds(dir.path()).expect("readable"), Some(212.5));
        fs::write(dir.path().join("summary.json"), "{}").expect("writable");
        assert!(training_seconds(dir.path()).is_err());
    }
}
