//! A model out of a checkpoint of another program.

use std::path::Path;

use tweedie_checkpoints::{
    CheckpointError, DiffusersSampling, NetworkConventions, PublishedCheckpoint, PublishedOptions,
    sha256,
};
use tweedie_unet::{ArchitectureConfig, UNet, UNetError};

use super::{Model, ModelImages, ModelOptions, Origin, has_row_for_no_class};
use crate::network::bytes_of;
use crate::published::{architecture, described};
use crate::{ConfigError, DataRange, Habits, RunConfig, RunSchedule, TrainError};

impl Model {
    /// # Errors
    /// When it cannot be read, or says too little.
    pub(super) fn of_published(path: &Path, options: &ModelOptions) -> Result<Self, TrainError> {
        options.refuse_what_runs_have()?;
        let in_model = |source: TrainError| TrainError::InModel {
            path: path.to_path_buf(),
            source: source.into(),
        };
        let checkpoint = open_published(path, options)?;
        Self::of_checkpoint(path, &checkpoint, options).map_err(in_model)
    }

    fn of_checkpoint(
        path: &Path,
        checkpoint: &PublishedCheckpoint,
        options: &ModelOptions,
    ) -> Result<Self, TrainError> {
        let architecture = architecture(checkpoint)?;
        if matches!(architecture, ArchitectureConfig::AdmEncoder(_)) {
            return Err(TrainError::IsClassifier { path: path.to_path_buf() });
        }
        let (conventions, config) = known(checkpoint, &architecture, options)?;
        check_channels(&architecture, config.learned_variance().is_some())?;
        check_labels(checkpoint, &architecture)?;
        let shape = image_shape(checkpoint, &architecture, options.size)?;
        let classes = classes(checkpoint, &architecture, options.classes)?;
        let unet = read_network(&architecture, checkpoint, options)?;
        let untrained = checkpoint.config().get(NULL_CLASS) == Some(&false.into());
        let null_class = has_row_for_no_class(&unet, classes) && !untrained;
        let levels = options.levels;
        Ok(Self {
            images: ModelImages { shape, unpadded: shape, levels, classes, null_class },
            origin: Origin::Published {
                source: checkpoint.source().name(),
                weights: checkpoint.weight_kind(),
                notes: notes(checkpoint, conventions.as_ref(), options),
            },
            habits: conventions
                .as_ref()
                .map_or_else(|| Habits::of_runs(config.data_range()), Habits::of_published),
            habits_are_told: conventions.is_some(),
            conventions,
            schedule: config.noise_schedule()?,
            unet,
            config,
        })
    }
}

/// Opens the checkpoint of another program.
///
/// # Errors
/// When the path is no checkpoint known here.
pub(crate) fn open_published(
    path: &Path,
    options: &ModelOptions,
) -> Result<PublishedCheckpoint, TrainError> {
    let ModelOptions { config, flags, weights, .. } = options.clone();
    let options = PublishedOptions { config, flags, weights, ..PublishedOptions::default() };
    Ok(PublishedCheckpoint::open_with(path, &options)?)
}

/// What the checkpoint says of its network, and that as the configuration of a run: of the run that is
/// named for it, where the checkpoint does not say its noise.
fn known(
    checkpoint: &PublishedCheckpoint,
    architecture: &ArchitectureConfig,
    options: &ModelOptions,
) -> Result<(Option<NetworkConventions>, RunConfig), TrainError> {
    let noise = options.noise.as_ref().or(options.noise_if_unsaid.as_ref());
    match (checkpoint.conventions(), noise) {
        (Ok(conventions), _) => {
            let config = described(checkpoint, &conventions)?;
            Ok((Some(conventions), config))
        }
        (Err(CheckpointError::NeedsNoise { .. }), Some(path)) => {
            Ok((None, RunConfig::load_noise(path, architecture)?))
        }
        (Err(source @ CheckpointError::NeedsNoise { .. }), None) => {
            Err(TrainError::NoNoise { source })
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// What a user should know of how the checkpoint was read.
fn notes(
    checkpoint: &PublishedCheckpoint,
    conventions: Option<&NetworkConventions>,
    options: &ModelOptions,
) -> Vec<String> {
    let unread = options
        .noise
        .as_ref()
        .filter(|_| conventions.is_some())
        .map(|path| format!("the checkpoint says its noise: {} is not read", path.display()));
    let sampling = conventions.and_then(|conventions| conventions.sampling.as_ref());
    let of_sampling = sampling.into_iter().flat_map(DiffusersSampling::notes);
    checkpoint.notes().iter().cloned().chain(of_sampling).chain(unread).collect()
}

/// A network of images returns as many channels as it takes, and as many again for a learned variance.
fn check_channels(architecture: &ArchitectureConfig, learned: bool) -> Result<(), TrainError> {
    let (taken, returned) = (architecture.in_channels(), architecture.out_channels());
    let fits = returned == 2 * taken || (!learned && returned == taken);
    if fits {
        return Ok(());
    }
    Err(TrainError::Channels { taken, returned, learned })
}

/// What a network is told of an image is the number of its class, or nothing.
fn check_labels(
    checkpoint: &PublishedCheckpoint,
    architecture: &ArchitectureConfig,
) -> Result<(), TrainError> {
    if !architecture.takes_other_labels() {
        return Ok(());
    }
    Err(ConfigError::Unfit {
        key: "class_embed_type",
        value: checkpoint.config().get("class_embed_type").unwrap_or_default().to_string(),
        allowed: "none, with a table of classes (num_class_embeds) or without".to_owned(),
    }
    .into())
}

/// Most pixels that a side of an image may have.
const MOST_SIDE: usize = 16384;

/// Channels, height and width of the images.
pub(crate) fn image_shape(
    checkpoint: &PublishedCheckpoint,
    architecture: &ArchitectureConfig,
    size: Option<[usize; 2]>,
) -> Result<[usize; 3], TrainError> {
    let known = checkpoint.image_shape().map(|[_, height, width]| [height, width]);
    let [height, width] = size.or(known).ok_or(TrainError::NoSize)?;
    if height.max(width) > MOST_SIDE {
        return Err(ConfigError::Unfit {
            key: "--size, or the size that the checkpoint says,",
            value: format!("{height}x{width}"),
            allowed: format!("at most {MOST_SIDE} a side"),
        }
        .into());
    }
    let divisor = architecture.size_divisor();
    let fits = |side: usize| side > 0 && side.is_multiple_of(divisor as usize);
    if !fits(height) || !fits(width) {
        let (height, width) = (height as i64, width as i64);
        return Err(UNetError::InputSize { height, width, divisor }.into());
    }
    Ok([architecture.in_channels() as usize, height, width])
}

/// What a folder that was written here says where the last row of the table of classes is for no class: whether a
/// training step ever went through that row. Names with a line in front are passed over by diffusers.
pub(crate) const NULL_CLASS: &str = "_null_class";

/// The number of classes: that of the rows of their table, or what is said, with one row for no class.
fn classes(
    checkpoint: &PublishedCheckpoint,
    architecture: &ArchitectureConfig,
    said: Option<usize>,
) -> Result<Option<usize>, TrainError> {
    let rows = architecture.classes().map(|rows| rows as usize);
    match (rows, said) {
        (Some(rows), None)
            if rows > 1
                && checkpoint.config().get(NULL_CLASS).is_some_and(|said| said.is_boolean()) =>
        {
            Ok(Some(rows - 1))
        }
        (rows, None) => Ok(rows),
        (Some(rows), Some(said)) if said == rows || said + 1 == rows => Ok(Some(said)),
        (rows, Some(said)) => Err(ConfigError::Unfit {
            key: "--classes",
            value: said.to_string(),
            allowed: match rows {
                Some(rows) => format!("{rows}, or {} where the last stands for no class", rows - 1),
                None => "nothing: this network knows no classes".to_owned(),
            },
        }
        .into()),
    }
}

/// The network alone.
///
/// # Errors
/// When the path is no checkpoint known here, or its weights do not fit.
pub(super) fn network(path: &Path, options: &ModelOptions) -> Result<UNet, TrainError> {
    let checkpoint = open_published(path, options)?;
    read_network(&architecture(&checkpoint)?, &checkpoint, options)
}

/// The network of a checkpoint, in the precision and on the device of the options.
///
/// # Errors
/// When its weights cannot be read, or do not fit; all that do not are listed.
pub(crate) fn read_network(
    architecture: &ArchitectureConfig,
    checkpoint: &PublishedCheckpoint,
    options: &ModelOptions,
) -> Result<UNet, TrainError> {
    let read =
        UNet::from_file(architecture, checkpoint.weights(), options.precision, options.device);
    read.map_err(|source| match (checkpoint.known_by_name(), &source) {
        (Some(known), UNetError::Weights(_)) => {
            TrainError::KnownByName { known: known.to_owned(), source: source.into() }
        }
        _ => source.into(),
    })
}

/// The noise levels that a checkpoint says.
///
/// # Errors
/// When the path is no checkpoint known here, or it does not say.
pub(super) fn schedule_of(path: &Path) -> Result<RunSchedule, TrainError> {
    let checkpoint = open_published(path, &ModelOptions::default())?;
    let config = described(&checkpoint, &checkpoint.conventions()?)?;
    Ok(config.noise_schedule()?)
}

/// How the program of a checkpoint samples from it, and the range of its data.
///
/// # Errors
/// When the path is no checkpoint known here, or it does not say.
pub(super) fn habits_of(path: &Path) -> Result<(Habits, DataRange), TrainError> {
    let conventions = open_published(path, &ModelOptions::default())?.conventions()?;
    Ok((Habits::of_published(&conventions), conventions.data_range.into()))
}

/// The sha256 of the names, and of the values, of all weights.
pub(super) fn sha256_of(unet: &UNet) -> Result<String, TrainError> {
    let mut sums = String::new();
    for (name, tensor) in unet.weights() {
        sums.push_str(name);
        sums.push_str(&sha256(&bytes_of(tensor)?));
    }
    Ok(sha256(sums.as_bytes()))
}
