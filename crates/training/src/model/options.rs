//! How a model is opened beyond its path.

use std::path::PathBuf;

use tch::Device;
use tweedie_checkpoints::WeightChoice;
use tweedie_unet::Precision;

use crate::{Choice, TrainError};

/// How a model is opened: which of its weights, where, and what its checkpoint does not say.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Which checkpoint of a run.
    pub choice: Choice,
    /// The averaged weights, or those the optimizer left.
    pub weights: WeightChoice,
    /// Where the network computes.
    pub device: Device,
    /// What it computes in.
    pub precision: Precision,
    /// The file that says how the network of a `.pt`, `.pth` or bare file of weights is built.
    pub config: Option<PathBuf>,
    /// The flags of guided- or improved-diffusion, as on a command line.
    pub flags: Option<String>,
    /// The configuration of a run whose `[schedule]`, `[objective]` and `data.centered` hold for a
    /// checkpoint that does not say under which noise it was trained.
    pub noise: Option<PathBuf>,
    /// The same where `noise` names none; a run, and a checkpoint that says its noise, pass over it in silence.
    pub noise_if_unsaid: Option<PathBuf>,
    /// Height and width of the images.
    pub size: Option<[usize; 2]>,
    /// Number of values that a pixel can take in the data.
    pub levels: Option<u32>,
    /// Number of classes, where one row of the table of classes stands for none of them.
    pub classes: Option<usize>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            choice: Choice::Latest,
            weights: WeightChoice::Averaged,
            device: Device::Cpu,
            precision: Precision::F32,
            config: None,
            flags: None,
            noise: None,
            noise_if_unsaid: None,
            size: None,
            levels: None,
            classes: None,
        }
    }
}

impl ModelOptions {
    /// Refuses what a run says itself.
    pub(super) fn refuse_what_a_run_says(&self) -> Result<(), TrainError> {
        let given = [
            ("config", self.config.is_some()),
            ("flags", self.flags.is_some()),
            ("noise", self.noise.is_some()),
            ("size", self.size.is_some()),
            ("levels", self.levels.is_some()),
            ("classes", self.classes.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(TrainError::RunSaysIt { what }),
            None => Ok(()),
        }
    }

    /// Refuses what only a run has.
    pub(super) fn refuse_what_runs_have(&self) -> Result<(), TrainError> {
        match self.choice {
            Choice::Latest => Ok(()),
            _ => Err(TrainError::OneSetOfWeights),
        }
    }
}
