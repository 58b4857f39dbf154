//! A network ready for sampling, whatever it was saved by.

mod of_published;
mod options;

use std::path::{Path, PathBuf};

use tch::Tensor;
use tweedie_checkpoints::{CheckpointError, NetworkConventions, WeightChoice, WeightKind};
use tweedie_schedules::Prediction;
use tweedie_score::Learned;
use tweedie_unet::{ScoreNetwork, UNet};

pub(crate) use of_published::{NULL_CLASS, image_shape, open_published, read_network};
pub use options::ModelOptions;

use crate::conventions::Conventions;
use crate::network::ImageForm;
use crate::state::{EMA, WEIGHTS};
use crate::{DataRange, Habits, RunConfig, RunFolder, RunSchedule, TrainError, TrainedModel};

/// A network with everything that its weights do not say about what they compute: out of a run, or of a
/// checkpoint of another program.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub unet: UNet,
    /// The noise levels it was trained on.
    pub schedule: RunSchedule,
    config: RunConfig,
    images: ModelImages,
    origin: Origin,
    habits: Habits,
    /// Whether another program says the habits.
    habits_are_told: bool,
    /// What a checkpoint of another program says of its network.
    conventions: Option<NetworkConventions>,
}

/// What is known of the images of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelImages {
    /// Channels, height and width of the network's input.
    pub shape: [usize; 3],
    /// Channels, height and width of the images themselves, before padding.
    pub unpadded: [usize; 3],
    /// Number of values that a pixel can take; `None` where nothing says it.
    pub levels: Option<u32>,
    /// Number of classes that the network knows, the null class not counted.
    pub classes: Option<usize>,
    /// Whether it was told of no class too, by a null class behind the others.
    pub null_class: bool,
}

impl ModelImages {
    /// Images `[n, c, h, w]` of the network's size, cut to that of the images themselves.
    pub fn without_padding(&self, images: &Tensor) -> Tensor {
        let [_, height, width] = self.unpadded.map(|size| size as i64);
        let cut = |images: &Tensor, axis: i64, inner: i64| {
            images.narrow(axis, (images.size()[axis as usize] - inner) / 2, inner)
        };
        cut(&cut(images, 2, height), 3, width)
    }
}

/// Where a model comes from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Origin {
    /// A run of this program.
    Run {
        /// Training steps that the weights have seen.
        step: u64,
        /// The sha256 of the file of weights.
        weights_sha256: String,
        /// Newer checkpoints that were passed over because they are damaged, newest first.
        passed_over: Vec<(PathBuf, CheckpointError)>,
    },
    /// A checkpoint of another program.
    Published {
        /// The name of the program.
        source: &'static str,
        /// Whether the weights are a running average.
        weights: WeightKind,
        /// What a user should know of how it was read.
        notes: Vec<String>,
    },
}

/// Up to so many parameters an opened network keeps its weights packed too: small networks gain the most by
/// it, and of large ones the second copy would be most of the memory. Measured on the CIFAR-10 network of DDPM
/// (36 million parameters), in turns, in f32 on one thread: not packed, a call takes 5 % longer with one image,
/// 3 % with 4 and 4 % with 16.
const PACKED_PARAMETERS: usize = 4 << 20;

impl Model {
    /// Opens the folder of a run or of one of its checkpoints, a folder of diffusers, or a checkpoint
    /// of `score_sde`, guided-diffusion or improved-diffusion.
    ///
    /// # Errors
    /// When the path is none of these, is damaged, or says too little; the error says what to add.
    pub fn open(path: &Path, options: &ModelOptions) -> Result<Self, TrainError> {
        let mut model = match is_run(path) {
            true => Self::of_run(path, options),
            false => Self::of_published(path, options),
        }?;
        let parameters = model.unet.parameters().element_count();
        model.unet.set_weight_packing(parameters <= PACKED_PARAMETERS);
        Ok(model)
    }

    fn of_run(path: &Path, options: &ModelOptions) -> Result<Self, TrainError> {
        let trained = of_run(path, options)?;
        if trained.config.is_classifier() {
            return Err(TrainError::IsClassifier { path: path.to_path_buf() });
        }
        let habits = Habits::read(&RunFolder::at(&root_of(path)))?;
        let model = Self::from(trained);
        Ok(match habits {
            Some(habits) => Self { habits, habits_are_told: true, ..model },
            None => model,
        })
    }

    /// The run's configuration; `None` for a checkpoint of another program.
    #[must_use]
    pub fn run_config(&self) -> Option<&RunConfig> {
        matches!(self.origin, Origin::Run { .. }).then_some(&self.config)
    }

    /// Network, forward process and conventions as the configuration of a run. Of a checkpoint of
    /// another program all else in it has its default, and says nothing.
    #[must_use]
    pub fn description(&self) -> &RunConfig {
        &self.config
    }

    /// What is known of its images.
    #[must_use]
    pub fn images(&self) -> &ModelImages {
        &self.images
    }

    /// Where it comes from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// How the program that it comes from samples with it.
    #[must_use]
    pub fn habits(&self) -> &Habits {
        &self.habits
    }

    /// How another program that it comes from samples with it, where that is known; `None` for runs, but
    /// those that were converted.
    #[must_use]
    pub fn habits_elsewhere(&self) -> Option<&Habits> {
        self.habits_are_told.then_some(&self.habits)
    }

    /// What a checkpoint of another program says of its network, in full.
    pub(crate) fn conventions_as_read(&self) -> Option<&NetworkConventions> {
        self.conventions.as_ref()
    }

    /// Training steps that the weights have seen, where that is known.
    #[must_use]
    pub fn step(&self) -> Option<u64> {
        match self.origin {
            Origin::Run { step, .. } => Some(step),
            Origin::Published { .. } => None,
        }
    }

    /// The range of the values of its data.
    #[must_use]
    pub fn data_range(&self) -> DataRange {
        self.config.data_range()
    }

    /// What the network predicts.
    #[must_use]
    pub fn prediction(&self) -> Prediction {
        self.config.prediction()
    }

    /// What the network says of the variance of a reverse step, if it learned one.
    #[must_use]
    pub fn learned_variance(&self) -> Option<Learned> {
        self.config.learned_variance()
    }

    /// The network as the score function that samplers call.
    #[must_use]
    pub fn score(&self) -> ScoreNetwork<'_> {
        Conventions::new(&self.config, &self.schedule, self.images.classes).network(&self.unet)
    }

    /// What tells its weights from all others: a sha256 in hexadecimal digits.
    ///
    /// # Errors
    /// When the weights cannot be read back from their device.
    pub fn weights_sha256(&self) -> Result<String, TrainError> {
        match &self.origin {
            Origin::Run { weights_sha256, .. } => Ok(weights_sha256.clone()),
            Origin::Published { .. } => of_published::sha256_of(&self.unet),
        }
    }
}

impl From<TrainedModel> for Model {
    fn from(trained: TrainedModel) -> Self {
        let TrainedModel { config, schedule, images, step, weights_sha256, unet, passed_over } =
            trained;
        let ImageForm { shape, unpadded, levels, classes } = images;
        // the table may have a row that no training step went through
        let null_class =
            has_row_for_no_class(&unet, classes) && config.training.label_dropout > 0.0;
        Self {
            images: ModelImages { shape, unpadded, levels: Some(levels), classes, null_class },
            origin: Origin::Run { step, weights_sha256, passed_over },
            habits: Habits::of_runs(config.data_range()),
            habits_are_told: false,
            conventions: None,
            unet,
            schedule,
            config,
        }
    }
}

/// A checkpoint of a run of any kind.
pub(crate) fn of_run(path: &Path, options: &ModelOptions) -> Result<TrainedModel, TrainError> {
    options.refuse_what_a_run_says()?;
    let file = match options.weights {
        WeightChoice::Averaged => EMA,
        WeightChoice::Raw => WEIGHTS,
    };
    let place = (options.precision, options.device);
    TrainedModel::load_file(path, options.choice, place, file)
}

/// The folder of the run that a path, which may be that of one of its checkpoints, is of.
fn root_of(path: &Path) -> PathBuf {
    match path.join("config.toml").is_file() {
        true => path.to_path_buf(),
        false => path.join("../.."),
    }
}

/// Whether the table of classes has a row behind those of the classes.
pub(crate) fn has_row_for_no_class(unet: &UNet, classes: Option<usize>) -> bool {
    unet.config().classes().zip(classes).is_some_and(|(rows, classes)| rows > classes as i64)
}

/// The network alone of a run or a checkpoint, whether or not anything is said about its noise.
///
/// # Errors
/// When the path is no model, or its weights do not fit.
pub fn open_network(path: &Path, options: &ModelOptions) -> Result<UNet, TrainError> {
    match is_run(path) {
        true => Ok(of_run(path, options)?.unet),
        false => of_published::network(path, options),
    }
}

/// The noise levels that a model was trained on, found without its weights.
///
/// # Errors
/// When the path is no model, or it does not say.
pub fn schedule_of(path: &Path) -> Result<RunSchedule, TrainError> {
    if is_run(path) {
        let (_, config) = crate::RunFolder::open(path)?;
        return Ok(config.noise_schedule()?);
    }
    of_published::schedule_of(path)
}

/// How the program that a model comes from samples with it, and the range of its data, found without its
/// weights.
///
/// # Errors
/// When the path is no model, or it does not say.
pub fn habits_of(path: &Path) -> Result<(Habits, DataRange), TrainError> {
    if !is_run(path) {
        return of_published::habits_of(path);
    }
    let (folder, config) = crate::RunFolder::open(path)?;
    let (range, kept) = (config.data_range(), Habits::read(&folder)?);
    Ok((kept.unwrap_or_else(|| Habits::of_runs(range)), range))
}

/// Whether a path is a run of this program, or one of its checkpoints.
#[must_use]
pub fn is_run(path: &Path) -> bool {
    path.join("config.toml").is_file() || path.join("state.json").is_file()
}
