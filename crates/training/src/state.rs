//! The whole state of a run between two steps, and its way to the disk and back.

use serde::{Deserialize, Serialize};
use tch::Device;
use tweedie_checkpoints::{CheckpointError, CheckpointStore, StoredCheckpoint};
use tweedie_losses::{SamplerState, TimeSampler};
use tweedie_torch_ext::lerp_;
use tweedie_unet::UNet;

use crate::network::{self, ImageForm, Stored};
use crate::optimizer::Optimizer;
use crate::{Accuracy, RunConfig, RunSchedule, TrainError, times};

/// File names of a checkpoint.
pub(crate) const WEIGHTS: &str = "weights.safetensors";
pub(crate) const EMA: &str = "ema.safetensors";
pub(crate) const OPTIMIZER: &str = "optimizer.safetensors";

/// Share of the last loss in the running mean.
const SMOOTHING: f64 = 0.02;

/// What a run keeps beside its tensors, in a checkpoint's `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Form of the images that the network was built for.
    pub images: ImageForm,
    /// Steps that changed nothing because a loss or gradient was not finite.
    pub skipped: u64,
    /// Such steps in a row up to now.
    pub bad_in_a_row: u64,
    /// Loss of the last good step.
    pub loss: Option<f64>,
    /// Running mean of the loss of the good steps.
    pub smoothed_loss: Option<f64>,
    /// The latest loss on held-out images.
    pub held_out_loss: Option<f64>,
    /// The step at which it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_step: Option<u64>,
    /// How often a classifier was right there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_accuracy: Option<Accuracy>,
    /// Seconds of training, over all resumptions.
    pub training_seconds: f64,
    /// What the law of times has learnt, where it learns.
    #[serde(default, skip_serializing_if = "learnt_nothing")]
    pub time_sampler: SamplerState,
}

fn learnt_nothing(state: &SamplerState) -> bool {
    state.rows.is_empty()
}

impl Progress {
    pub(crate) fn new(images: ImageForm) -> Self {
        Self {
            images,
            skipped: 0,
            bad_in_a_row: 0,
            loss: None,
            smoothed_loss: None,
            held_out_loss: None,
            held_out_step: None,
            held_out_accuracy: None,
            training_seconds: 0.0,
            time_sampler: SamplerState::default(),
        }
    }

    /// What a checkpoint says, with values that can be.
    pub(crate) fn of(checkpoint: &StoredCheckpoint) -> Result<Self, CheckpointError> {
        let progress: Self = checkpoint.progress()?;
        let refuse = |key, value, allowed: &str| {
            let (path, allowed) = (checkpoint.path().join("state.json"), allowed.to_owned());
            Err(CheckpointError::Value { path, key, value, allowed })
        };
        let Self { images: ImageForm { shape, unpadded, levels, .. }, training_seconds, .. } =
            progress;
        let inside = unpadded.iter().zip(&shape).all(|(inner, outer)| (1..=*outer).contains(inner));
        if !inside || unpadded[0] != shape[0] {
            let allowed = format!("the sides of images that fit into {shape:?}");
            return refuse("progress.images.unpadded", format!("{unpadded:?}"), &allowed);
        }
        if levels < 2 {
            return refuse("progress.images.levels", levels.to_string(), "at least 2");
        }
        if !(training_seconds.is_finite() && training_seconds >= 0.0) {
            let value = training_seconds.to_string();
            return refuse("progress.training_seconds", value, "at least 0");
        }
        Ok(progress)
    }

    /// Takes in the loss of a good step.
    pub(crate) fn good(&mut self, loss: f64) {
        self.bad_in_a_row = 0;
        self.loss = Some(loss);
        self.smoothed_loss =
            Some(self.smoothed_loss.map_or(loss, |mean| mean + SMOOTHING * (loss - mean)));
    }

    /// Counts a step that changed nothing.
    pub(crate) fn bad(&mut self) {
        self.bad_in_a_row += 1;
        self.skipped += 1;
    }
}

/// Whether a checkpoint holds all that a model is made of.
pub(crate) fn check_model(checkpoint: &StoredCheckpoint) -> Result<(), CheckpointError> {
    Progress::of(checkpoint)?;
    [WEIGHTS, EMA].into_iter().try_for_each(|name| checkpoint.tensors(name).map(drop))
}

/// Whether a checkpoint holds all that a run is resumed from.
pub(crate) fn check(checkpoint: &StoredCheckpoint) -> Result<(), CheckpointError> {
    check_model(checkpoint)?;
    checkpoint.tensors(OPTIMIZER).map(drop)
}

/// The state of a run between two steps.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) step: u64,
    pub(crate) unet: UNet,
    /// The network with averaged weights.
    pub(crate) ema: UNet,
    pub(crate) optimizer: Optimizer,
    /// The law of the times, which may learn from the losses.
    pub(crate) times: Box<dyn TimeSampler>,
    pub(crate) progress: Progress,
}

impl State {
    /// The state before the first step.
    pub(crate) fn initial(
        config: &RunConfig,
        schedule: &RunSchedule,
        images: ImageForm,
        device: Device,
    ) -> Result<Self, TrainError> {
        let unet = network::build(config, &images, device)?;
        let ema = unet.to_device(device)?;
        unet.set_trainable(true);
        let optimizer = Optimizer::new(unet.parameters());
        let (times, progress) = (times::of_training(config, schedule)?, Progress::new(images));
        Ok(Self { step: 0, unet, ema, optimizer, times, progress })
    }

    /// Begins with the weights of another network, and with their average.
    pub(crate) fn start_from(&mut self, other: &UNet) -> Result<(), TrainError> {
        let weights =
            || other.weights().into_iter().map(|(name, t)| (name.to_owned(), t.shallow_clone()));
        self.unet.load(weights())?;
        self.ema.load(weights())?;
        Ok(())
    }

    /// Replaces everything by what a checkpoint holds.
    pub(crate) fn load(&mut self, checkpoint: &StoredCheckpoint) -> Result<(), TrainError> {
        network::read_into(&checkpoint.tensors(WEIGHTS)?, "", self.unet.weights())?;
        network::read_into(&checkpoint.tensors(EMA)?, "", self.ema.weights())?;
        self.optimizer.load(self.unet.parameters(), &checkpoint.tensors(OPTIMIZER)?)?;
        self.progress = Progress::of(checkpoint)?;
        self.times.resume(&self.progress.time_sampler)?;
        self.step = checkpoint.state().step;
        Ok(())
    }

    /// Writes a checkpoint of this step.
    pub(crate) fn save(
        &self,
        store: &CheckpointStore,
        score: Option<f64>,
    ) -> Result<StoredCheckpoint, TrainError> {
        let named = |unet: &UNet| -> Vec<(String, Stored)> {
            unet.weights().into_iter().map(|(n, t)| (n.to_owned(), Stored::new(t))).collect()
        };
        let mut staged = store.stage(self.step)?;
        staged.write(WEIGHTS, named(&self.unet))?;
        staged.write(EMA, named(&self.ema))?;
        staged.write(OPTIMIZER, self.optimizer.stored(self.unet.parameters()))?;
        let progress = Progress { time_sampler: self.times.state(), ..self.progress.clone() };
        Ok(staged.commit(score, &progress)?)
    }

    /// Moves the averaged weights towards the weights, after update number `updates` from 1.
    ///
    /// The decay rises as min(d, (1 + n)/(10 + n)), so that the start is forgotten quickly.
    pub(crate) fn average(&self, highest_decay: f64) -> Result<(), TrainError> {
        let n = self.optimizer.updates() as f64;
        let decay = highest_decay.min((1.0 + n) / (10.0 + n));
        let (targets, ends) = (self.ema.parameters().tensors(), self.unet.parameters().tensors());
        Ok(lerp_(&targets, &ends, 1.0 - decay)?)
    }

    /// Whether all weights are finite.
    pub(crate) fn is_finite(&self) -> Result<bool, TrainError> {
        network::all_finite(&self.unet.parameters().tensors())
    }
}
