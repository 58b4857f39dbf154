//! `tweedie train`: starts a run, or takes one up again.

use crate::run::{Source, open_model};
use crate::{print, progress::TrainingProgress, stop::Stop};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tweedie_training::{Classifier, Outcome, RunConfig, Trainer};
use tweedie_unet::UNet;

/// Train a model or a classifier that steers one, or go on with a run
///
/// Ctrl-C finishes the step, saves and says how to resume; a run that was killed resumes too, and
/// ends with the same weights, bit for bit, as one that was never interrupted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Configuration of a new run, a TOML file
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    config: Option<PathBuf>,
    /// Folder of the new run [default: runs/ and the name of the configuration]
    #[arg(long, short, value_name = "RUN", conflicts_with = "resume")]
    out: Option<PathBuf>,
    /// Begin with the weights of this run, checkpoint or folder of diffusers: what the configuration leaves
    /// out of [network], [schedule] and what the network takes and returns, it says
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    from: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
    /// Go on with the run in this folder from its last checkpoint
    #[arg(long, value_name = "RUN")]
    resume: Option<PathBuf>,
    /// Change one value of the configuration; may be given more than once
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    overrides: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  tweedie train configs/digits.toml --out runs/digits
  tweedie train configs/digits.toml --out runs/short --set training.steps=200
  tweedie train configs/digits-classifier.toml --out runs/digits-classifier
  tweedie train configs/digits.toml --from runs/digits --out runs/longer
  tweedie train flowers.toml --from ddpm-cifar10-32 --out runs/flowers
  tweedie train --resume runs/digits";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let stop = Stop::on_signals("after this step")?;
    let (folder, mut trainer) = open(options)?;
    let outcome = trainer.run(&mut TrainingProgress::new(), stop.flag())?;
    if let Outcome::Stopped { step, total } = outcome {
        print::line(&format!("stopped after step {step} of {total}; it is saved"))?;
        print::line(&format!("go on with: tweedie train --resume {}", folder.display()))?;
        return Ok(stop.exit_code());
    }
    print::line(&format!("done: {}", folder.display()))?;
    let next = match trainer.config().is_classifier() {
        true => format!("tweedie sample MODEL --class 0 --classifier {}", folder.display()),
        false => format!("tweedie sample {}", folder.display()),
    };
    print::line(&format!("next: {next}"))?;
    Ok(ExitCode::SUCCESS)
}

fn open(options: &Options) -> Result<(PathBuf, Trainer)> {
    if let Some(folder) = &options.resume {
        return Ok((folder.clone(), Trainer::resume(folder)?));
    }
    let path = options.config.as_deref().context("a configuration is required")?;
    let folder = options.out.clone().unwrap_or_else(|| default_folder(path));
    if let Some(from) = &options.from {
        let trainer = fine_tune(path, from, options, &folder)?;
        return Ok((folder, trainer));
    }
    if let Some(option) = options.source.given() {
        bail!("{option} goes with --from");
    }
    let config = RunConfig::load(path, &options.overrides)?;
    if let Some(from) = config.training.from {
        bail!("{}: training.from is what --from wrote there; give --from {from}", path.display());
    }
    Ok((folder.clone(), Trainer::new(config, &folder)?))
}

/// A run that begins with the weights of a model, or of a classifier.
fn fine_tune(path: &Path, from: &Path, options: &Options, folder: &Path) -> Result<Trainer> {
    let mut known = options.source.options();
    known.noise_if_unsaid = Some(path.to_path_buf());
    let begin = |described: &RunConfig, network: &UNet| {
        let mut config = RunConfig::load_over(path, &options.overrides, described)?;
        config.training.from = Some(from.display().to_string());
        let trainer = Trainer::from_network(config, folder, network);
        trainer.with_context(|| format!("cannot begin with {}", from.display()))
    };
    if let Ok(classifier) = Classifier::open(from, &known) {
        eprintln!("a classifier of noisy images: {}", from.display());
        return begin(classifier.description(), &classifier.unet);
    }
    let model = open_model(from, &options.source, &known)?;
    begin(model.description(), &model.unet)
}

fn default_folder(config: &Path) -> PathBuf {
    Path::new("runs").join(config.file_stem().unwrap_or("run".as_ref()))
}
