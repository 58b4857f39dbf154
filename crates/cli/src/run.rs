//! A model as the commands use it: opened by its path, with what its images look like.

use crate::commands::data::size;
use crate::device::Computation;
use crate::precision::PrecisionName;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};
use tweedie_checkpoints::{WeightChoice, WeightKind};
use tweedie_score::Learned;
use tweedie_training::{
    Choice, Classifier, DataRange, Habits, Model, ModelOptions, NetworkConfig, Origin, RunConfig,
    RunData, RunSchedule, ShortNetwork,
};
use tweedie_unet::ScoreNetwork;

/// Which weights to use, and how to compute with them.
#[derive(Clone, Debug, Args)]
pub(crate) struct Weights {
    #[command(flatten)]
    source: Source,
    /// What the network computes in
    #[arg(long, value_enum, default_value = "f32", help_heading = "Weights")]
    precision: PrecisionName,
}

/// Which weights, and what is not said beside them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Weights")]
pub(crate) struct Source {
    /// The averaged weights, or those the optimizer left [default: ema]
    #[arg(long, value_enum)]
    weights: Option<WeightsName>,
    /// The checkpoint of a run: latest, best, or the number of its step [default: latest]
    #[arg(long, value_name = "WHICH", value_parser = checkpoint)]
    checkpoint: Option<Choice>,
    #[command(flatten)]
    unsaid: Unsaid,
}

/// What the checkpoints of other programs may leave open.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Checkpoints of other programs")]
pub(crate) struct Unsaid {
    /// How the network of a .pt, .pth or bare file of weights is built: JSON with the keys of its program,
    /// or flags as text [default: NAME.json, config.json, NAME.txt or flags.txt beside it]
    #[arg(id = "network_config", long = "config", value_name = "FILE", conflicts_with = "flags")]
    config: Option<PathBuf>,
    /// The flags of guided- or improved-diffusion, as on its command line
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    flags: Option<String>,
    /// The noise of a checkpoint that does not say it: [schedule], [objective] and data.centered of a run's
    /// configuration, a TOML file
    #[arg(long, value_name = "FILE")]
    noise: Option<PathBuf>,
    /// Height and width of the images [default: those trained on]
    #[arg(long, value_name = "HxW", value_parser = size)]
    size: Option<[usize; 2]>,
    /// Number of values that a pixel can take in the data, where no data set says it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=65_536))]
    levels: Option<u32>,
    /// Number of classes, of a network with one row more, for no class
    #[arg(id = "class_count", long = "classes", value_name = "N")]
    classes: Option<usize>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum WeightsName {
    Ema,
    Raw,
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

impl Weights {
    /// How a model is opened on a device.
    fn options(&self, device: Device) -> ModelOptions {
        ModelOptions { device, precision: self.precision.of_network(), ..self.source.options() }
    }

    /// What the network is to compute in.
    pub(crate) fn precision(&self) -> PrecisionName {
        self.precision
    }
}

impl Source {
    /// How a model is opened on the CPU, in f32.
    pub(crate) fn options(&self) -> ModelOptions {
        let Unsaid { config, flags, noise, size, levels, classes } = self.unsaid.clone();
        ModelOptions {
            choice: self.checkpoint.unwrap_or_default(),
            weights: match self.weights() {
                WeightsName::Ema => WeightChoice::Averaged,
                WeightsName::Raw => WeightChoice::Raw,
            },
            config,
            flags,
            noise,
            size,
            levels,
            classes,
            ..ModelOptions::default()
        }
    }

    fn weights(&self) -> WeightsName {
        self.weights.unwrap_or(WeightsName::Ema)
    }

    /// An option that was given, if any was.
    pub(crate) fn given(&self) -> Option<&'static str> {
        let Unsaid { config, flags, noise, size, levels, classes } = &self.unsaid;
        let given = [
            ("--weights", self.weights.is_some()),
            ("--checkpoint", self.checkpoint.is_some()),
            ("--config", config.is_some()),
            ("--flags", flags.is_some()),
            ("--noise", noise.is_some()),
            ("--size", size.is_some()),
            ("--levels", levels.is_some()),
            ("--classes", classes.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// Opens a model and says on standard error what was opened.
pub(crate) fn open_model(path: &Path, source: &Source, options: &ModelOptions) -> Result<Model> {
    let model = Model::open(path, options)?;
    announce(path, source.weights(), model.origin());
    Ok(model)
}

/// A model and the device it runs on.
pub(crate) struct Run {
    model: Model,
    precision: PrecisionName,
}

impl Run {
    /// Opens a run's folder, one of its checkpoints, or a checkpoint of another program, and says on
    /// standard error what was opened.
    pub(crate) fn open(path: &Path, weights: &Weights, computation: &Computation) -> Result<Self> {
        let model = open_model(path, &weights.source, &weights.options(computation.start()?))?;
        Ok(Self { model, precision: weights.precision })
    }

    /// The configuration of a run; a checkpoint of another program has none.
    pub(crate) fn config(&self) -> Option<&RunConfig> {
        self.model.run_config()
    }

    /// Steps the network was trained for, where that is known.
    pub(crate) fn step(&self) -> Option<u64> {
        self.model.step()
    }

    /// What tells its weights from all others.
    pub(crate) fn weights_identity(&self) -> Result<String> {
        Ok(self.model.weights_sha256()?)
    }

    /// What the network computes in.
    pub(crate) fn precision(&self) -> PrecisionName {
        self.precision
    }

    /// What the network says of the variance of a step, if it learned one.
    pub(crate) fn learned_variance(&self) -> Option<Learned> {
        self.model.learned_variance()
    }

    /// How the program that the model comes from samples with it.
    pub(crate) fn habits(&self) -> &Habits {
        self.model.habits()
    }

    /// The range in which another program, that the model comes from, holds its estimates of the data
    /// while it samples; `None` for runs, whose training and flow know no clipping.
    pub(crate) fn clipped_elsewhere(&self) -> Option<(f64, f64)> {
        let habits = self.model.habits_elsewhere()?;
        let threshold = habits.sampling.as_ref().and_then(|sampling| sampling.threshold);
        // what goes beyond a dynamic threshold is clipped, and all is divided by it
        threshold.map(|_| (-1.0, 1.0)).or(habits.clip)
    }

    /// The range of the values of its data.
    pub(crate) fn data_range(&self) -> DataRange {
        self.model.data_range()
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
        self.model.images().shape
    }

    /// Channels, height and width of its images, before the padding of training.
    pub(crate) fn unpadded_shape(&self) -> [usize; 3] {
        self.model.images().unpadded
    }

    /// Number of values a pixel can take in the data, where that is known.
    pub(crate) fn levels(&self) -> Option<u32> {
        self.model.images().levels
    }

    /// The model's data set without padding: the run's own, where it lies now if that is somewhere else.
    /// `option` is the one that says where.
    ///
    /// # Errors
    /// When it is not there, or damaged, or nothing says which it is.
    pub(crate) fn data(&self, source: Option<&str>, option: &str) -> Result<RunData> {
        let mut config = self.model.description().clone();
        match (source, self.config()) {
            (Some(source), _) => source.clone_into(&mut config.data.source),
            (None, Some(_)) => {}
            (None, None) => bail!(
                "the checkpoint does not say what it was trained on; {option} names the data set"
            ),
        }
        if self.config().is_none() {
            config.data.size = Some(self.image_size());
            // classes are asked for where they are used
            let unconditional =
                ShortNetwork { class_conditional: false, ..ShortNetwork::default() };
            config.network = NetworkConfig::Short(unconditional);
        }
        RunData::open(&config).with_context(|| match self.config() {
            Some(_) => {
                format!(
                    "the run's data set {} ({option} says where it lies now)",
                    config.data.source
                )
            }
            None => format!("the data set {}", config.data.source),
        })
    }

    /// Height and width of pictures to be read for it.
    pub(crate) fn image_size(&self) -> [usize; 2] {
        let [_, height, width] = self.unpadded_shape();
        [height, width]
    }

    /// Number of levels if the model was trained on dequantized images, whose scale is another.
    pub(crate) fn dequantized_levels(&self) -> Option<u32> {
        self.config()?.data.dequantize.then_some(self.levels()?)
    }

    /// Number of classes the network knows; 0 for none.
    pub(crate) fn class_count(&self) -> usize {
        self.model.images().classes.unwrap_or(0)
    }

    /// Refuses to ask without a class a network that was never told none.
    pub(crate) fn check_unconditional(&self) -> Result<()> {
        let images = self.model.images();
        if images.classes.is_some() && !images.null_class {
            bail!(
                "this network was always told a class: it cannot be asked without one ({})",
                self.why_always_told()
            );
        }
        Ok(())
    }

    /// What says that the network knows no null class.
    fn why_always_told(&self) -> &'static str {
        match self.config() {
            Some(_) => "its training.label_dropout is 0",
            None => "--classes says whether the last row of its table stands for no class",
        }
    }

    /// Refuses to compare with what the network says without a class where it was never told none.
    pub(crate) fn check_null_class(&self) -> Result<()> {
        if !self.model.images().null_class {
            bail!(
                "guidance needs a model with a null class, told of no class now and then: this one was always \
                 told a class ({})",
                self.why_always_told()
            );
        }
        Ok(())
    }

    /// Refuses a classifier that was trained on something else.
    pub(crate) fn check_steered_by(&self, classifier: &Classifier) -> Result<()> {
        classifier.check_steers(&self.model)?;
        let source = |config: &RunConfig| config.data.source.clone();
        let (got, expected) = (classifier.run_config().map(source), self.config().map(source));
        if let (Some(got), Some(expected)) = (got, expected)
            && Path::new(&got).file_name() != Path::new(&expected).file_name()
        {
            eprintln!(
                "warning: the classifier was trained on {got} and the model on {expected}: are their \
                 classes the same?"
            );
        }
        Ok(())
    }

    /// How another network is opened that computes beside this one.
    pub(crate) fn options_alike(&self) -> ModelOptions {
        ModelOptions {
            device: self.device(),
            precision: self.precision.of_network(),
            ..ModelOptions::default()
        }
    }

    /// One class an image, the asked ones taken in turn; all of the network's when none are asked.
    pub(crate) fn classes_in_turn(
        &self,
        asked: &[usize],
        count: usize,
    ) -> Result<Vec<Option<usize>>> {
        self.classes_below(self.class_count(), asked, count)
    }

    /// The same of another number of classes, which a classifier may know where the network does not.
    pub(crate) fn classes_below(
        &self,
        classes: usize,
        asked: &[usize],
        count: usize,
    ) -> Result<Vec<Option<usize>>> {
        asked.iter().try_for_each(|class| check_class("--class", *class, classes))?;
        let all: Vec<usize> =
            if asked.is_empty() { (0..classes).collect() } else { asked.to_vec() };
        let class = |image: usize| (!all.is_empty()).then(|| all[image % all.len()]);
        Ok((0..count).map(class).collect())
    }

    /// Refuses a class, the value of `option`, that the network was not trained on.
    pub(crate) fn check_class(&self, option: &str, class: usize) -> Result<()> {
        check_class(option, class, self.class_count())
    }

    /// States or masks `[n, c, h, w]` without the border that training added.
    pub(crate) fn without_padding(&self, states: &Tensor) -> Tensor {
        self.model.images().without_padding(states)
    }

    /// Drawn states `[n, c, h, w]` as images with values from -1 to 1, without the border that training
    /// added.
    pub(crate) fn as_images(&self, states: &Tensor) -> Tensor {
        self.data_range().to_symmetric(&self.without_padding(states))
    }
}

/// Refuses a class that is not below the number of them.
fn check_class(option: &str, class: usize, classes: usize) -> Result<()> {
    match classes {
        0 => bail!("{option}: this model was trained without classes"),
        classes if class >= classes => bail!("{option} is {class}, expected 0 to {}", classes - 1),
        _ => Ok(()),
    }
}

/// Says on standard error which weights of what were opened.
fn announce(path: &Path, weights: WeightsName, origin: &Origin) {
    match origin {
        Origin::Run { step, passed_over, .. } => {
            for (checkpoint, error) in passed_over {
                eprintln!("passed over {}: {}", checkpoint.display(), crate::print::chain(error));
            }
            eprintln!("run: {}, {weights:?} weights of step {step}", path.display());
        }
        Origin::Published { source, weights, notes } => {
            notes.iter().for_each(|note| eprintln!("{note}"));
            let weights = match weights {
                WeightKind::Averaged { .. } => "averaged weights",
                WeightKind::Raw => "weights as the optimizer left them",
                WeightKind::Unsaid => "weights",
            };
            eprintln!("model: {}, {weights} of {source}", path.display());
        }
        _ => {}
    }
}
