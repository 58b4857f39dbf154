//! A trained network out of a run's folder, ready for sampling.

use std::path::{Path, PathBuf};

use tch::Device;
use tweedie_checkpoints::{CheckpointError, StoredCheckpoint};
use tweedie_schedules::Prediction;
use tweedie_unet::{Precision, ScoreNetwork, UNet};

use crate::conventions::Conventions;
use crate::network::{self, ImageForm};
use crate::state::{self, EMA, Progress, WEIGHTS};
use crate::{RunConfig, RunFolder, RunSchedule, TrainError, architecture};

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
    /// Its noise levels: a table, or an SDE in continuous time.
    pub schedule: RunSchedule,
    /// Form of its images.
    pub images: ImageForm,
    /// Training steps that the weights have seen.
    pub step: u64,
    /// The sha256 of the file of weights, 64 lower-case hexadecimal digits.
    pub weights_sha256: String,
    /// The network.
    pub unet: UNet,
    /// Newer checkpoints that were passed over because they are damaged, newest first.
    pub passed_over: Vec<(PathBuf, CheckpointError)>,
}

/// A checkpoint and the run it belongs to.
struct Chosen {
    config: RunConfig,
    checkpoint: StoredCheckpoint,
    passed_over: Vec<(PathBuf, CheckpointError)>,
}

impl TrainedModel {
    /// Loads the averaged weights of a checkpoint. `run` is the folder of a run, or that of one of
    /// its checkpoints, which is then the one loaded.
    ///
    /// # Errors
    /// When `run` is neither, has no such checkpoint, or it is damaged; and when it is one
    /// checkpoint while `choice` is another.
    pub fn load(run: &Path, choice: Choice, device: Device) -> Result<Self, TrainError> {
        Self::as_trained(run, choice, device, EMA)
    }

    /// Loads the weights themselves, not averaged.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_raw(run: &Path, choice: Choice, device: Device) -> Result<Self, TrainError> {
        Self::as_trained(run, choice, device, WEIGHTS)
    }

    /// With weights in f32, computing in what the run was trained in.
    fn as_trained(
        run: &Path,
        choice: Choice,
        device: Device,
        file: &str,
    ) -> Result<Self, TrainError> {
        let mut trained = Self::load_file(run, choice, (Precision::F32, device), file)?;
        trained.unet.set_precision(network::precision(trained.config.training.precision));
        Ok(trained)
    }

    /// With the weights of a file of the checkpoint, in what the network computes in.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub(crate) fn load_file(
        run: &Path,
        choice: Choice,
        (precision, device): (Precision, Device),
        file: &str,
    ) -> Result<Self, TrainError> {
        let Chosen { config, checkpoint, passed_over } =
            if is_checkpoint(run) { one(run, choice)? } else { choose(run, choice)? };
        let images = Progress::of(&checkpoint)?.images;
        let architecture = architecture::of_run(&config, &images)?;
        let weights = checkpoint.tensors(file)?;
        let unet = UNet::from_file(&architecture, &weights, precision, device)?;
        let schedule = config.noise_schedule()?;
        let state = checkpoint.state();
        let weights_sha256 = state.files.get(file).map_or_else(String::new, |of| of.sha256.clone());
        Ok(Self { config, schedule, images, step: state.step, weights_sha256, unet, passed_over })
    }

    /// What the network predicts.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.config.prediction()
    }

    /// The network as the score function that samplers call.
    #[must_use]
    pub fn score(&self) -> ScoreNetwork<'_> {
        Conventions::new(&self.config, &self.schedule, self.images.classes).network(&self.unet)
    }
}

/// Whether a folder is that of a checkpoint.
fn is_checkpoint(folder: &Path) -> bool {
    folder.join("state.json").is_file()
}

/// The checkpoint whose folder is given. It lies in the folder `checkpoints` of its run.
fn one(folder: &Path, choice: Choice) -> Result<Chosen, TrainError> {
    // In full, so that a path such as `.` has parents.
    let path = folder.canonicalize().map_err(TrainError::io("find", folder))?;
    let run = path.parent().and_then(Path::parent).unwrap_or(&path);
    let (_, config) = RunFolder::open(run)?;
    let checkpoint = StoredCheckpoint::open(&path)?;
    let step = checkpoint.state().step;
    if choice == Choice::Latest || choice == Choice::Step(step) {
        return Ok(Chosen { config, checkpoint, passed_over: Vec::new() });
    }
    Err(TrainError::OneCheckpoint { path, step })
}

/// The chosen one of a run's checkpoints.
fn choose(run: &Path, choice: Choice) -> Result<Chosen, TrainError> {
    let (folder, config) = RunFolder::open(run)?;
    let store = folder.checkpoints();
    let none = |step| TrainError::NoCheckpoint { run: run.to_path_buf(), step };
    let step = match choice {
        Choice::Latest => None,
        Choice::Best => store.best()?.map(|(step, _)| step),
        Choice::Step(step) => Some(step),
    };
    let Some(step) = step else {
        let found = store.latest_with(state::check_model)?;
        let checkpoint = found.checkpoint.ok_or_else(|| none(None))?;
        return Ok(Chosen { config, checkpoint, passed_over: found.damaged });
    };
    let path = store.list()?.into_iter().find(|(found, _)| *found == step);
    let (_, path) = path.ok_or_else(|| none(Some(step)))?;
    Ok(Chosen { config, checkpoint: StoredCheckpoint::open(&path)?, passed_over: Vec::new() })
}
