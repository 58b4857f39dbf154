//! A trained network out of a run's folder, ready for sampling.

use std::path::Path;

use tch::Device;
use tweedie_checkpoints::StoredCheckpoint;
use tweedie_schedules::{DiscreteTable, Prediction};
use tweedie_unet::{ScoreNetwork, TimeInput, UNet};

use crate::network::{self, ImageForm};
use crate::state::{EMA, Progress, WEIGHTS};
use crate::{RunConfig, RunFolder, TrainError};

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The newest whole one.
    #[default]
    Latest,
    /// The one with the lowest score; the newest where none has a score.
    Best,
    /// That of this step.
    Step(u64),
}

/// The network of a run with the weights of one of its checkpoints.
#[derive(Debug)]
pub struct TrainedModel {
    /// The run's configuration.
    pub config: RunConfig,
    /// Its table of noise levels.
    pub table: DiscreteTable,
    /// Form of its images.
    pub images: ImageForm,
    /// Training steps that the weights have seen.
    pub step: u64,
    /// The network.
    pub unet: UNet,
}

impl TrainedModel {
    /// Loads the averaged weights of a checkpoint.
    ///
    /// # Errors
    /// When `run` is not a run, has no such checkpoint, or it is damaged.
    pub fn load(run: &Path, choice: Choice, device: Device) -> Result<Self, TrainError> {
        Self::load_file(run, choice, device, EMA)
    }

    /// Loads the weights themselves, not averaged.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_raw(run: &Path, choice: Choice, device: Device) -> Result<Self, TrainError> {
        Self::load_file(run, choice, device, WEIGHTS)
    }

    fn load_file(
        run: &Path,
        choice: Choice,
        device: Device,
        file: &str,
    ) -> Result<Self, TrainError> {
        let (folder, config) = RunFolder::open(run)?;
        let checkpoint = choose(&folder, choice)?;
        let images = checkpoint.progress::<Progress>()?.images;
        let unet = network::build(&config, &images, device)?;
        network::read_into(&checkpoint.tensors(file)?, "", unet.parameters().iter())?;
        let table = config.table()?;
        Ok(Self { config, table, images, step: checkpoint.state().step, unet })
    }

    /// What the network predicts.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.config.prediction()
    }

    /// The network as the score function that samplers call.
    #[must_use]
    pub fn score(&self) -> ScoreNetwork<'_> {
        ScoreNetwork {
            unet: &self.unet,
            prediction: self.prediction(),
            time_input: TimeInput::Index { steps: self.table.len() },
            classes: self.images.classes,
        }
    }
}

fn choose(folder: &RunFolder, choice: Choice) -> Result<StoredCheckpoint, TrainError> {
    let store = folder.checkpoints()?;
    let latest = || {
        let missing = "whole checkpoint yet";
        let path = folder.root().to_path_buf();
        store.latest()?.checkpoint.ok_or(TrainError::NotARun { path, missing })
    };
    match choice {
        Choice::Latest => latest(),
        Choice::Best => match store.best()? {
            Some((step, _)) => Ok(store.open(step)?),
            None => latest(),
        },
        Choice::Step(step) => Ok(store.open(step)?),
    }
}
