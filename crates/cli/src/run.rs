//! A run as the commands use it: opened by name, with what its images look like.

use crate::device::Computation;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::path::Path;
use tch::{Device, Tensor};
use tweedie_score::Learned;
use tweedie_training::{Choice, RunConfig, RunData, RunSchedule, TrainedModel};
use tweedie_unet::{Precision, ScoreNetwork};

/// Which weights to use, and how to compute with them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Weights")]
pub(crate) struct Weights {
    /// The averaged weights, or those the optimizer left
    #[arg(long, value_enum, default_value = "ema")]
    weights: WeightsName,
    /// The checkpoint of a run: latest, best, or the number of its step
    #[arg(long, value_name = "WHICH", default_value = "latest", value_parser = checkpoint)]
    checkpoint: Choice,
    /// What the network computes in
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WeightsName {
    Ema,
    Raw,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PrecisionName {
    F32,
    Bf16,
}

fn checkpoint(text: &str) -> Result<Choice, String> {
    match text {
        "latest" => Ok(Choice::Latest),
        "best" => Ok(Choice::Best),
        step => match step.parse() {
            Ok(step) => Ok(Choice::Step(step)),
            Err(_) => Err("expected latest, best, or the number of a step".into()),
        },
    }
}

/// A trained model and the device it runs on.
pub(crate) struct Run {
    model: TrainedModel,
    precision: PrecisionName,
}

impl Run {
    /// Opens a run's folder or one of its checkpoints, and says on standard error what was opened.
    pub(crate) fn open(path: &Path, weights: &Weights, computation: &Computation) -> Result<Self> {
        let device = computation.start()?;
        let mut model = match weights.weights {
            WeightsName::Ema => TrainedModel::load(path, weights.checkpoint, device)?,
            WeightsName::Raw => TrainedModel::load_raw(path, weights.checkpoint, device)?,
        };
        for (checkpoint, error) in &model.passed_over {
            eprintln!("passed over {}: {}", checkpoint.display(), crate::print::chain(error));
        }
        model.unet = model.unet.for_inference(match weights.precision {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Bf16 => Precision::Bf16,
        })?;
        eprintln!("run: {}, {:?} weights of step {}", path.display(), weights.weights, model.step);
        Ok(Self { model, precision: weights.precision })
    }

    pub(crate) fn config(&self) -> &RunConfig {
        &self.model.config
    }

    /// Steps the network was trained for.
    pub(crate) fn step(&self) -> u64 {
        self.model.step
    }

    /// What tells its weights from all others.
    pub(crate) fn weights_identity(&self) -> &str {
        &self.model.weights_sha256
    }

    /// What the network computes in.
    pub(crate) fn precision(&self) -> &'static str {
        match self.precision {
            PrecisionName::F32 => "f32",
            PrecisionName::Bf16 => "bf16",
        }
    }

    /// What the network says of the variance of a step, if it learned one.
    pub(crate) fn learned_variance(&self) -> Option<Learned> {
        self.config().learned_variance()
    }

    pub(crate) fn network(&self) -> ScoreNetwork<'_> {
        self.model.score()
    }

    pub(crate) fn device(&self) -> Device {
        self.model.unet.device()
    }

    /// The noise levels the network was trained on.
    pub(crate) fn schedule(&self) -> &RunSchedule {
        &self.model.schedule
    }

    /// Channels, height and width of what the network takes and returns.
    pub(crate) fn shape(&self) -> [usize; 3] {
        self.model.images.shape
    }

    /// Channels, height and width of its images, before the padding of training.
    pub(crate) fn unpadded_shape(&self) -> [usize; 3] {
        self.model.images.unpadded
    }

    /// Number of values a pixel can take in the data.
    pub(crate) fn levels(&self) -> u32 {
        self.model.images.levels
    }

    /// The run's data set, where it lies now if that is somewhere else, without padding.
    ///
    /// # Errors
    /// When it is not there, or damaged.
    pub(crate) fn data(&self, source: Option<&str>) -> Result<RunData> {
        let mut config = self.config().clone();
        if let Some(source) = source {
            source.clone_into(&mut config.data.source);
        }
        Ok(RunData::open(&config)?)
    }

    /// Number of levels if the model was trained on dequantized images, whose scale is another.
    pub(crate) fn dequantized_levels(&self) -> Option<u32> {
        self.config().data.dequantize.then_some(self.model.images.levels)
    }

    /// Number of classes the network knows; 0 for none.
    pub(crate) fn class_count(&self) -> usize {
        self.model.images.classes.unwrap_or(0)
    }

    /// One class an image, the asked ones taken in turn; all of the network's when none are asked.
    pub(crate) fn classes_in_turn(
        &self,
        asked: &[usize],
        count: usize,
    ) -> Result<Vec<Option<usize>>> {
        let classes = self.class_count();
        asked.iter().try_for_each(|class| self.check_class(*class))?;
        let all: Vec<usize> =
            if asked.is_empty() { (0..classes).collect() } else { asked.to_vec() };
        let class = |image: usize| (!all.is_empty()).then(|| all[image % all.len()]);
        Ok((0..count).map(class).collect())
    }

    /// Refuses a class that the network was not trained on.
    pub(crate) fn check_class(&self, class: usize) -> Result<()> {
        match self.class_count() {
            0 => bail!("--class: this model was trained without classes"),
            classes if class >= classes => {
                bail!("--class is {class}, expected 0 to {}", classes - 1)
            }
            _ => Ok(()),
        }
    }

    /// Images `[n, c, h, w]` without the border that training added.
    pub(crate) fn without_padding(&self, images: &Tensor) -> Tensor {
        self.model.images.without_padding(images)
    }
}
