//! A model written for another program, or as a run of this one.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};
use tweedie_checkpoints::{
    DataRange as TrainedRange, NetworkConventions, TrainedNoise, TrainedPrediction, TrainedTime,
    TrainedVariance, write_diffusers_folder,
};
use tweedie_unet::{ArchitectureConfig, UNet};

use crate::config::{
    InputScalingKind, PredictionKind, ScheduleConfig, ScheduleKind, TimeInputKind, TrainingConfig,
    VarianceKind,
};
use crate::model::{NULL_CLASS, has_row_for_no_class};
use crate::network::{ImageForm, Stored};
use crate::state::{EMA, Progress, WEIGHTS};
use crate::{
    ConfigError, Habits, Model, ModelOptions, RunConfig, RunData, RunFolder, TrainError,
    architecture,
};

impl Model {
    /// Writes the model as a folder of diffusers, which must not hold anything yet. The weights are those
    /// that the model was opened with.
    ///
    /// # Errors
    /// When diffusers has no network, noise, or convention like those of the model, or the folder cannot
    /// be written; nothing is left of it then.
    pub fn write_diffusers(&self, path: &Path) -> Result<(), TrainError> {
        let conventions = self.published_conventions()?;
        let converted = match self.unet.config() {
            ArchitectureConfig::Diffusers(_) => None,
            _ => Some(self.unet.to_diffusers()?),
        };
        let unet = converted.as_ref().unwrap_or(&self.unet);
        let ArchitectureConfig::Diffusers(network) = unet.config() else {
            let what = format!("a network of the family {}", unet.config().family_name());
            return Err(TrainError::NotInDiffusers { what });
        };
        let encode = |source| TrainError::Encode { path: path.to_path_buf(), source };
        let mut config: Map<String, Value> = match serde_json::to_value(network).map_err(encode)? {
            Value::Object(values) => values,
            _ => Map::new(),
        };
        let [_, height, width] = self.images().shape;
        config.insert("sample_size".to_owned(), sides(height, width));
        if has_row_for_no_class(unet, self.images().classes) {
            config.insert(NULL_CLASS.to_owned(), self.images().null_class.into());
        }
        Ok(write_diffusers_folder(path, &config, Some(&conventions), stored_weights(unet))?)
    }

    /// Writes the model as a run: its configuration, and one checkpoint that holds the weights as weights
    /// and as their average. The optimizer's state is not in it, so it is a run to use, not to resume.
    ///
    /// # Errors
    /// When there is something at `path` already, nothing says how many levels the data has, or the folder
    /// cannot be written; nothing is left of it then.
    pub fn write_run(&self, path: &Path, mut config: RunConfig) -> Result<(), TrainError> {
        let images = self.images();
        let form = ImageForm {
            shape: images.shape,
            unpadded: images.unpadded,
            levels: images.levels.ok_or(TrainError::NoLevels)?,
            classes: images.classes,
        };
        if path.exists() {
            return Err(TrainError::Exists { path: path.to_path_buf() });
        }
        config.training.threads = config.training.threads.max(1);
        if images.null_class && config.training.label_dropout == 0.0 {
            // that of another program's training is not known, only that there was one
            config.training.label_dropout = TrainingConfig::default().label_dropout;
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(TrainError::io("create", parent))?;
        // removed when it is dropped, unless it was renamed
        let staged = tempfile::Builder::new().prefix(".tmp-run-").tempdir_in(parent);
        let staged = staged.map_err(TrainError::io("create a folder in", parent))?;
        let folder = RunFolder::at(staged.path());
        let mut checkpoint = folder.make_checkpoints()?.stage(self.step().unwrap_or(0))?;
        checkpoint.write(WEIGHTS, stored_weights(&self.unet))?;
        checkpoint.write(EMA, stored_weights(&self.unet))?;
        checkpoint.commit(None, &Progress::new(form))?;
        folder.write_config(&config)?;
        if let Some(habits) = self.habits_elsewhere() {
            habits.write(&folder)?;
        }
        let in_model = |source| TrainError::InModel { path: path.to_path_buf(), source };
        self.check_reopens(&folder, &form).map_err(|source| in_model(source.into()))?;
        fs::rename(staged.path(), path).map_err(TrainError::io("rename to", path))
    }

    /// What cannot be opened again does not appear. A second network would lie in memory beside this one,
    /// so its weights are read only where the configuration asks for another than this.
    fn check_reopens(&self, folder: &RunFolder, form: &ImageForm) -> Result<(), TrainError> {
        let (_, config) = RunFolder::open(folder.root())?;
        config.noise_schedule()?;
        Habits::read(folder)?;
        if architecture::of_run(&config, form)? != *self.unet.config() {
            Self::open(folder.root(), &ModelOptions::default())?;
        }
        Ok(())
    }

    /// Refuses images that the network of the model does not go with, as those of a run with this
    /// configuration.
    ///
    /// # Errors
    /// When they have other channels or another size than it takes, or other classes than it knows.
    pub fn check_data(&self, config: &RunConfig, data: &RunData) -> Result<(), TrainError> {
        let form = ImageForm::of_data(config, data);
        if form.shape == self.images().shape {
            return architecture::of_run(config, &form).map(drop);
        }
        let text = |[channels, height, width]: [usize; 3]| format!("{channels}x{height}x{width}");
        let (got, taken) = (text(form.shape), text(self.images().shape));
        Err(ConfigError::Unfit {
            key: "data.source",
            value: format!("{}, whose images are {got}", config.data.source),
            allowed: format!("images of {taken}, as the network takes"),
        }
        .into())
    }

    /// What the weights do not say, as another program would say it.
    fn published_conventions(&self) -> Result<NetworkConventions, TrainError> {
        if let Some(conventions) = self.conventions_as_read() {
            return Ok(conventions.clone());
        }
        let conventions = conventions_of(self.description())?;
        let Habits { variance, clip, sampling } = self.habits().clone();
        // a bound at zero is that of a range, which diffusers has no words for
        let bound = clip.filter(|(low, high)| *low == -high).map(|(_, high)| high);
        Ok(NetworkConventions {
            variance: variance.or(conventions.variance),
            clip_sample: bound,
            sampling,
            ..conventions
        })
    }
}

fn stored_weights(unet: &UNet) -> Vec<(String, Stored)> {
    let weights = unet.weights().into_iter();
    weights.map(|(name, tensor)| (name.to_owned(), Stored::new(tensor))).collect()
}

fn sides(height: usize, width: usize) -> Value {
    if height == width { height.into() } else { vec![height, width].into() }
}

/// The conventions of a run's network.
fn conventions_of(config: &RunConfig) -> Result<NetworkConventions, TrainError> {
    let refuse = |what: &str| Err(TrainError::NotInDiffusers { what: what.to_owned() });
    let noise = noise_of(&config.schedule)?;
    let steps = noise.steps();
    let objective = &config.objective;
    let edm = objective.prediction == Some(PredictionKind::Edm);
    if edm != (objective.input_scaling == Some(InputScalingKind::UnitVariance)) {
        return refuse(
            "a state that is scaled before the network takes it (objective.input_scaling), but for EDM's \
             prediction, which needs it",
        );
    }
    let prediction = match objective.prediction.unwrap_or(PredictionKind::Noise) {
        PredictionKind::Noise => TrainedPrediction::Noise,
        PredictionKind::Data => TrainedPrediction::Data,
        PredictionKind::Velocity => TrainedPrediction::Velocity,
        PredictionKind::Score => TrainedPrediction::Score,
        PredictionKind::Edm => TrainedPrediction::Edm { sigma_data: config.sigma_data() },
    };
    let suited = || TimeInputKind::suited_to(config.schedule.kind);
    let time = match objective.time_input.unwrap_or_else(suited) {
        TimeInputKind::Index => TrainedTime::Index { steps, scale: 1.0 },
        TimeInputKind::RescaledIndex => TrainedTime::Index { steps, scale: 1000.0 / steps as f64 },
        TimeInputKind::DescendingIndex => TrainedTime::DescendingIndex { steps },
        TimeInputKind::Time => TrainedTime::Time { scale: 999.0 },
        TimeInputKind::Sigma => TrainedTime::Sigma,
        TimeInputKind::QuarterLogSigma => TrainedTime::QuarterLogSigma,
        TimeInputKind::LogSigma => {
            return refuse("a network that is told 250 ln sigma (objective.time_input)");
        }
    };
    let centered = config.data.centered;
    Ok(NetworkConventions {
        noise,
        prediction,
        variance: objective.variance.map(variance_of).transpose()?,
        time,
        data_range: if centered { TrainedRange::Symmetric } else { TrainedRange::Unit },
        // as pictures of a run are drawn
        clip_sample: centered.then_some(1.0),
        sampling: None,
    })
}

fn variance_of(variance: VarianceKind) -> Result<TrainedVariance, TrainError> {
    Ok(match variance {
        VarianceKind::FixedSmall => TrainedVariance::FixedSmall,
        VarianceKind::FixedLarge => TrainedVariance::FixedLarge,
        VarianceKind::LearnedValue => TrainedVariance::Learned,
        VarianceKind::LearnedRange => TrainedVariance::LearnedRange,
        VarianceKind::Learned => {
            let what = "a network that gives the logarithm of its variance (objective.variance = \"learned\"), \
                        only of one that gives its place between the fixed ones (\"learned_range\") or the \
                        variance itself (\"learned_value\")";
            return Err(TrainError::NotInDiffusers { what: what.to_owned() });
        }
    })
}

fn noise_of(schedule: &ScheduleConfig) -> Result<TrainedNoise, TrainError> {
    let ScheduleConfig { steps, beta_start, beta_end, zero_terminal_snr, .. } = *schedule;
    let betas = |shape| TrainedNoise::Betas {
        shape,
        start: beta_start,
        end: beta_end,
        steps,
        zero_terminal_snr,
    };
    let given = |value: Option<f64>| value.unwrap_or(f64::NAN);
    let (beta_min, beta_max) = (given(schedule.beta_min), given(schedule.beta_max));
    let (sigma_min, sigma_max) = (given(schedule.sigma_min), given(schedule.sigma_max));
    Ok(match schedule.kind {
        ScheduleKind::Linear => betas(tweedie_checkpoints::BetaShape::Linear),
        ScheduleKind::Cosine => betas(tweedie_checkpoints::BetaShape::SquaredCosine),
        ScheduleKind::Betas => {
            TrainedNoise::Table { betas: schedule.betas.clone(), zero_terminal_snr }
        }
        ScheduleKind::VpLinear => TrainedNoise::VariancePreserving { beta_min, beta_max, steps },
        ScheduleKind::SubVp => TrainedNoise::SubVariancePreserving { beta_min, beta_max, steps },
        ScheduleKind::Ve => TrainedNoise::Exploding { sigma_min, sigma_max, steps },
        ScheduleKind::Edm => TrainedNoise::Edm { sigma_min, sigma_max, steps },
        ScheduleKind::VpCosine => {
            let what = format!("the noise of schedule.kind {:?}", schedule.kind.name());
            return Err(TrainError::NotInDiffusers { what });
        }
    })
}
