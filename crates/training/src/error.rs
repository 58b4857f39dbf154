//! What can go wrong with a configuration or a run.

use std::path::{Path, PathBuf};

use thiserror::Error;
use tweedie_checkpoints::CheckpointError;
use tweedie_datasets::DatasetError;
use tweedie_losses::LossError;
use tweedie_plots::PlotError;
use tweedie_samplers::SampleError;
use tweedie_schedules::ScheduleError;
use tweedie_score::{NoiseError, ScoreError};

use crate::config::Allowed;

/// Why a configuration was refused.
///
/// No message repeats its source: whoever prints an error prints the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Something is wrong in this file.
    #[error("{}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ConfigError>,
    },
    /// The text is not TOML, or not of the right form.
    #[error("the configuration is not valid")]
    Syntax {
        /// Where it went wrong.
        source: toml::de::Error,
    },
    /// The weights to begin with are of a classifier and no classifier is to be trained, or the other way round.
    #[error(
        "it describes {asked}, and the weights to begin with are those of {weights}: neither can begin with the \
         weights of the other"
    )]
    OtherKind {
        /// What the configuration describes.
        asked: &'static str,
        /// What the weights are of.
        weights: &'static str,
    },
    /// The configuration has no TOML form.
    #[error("the configuration cannot be written as TOML")]
    Encode {
        /// What the encoder said.
        source: toml::ser::Error,
    },
    /// There is no such key.
    #[error("unknown key {key} (= {value}); the nearest known one is {nearest}")]
    UnknownKey {
        /// The key, with its table.
        key: String,
        /// The value given for it.
        value: String,
        /// The known key most like it.
        nearest: &'static str,
    },
    /// A key that would clip the estimate of the data.
    #[error(
        "there is no key {key} (= {value}): nothing clips the estimate of the data in training, since its \
         flow would have corners and no exact likelihood; leave it out, and clip while sampling (--clip)"
    )]
    ClippedEstimate {
        /// The key, with its table.
        key: String,
        /// The value given for it.
        value: String,
    },
    /// The configuration of a run lacks a key.
    #[error("there is no {key}; the configuration of a run has every key, so a part of it is lost")]
    MissingKey {
        /// The key, with its table.
        key: String,
    },
    /// The value is not one that the key accepts.
    #[error("{key} is {value}, expected {allowed}")]
    OutOfRange {
        /// The key, with its table.
        key: String,
        /// The value given for it.
        value: String,
        /// What the key accepts.
        allowed: Allowed,
    },
    /// The value is one that the key accepts, but does not go with the others or with the data.
    #[error("{key} is {value}, expected {allowed}")]
    Unfit {
        /// The key, with its table.
        key: &'static str,
        /// The value.
        value: String,
        /// What would go with the others.
        allowed: String,
    },
    /// An override is not of the form `key=value`.
    #[error("the override `{text}` is not of the form key=value, such as training.batch_size=64")]
    MalformedOverride {
        /// What was given.
        text: String,
    },
    /// A batch cannot be computed in equal parts.
    #[error(
        "training.batch_size is {batch_size}, expected a multiple of training.accumulation, which is {accumulation}"
    )]
    UnevenAccumulation {
        /// Images a step.
        batch_size: usize,
        /// Parts.
        accumulation: usize,
    },
    /// A configuration that is to say the noise of a network does not.
    #[error("{} has no [schedule], and the checkpoint does not say its noise either", path.display())]
    NoSchedule {
        /// The configuration.
        path: PathBuf,
    },
    /// The values of the schedule make none.
    #[error("[schedule] makes no schedule of noise levels")]
    Schedule {
        /// What is wrong with them.
        source: ScheduleError,
    },
    /// The schedule has no such steps for the pictures.
    #[error("samples.steps is {steps}, expected steps that [schedule] allows")]
    Picture {
        /// Steps asked for.
        steps: usize,
        /// Why it has none.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The loss, or the law of its times, is not defined.
    #[error("[objective] and training.time_sampling define no loss")]
    Loss {
        /// What is wrong with it.
        source: LossError,
    },
}

/// Why a run could not start, go on or finish.
///
/// No message repeats its source: whoever prints an error prints the whole chain.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data could not be used.
    #[error(transparent)]
    Data(#[from] DatasetError),
    /// A checkpoint could not be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The network could not be built or refused its input.
    #[error(transparent)]
    Network(#[from] tweedie_unet::UNetError),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tweedie_torch_ext::Error),
    /// libtorch refused an operation.
    #[error(transparent)]
    Tch(#[from] tch::TchError),
    /// Samples could not be drawn.
    #[error("samples could not be drawn")]
    Sample(#[from] SampleError),
    /// Noise could not be drawn.
    #[error(transparent)]
    Noise(#[from] NoiseError),
    /// The loss has no value.
    #[error(transparent)]
    Loss(#[from] LossError),
    /// The network could not be asked.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// A chart could not be drawn.
    #[error("the picture of the loss by noise level could not be drawn")]
    Chart(#[from] PlotError),
    /// The operating system refused an operation on a file or folder.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A value could not be turned into JSON.
    #[error("cannot write {} as JSON", path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// A JSON file of a run could not be understood.
    #[error("{} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// A new run was asked for where one is already.
    #[error(
        "{} already holds a run: choose another folder, or continue it with `tweedie train --resume {}`",
        path.display(), path.display()
    )]
    RunExists {
        /// The run's folder.
        path: PathBuf,
    },
    /// A new run was asked for where parts of another lie.
    #[error(
        "{} has no config.toml, but {found} of a run: choose another folder, or put its config.toml back to continue it",
        path.display()
    )]
    PartsOfARun {
        /// The folder.
        path: PathBuf,
        /// What lies there.
        found: &'static str,
    },
    /// Another process trains in this run.
    #[error("another process is training in {}", path.display())]
    InUse {
        /// The run's folder.
        path: PathBuf,
    },
    /// The folder is not one that training made.
    #[error("{} is not a run: it has no {missing}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is not there.
        missing: &'static str,
    },
    /// A run has no checkpoint, or not the one asked for.
    #[error("{} has no checkpoint{}", run.display(), of_step(*step))]
    NoCheckpoint {
        /// The run's folder.
        run: PathBuf,
        /// The step asked for, if one was.
        step: Option<u64>,
    },
    /// A checkpoint of another program cannot be used.
    #[error("cannot use {}", path.display())]
    InModel {
        /// The checkpoint.
        path: PathBuf,
        /// Why not.
        source: Box<TrainError>,
    },
    /// The weights do not fit what is published about a file of this name, and nothing else says how their network
    /// is built.
    #[error(
        "{known}, since the file is called so; another network's is said by --flags or --config"
    )]
    KnownByName {
        /// What was taken.
        known: String,
        /// What does not fit.
        source: Box<tweedie_unet::UNetError>,
    },
    /// What a run says itself was given.
    #[error("--{what} is for checkpoints of other programs; a run says it itself")]
    RunSaysIt {
        /// What was given.
        what: &'static str,
    },
    /// A checkpoint of a run was chosen where there is only one.
    #[error("--checkpoint is for runs; a checkpoint of another program holds one set of weights")]
    OneSetOfWeights,
    /// The model has something that diffusers has not.
    #[error("diffusers has no counterpart of {what}")]
    NotInDiffusers {
        /// What it lacks.
        what: String,
    },
    /// Something lies where a new folder is to be made.
    #[error("{} exists already; choose another place", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// Nothing says how many levels the data has.
    #[error("nothing says how many values a pixel can take in the data; --levels does")]
    NoLevels,
    /// A checkpoint does not say under which noise its network was trained.
    #[error(
        "nothing says the noise of the network; --noise does, a file with [schedule] and [objective] of a run's configuration"
    )]
    NoNoise {
        /// What the checkpoint lacks.
        source: CheckpointError,
    },
    /// A checkpoint does not say how large its images are.
    #[error("the checkpoint does not say how large its images are; --size HEIGHTxWIDTH does")]
    NoSize,
    /// A network that does not return images.
    #[error(
        "the network takes {taken} channels and returns {returned}, expected {}{}",
        if *learned { "" } else { "as many, or " },
        "twice as many, for a learned variance"
    )]
    Channels {
        /// Channels of the input.
        taken: i64,
        /// Channels of the output.
        returned: i64,
        /// Whether it learned a variance.
        learned: bool,
    },
    /// A network that cannot be built here.
    #[error("the checkpoint holds a network {family}, of which there is none here")]
    NoNetwork {
        /// What the network is.
        family: String,
    },
    /// A network that takes its time in a way that is not known here.
    #[error("the network takes its time as {time}, which no run's does")]
    NoTimeInput {
        /// What it takes.
        time: String,
    },
    /// One checkpoint was given, and another asked for.
    #[error(
        "{} is the checkpoint of step {step}; to choose among checkpoints give the run's folder",
        path.display()
    )]
    OneCheckpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Its step.
        step: u64,
    },
    /// A class-conditional network was asked for on data without labels.
    #[error(
        "network.class_conditional is true, but the data set {source_name} has no labels; expected false, or a set with labels"
    )]
    NoLabels {
        /// The data set.
        source_name: String,
    },
    /// A classifier was to be trained on data without labels.
    #[error(
        "objective.kind is \"classifier\", but the data has no labels; expected a set with labels"
    )]
    NoClasses,
    /// A classifier stands where a model of images was asked for.
    #[error(
        "{} is a classifier of noisy images, which draws and scores none: it steers another model, as \
         `tweedie sample MODEL --class 0 --classifier {}`", path.display(), path.display()
    )]
    IsClassifier {
        /// Its folder or file.
        path: PathBuf,
    },
    /// A model of images stands where a classifier was asked for.
    #[error(
        "{} is no classifier of noisy images but a model of them; one is trained with \
         objective.kind = \"classifier\"", path.display()
    )]
    NoClassifier {
        /// Its folder or file.
        path: PathBuf,
    },
    /// A classifier that was not trained on what the model was.
    #[error("the classifier does not go with the model: its {what} is {got}, expected {expected}")]
    ClassifierUnfit {
        /// What differs.
        what: &'static str,
        /// What the classifier was trained on.
        got: String,
        /// What the model was trained on.
        expected: String,
    },
    /// A GPU was asked for, and there is none to use.
    #[error("training.device is \"cuda\", but {reason}")]
    NoCuda {
        /// What became of looking for one.
        reason: String,
    },
    /// Too many steps in a row had a loss or gradient that is not finite.
    #[error(
        "stopped at step {step}: {in_a_row} steps in a row had a loss or gradient that is not finite \
         (training.max_bad_steps is {allowed}); {}; a lower training.learning_rate usually helps",
        last_checkpoint(*kept)
    )]
    TooManyBadSteps {
        /// The step at which the run stopped.
        step: u64,
        /// Bad steps in a row.
        in_a_row: u64,
        /// The limit.
        allowed: u64,
        /// Step of the last good checkpoint, which is kept.
        kept: Option<u64>,
    },
    /// The weights themselves are no longer finite, so that there is nothing worth saving.
    #[error("the weights are not finite at step {step}; {}", last_checkpoint(*kept))]
    WeightsNotFinite {
        /// The step.
        step: u64,
        /// Step of the last good checkpoint, which is kept.
        kept: Option<u64>,
    },
}

fn of_step(step: Option<u64>) -> String {
    step.map_or_else(String::new, |step| format!(" of step {step}"))
}

fn last_checkpoint(kept: Option<u64>) -> String {
    kept.map_or_else(
        || "no checkpoint had been saved yet".to_owned(),
        |step| format!("the checkpoint of step {step} is kept"),
    )
}

impl TrainError {
    /// For `map_err` on an operation of the file system.
    pub(crate) fn io<'a>(
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(std::io::Error) -> Self + use<'a> {
        move |source| Self::Io { action, path: path.to_path_buf(), source }
    }
}

/// An error's message and those of its sources, as they are printed.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let rest = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{rest}")
}
