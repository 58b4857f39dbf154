//! `tweedie convert`: a model of any source as a folder of diffusers, or as a run.

use crate::print;
use crate::run::{Source, open_model};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use tweedie_training::{Model, ModelImages, RunConfig, RunData, TrainError};

/// Write a model as a folder of diffusers, or as a run
///
/// Reads a run, one of its checkpoints, a folder of diffusers, or a checkpoint of score_sde,
/// guided-diffusion or improved-diffusion. The averaged weights are taken unless others are asked for.
/// What the other side cannot say is refused by name; OUT appears whole or not at all.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The model
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The folder to write, which must not hold anything yet
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value = "diffusers")]
    to: Target,
    /// The data set that the run says it was trained on [default: that of the run that is converted]
    #[arg(long, value_name = "PATH")]
    data: Option<String>,
    #[command(flatten)]
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// A pipeline that Python's diffusers loads
    Diffusers,
    /// A run folder of this program, without the optimizer's state
    Tweedie,
}

const EXAMPLES: &str = "\
Examples:
  tweedie convert runs/digits digits-diffusers
  tweedie convert runs/digits best-diffusers --checkpoint best --weights raw
  tweedie convert 64x64_diffusion.pt runs/adm --to tweedie --data data/imagenet-64 --levels 256";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let Options { input, output, .. } = options;
    let model = open_model(input, &options.source, &options.source.options())?;
    let written = match options.to {
        Target::Diffusers => model.write_diffusers(output),
        Target::Tweedie => model.write_run(output, run_config(&model, options)?),
    };
    written.with_context(|| format!("cannot write {} to {}", input.display(), output.display()))?;
    let what = match options.to {
        Target::Diffusers => "diffusers folder",
        Target::Tweedie => "run",
    };
    print::line(&format!("{what}: {}", output.display()))?;
    if options.to == Target::Diffusers {
        note_classes(&model);
    }
    Ok(ExitCode::SUCCESS)
}

/// Says how the classes of a network are told in diffusers.
fn note_classes(model: &Model) {
    let ModelImages { classes: Some(classes), null_class, .. } = model.images() else { return };
    let row = match null_class {
        true => format!("; row {classes} of its table stands for no class"),
        false => String::new(),
    };
    eprintln!(
        "the network is told classes, which no pipeline of images in diffusers passes on, so there is no \
         model_index.json: call UNet2DModel with class_labels{row}"
    );
}

/// The configuration of the run to write: that of the run that is converted, or what a checkpoint says
/// with the data it was trained on.
fn run_config(model: &Model, options: &Options) -> Result<RunConfig> {
    let mut config = model.description().clone();
    let known = model.run_config().map(|config| config.data.source.clone());
    config.data.source =
        options.data.clone().or(known).context(
            "the checkpoint does not say what it was trained on; --data names the data set",
        )?;
    config.training.from = Some(options.input.display().to_string());
    if model.run_config().is_none() {
        let [_, height, width] = model.images().shape;
        config.data.size = Some([height, width]);
    }
    match RunData::open(&config) {
        Ok(data) => model.check_data(&config, &data)?,
        // it may lie on another machine
        Err(why @ TrainError::NoLabels { .. }) => return Err(why.into()),
        Err(why) => eprintln!(
            "whether the network goes with {} was not seen: {}",
            config.data.source,
            print::chain(&why)
        ),
    }
    Ok(config)
}
