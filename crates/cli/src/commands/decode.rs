//! `tweedie decode`: carries latents to images.

use crate::device::Computation;
use crate::drawing::{batches, image_count};
use crate::flow::FlowArgs;
use crate::latents::Latents;
use crate::output::{Format, Images, Replacement};
use crate::run::{Run, Weights};
use crate::{print, progress};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use tch::Tensor;

/// Carry latents along the probability flow to images
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// The latents: .safetensors as `tweedie encode` writes them, or .npy
    latents: PathBuf,
    /// Where to write: .png (one grid), .npy, .safetensors, or a folder (one PNG an image) [default: decoded.png]
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    /// The class to tell the network, of all images [default: what they were encoded with]
    #[arg(long, value_name = "CLASS", conflicts_with = "unconditional")]
    class: Option<usize>,
    /// Do not tell the network the classes of the images
    #[arg(long)]
    unconditional: bool,
    /// Images a row of the grid [default: as square as it goes]
    #[arg(long, value_name = "N", value_parser = image_count)]
    columns: Option<usize>,
    /// Images a network call: speed and memory, and the steps of the flow, which they share
    #[arg(long, value_name = "N", default_value_t = 64, allow_negative_numbers = true, value_parser = image_count)]
    batch_size: usize,
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

const EXAMPLES: &str = "\
Examples:
  tweedie decode runs/digits-vp latents.safetensors --out decoded.png
  tweedie decode runs/digits-vp noise.npy --class 3 --out threes.png";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let out =
        options.replacement.out(&options.run, options.out.as_deref(), "decoded.png".as_ref())?;
    Format::of(&out)?.check(&out)?;
    options.flow.tolerances(options.weights.precision())?;
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let flow = options.flow.flow(&run)?;
    let latents = Latents::read(&run, &options.latents)?;
    let classes = classes(&run, &latents, options)?;
    let bar = progress::images(classes.len());
    let mut parts = Vec::new();
    for range in batches(classes.len(), options.batch_size) {
        let states = latents.states.narrow(0, range.start as i64, range.len() as i64);
        parts.push(flow.decode(&states, &classes[range.clone()])?);
        bar.inc(range.len() as u64);
    }
    bar.finish_and_clear();
    let images = run.as_images(&Tensor::cat(&parts, 0));
    let levels = run.dequantized_levels();
    let decoded = Images { images: &images, classes: &classes, levels };
    print::line(&decoded.write(&out, options.columns)?)?;
    Ok(ExitCode::SUCCESS)
}

/// One class a latent: the one asked for, or what it was encoded with.
fn classes(run: &Run, latents: &Latents, options: &Options) -> Result<Vec<Option<usize>>> {
    let count = latents.states.size()[0] as usize;
    if let Some(class) = options.class {
        return run.classes_in_turn(&[class], count);
    }
    let known = latents.classes.clone().filter(|_| !options.unconditional && run.class_count() > 0);
    let classes = known.unwrap_or_else(|| vec![None; count]);
    if classes.contains(&None) {
        run.check_unconditional()?;
    }
    for class in classes.iter().flatten() {
        run.check_class("--class", *class)?;
    }
    Ok(classes)
}
