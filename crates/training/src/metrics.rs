//! `metrics.jsonl`: one JSON object a line, each step at most once.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tweedie_checkpoints::write_atomically;

use crate::{Accuracy, TrainError};

/// A line of `metrics.jsonl`. Numbers that are not finite stand as `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Steps done.
    pub step: u64,
    /// Loss of this step.
    pub loss: Option<f64>,
    /// Running mean of the loss.
    pub smoothed_loss: Option<f64>,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Norm of the gradient, before it is cut.
    pub gradient_norm: Option<f64>,
    /// Images a second since the line before.
    pub images_per_s: f64,
    /// Steps skipped so far because a loss or gradient was not finite.
    pub skipped: u64,
    /// How often a classifier was right in this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// Loss on held-out images with the averaged weights, where it was measured at this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_loss: Option<f64>,
    /// How often a classifier was right there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<Accuracy>,
}

/// A measurement on held-out images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HeldOut {
    /// The loss.
    pub(crate) loss: f64,
    /// How often a classifier was right.
    pub(crate) accuracy: Option<Accuracy>,
}

/// Appends lines to `metrics.jsonl`.
#[derive(Debug)]
pub(crate) struct MetricsFile {
    file: File,
    path: PathBuf,
}

impl MetricsFile {
    /// Opens the file for the steps after `step`; lines of later steps, and a torn last line, are
    /// dropped in one step.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self, TrainError> {
        if path.exists() {
            let text = std::fs::read(path).map_err(TrainError::io("read", path))?;
            let kept = lines_until(&text, step);
            if kept != text {
                write_atomically(path, &kept)?;
            }
        }
        Ok(Self { file: for_appending(path)?, path: path.to_path_buf() })
    }

    /// Appends one line, in one write.
    pub(crate) fn append(&mut self, metrics: &Metrics) -> Result<(), TrainError> {
        let line = encoded(metrics, &self.path)?;
        self.file.write_all(&line).map_err(TrainError::io("write", &self.path))
    }

    /// Completes the line of `step`, which is the last, with the loss on held-out images.
    pub(crate) fn add_held_out(&mut self, step: u64, held_out: HeldOut) -> Result<(), TrainError> {
        let text = std::fs::read(&self.path).map_err(TrainError::io("read", &self.path))?;
        let before = lines_until(&text, step - 1);
        let json = |source| TrainError::Json { path: self.path.clone(), source };
        let mut line: Metrics = serde_json::from_slice(&text[before.len()..]).map_err(json)?;
        (line.held_out_loss, line.held_out_accuracy) = (Some(held_out.loss), held_out.accuracy);
        write_atomically(&self.path, &[before, encoded(&line, &self.path)?].concat())?;
        self.file = for_appending(&self.path)?;
        Ok(())
    }

    /// Flushes to the disk, so that a checkpoint never outlives the lines before it.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.file.sync_data().map_err(TrainError::io("flush", &self.path))
    }
}

/// A line for the file at `path`.
fn encoded(metrics: &Metrics, path: &Path) -> Result<Vec<u8>, TrainError> {
    let encode = |source| TrainError::Encode { path: path.to_path_buf(), source };
    let mut line = serde_json::to_vec(metrics).map_err(encode)?;
    line.push(b'\n');
    Ok(line)
}

fn for_appending(path: &Path) -> Result<File, TrainError> {
    let options = OpenOptions::new().create(true).append(true).open(path);
    options.map_err(TrainError::io("open", path))
}

/// The whole lines of steps up to `step`.
fn lines_until(text: &[u8], step: u64) -> Vec<u8> {
    #[derive(Deserialize)]
    struct Line {
        step: u64,
    }
    let kept = |line: &&[u8]| {
        line.ends_with(b"\n")
            && serde_json::from_slice::<Line>(line).is_ok_and(|line| line.step <= step)
    };
    text.split_inclusive(|byte| *byte == b'\n').filter(kept).flatten().copied().collect()
}

/// Reads all lines of a `metrics.jsonl`.
///
/// # Errors
/// When the file cannot be read or a line is not of the right form.
pub fn read_metrics(path: &Path) -> Result<Vec<Metrics>, TrainError> {
    let text = std::fs::read_to_string(path).map_err(TrainError::io("read", path))?;
    let parse = |line: &str| {
        serde_json::from_str(line)
            .map_err(|source| TrainError::Json { path: path.to_path_buf(), source })
    };
    text.lines().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64, loss: f64) -> Metrics {
        Metrics {
            step,
            loss: Some(loss),
            smoothed_loss: Some(loss),
            learning_rate: 1e-3,
            gradient_norm: Some(1.0),
            images_per_s: 10.0,
            skipped: 0,
            accuracy: None,
            held_out_loss: None,
            held_out_accuracy: None,
        }
    }

    #[test]
    fn lines_after_the_checkpoint_and_torn_ones_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, 0).unwrap();
        for step in 1..=5 {
            file.append(&line(step, 1.0)).unwrap();
        }
        file.file.write_all(b"{\"step\":6,\"lo").unwrap();
        drop(file);

        let mut file = MetricsFile::open(&path, 3).unwrap();
        file.append(&line(4, 2.0)).unwrap();
        file.sync().unwrap();
        let read = read_metrics(&path).unwrap();
        assert_eq!(read.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(read[3].loss, Some(2.0));
    }

    #[test]
    fn a_line_can_be_completed_later_and_more_lines_follow() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut file = MetricsFile::open(&path, 0).unwrap();
        for step in 1..=3 {
            file.append(&line(step, 0.1)).unwrap();
        }
        let accuracy = Some(Accuracy { top_1: 0.5, top_5: 1.0 });
        file.add_held_out(3, HeldOut { loss: 0.7, accuracy }).unwrap();
        file.append(&line(4, 0.1)).unwrap();
        let read = read_metrics(&path).unwrap();
        let complete =
            Metrics { held_out_loss: Some(0.7), held_out_accuracy: accuracy, ..line(3, 0.1) };
        assert_eq!(read, [line(1, 0.1), line(2, 0.1), complete, line(4, 0.1)]);
    }

    #[test]
    fn a_loss_that_is_not_a_number_is_still_json() {
        let text = serde_json::to_string(&line(1, f64::NAN)).unwrap();
        let back: Metrics = serde_json::from_str(&text).unwrap();
        assert_eq!(back.loss, None);
    }
}
