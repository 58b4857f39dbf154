//! `summary.json`: what a finished run amounts to.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tweedie_checkpoints::write_atomically;

use crate::config::Precision;
use crate::{Accuracy, TrainError};

/// The content of `summary.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Steps of the run.
    pub steps: u64,
    /// Steps that changed nothing because a loss or gradient was not finite.
    pub skipped: u64,
    /// Loss of the last good step.
    pub final_loss: Option<f64>,
    /// Running mean of the loss at the end.
    pub smoothed_loss: Option<f64>,
    /// The last loss on held-out images, with the averaged weights.
    pub held_out_loss: Option<f64>,
    /// How often a classifier was right there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<Accuracy>,
    /// Step of the best checkpoint.
    pub best_step: Option<u64>,
    /// Seconds of training, over all resumptions.
    pub training_seconds: f64,
    /// Trainable parameters of the network.
    pub parameters: u64,
    /// Type the network computed in.
    pub precision: Precision,
    /// Threads of the CPU.
    pub threads: usize,
    /// Where it computed.
    pub device: String,
    /// Version of libtorch.
    pub libtorch: String,
}

impl Summary {
    /// Writes the file, whole or not at all.
    pub(crate) fn write(&self, path: &Path) -> Result<(), TrainError> {
        let encode = |source| TrainError::Encode { path: path.to_path_buf(), source };
        let mut text = serde_json::to_vec_pretty(self).map_err(encode)?;
        text.push(b'\n');
        Ok(write_atomically(path, &text)?)
    }

    /// Reads the summary of a finished run.
    ///
    /// # Errors
    /// When the file is missing or not of the right form.
    pub fn read(path: &Path) -> Result<Self, TrainError> {
        let text = std::fs::read(path).map_err(TrainError::io("read", path))?;
        serde_json::from_slice(&text)
            .map_err(|source| TrainError::Json { path: path.to_path_buf(), source })
    }
}
