//! `tweedie sample`: draws images from a run.

use crate::device::Computation;
use crate::drawing::{Drawing, image_count};
use crate::generate::Request;
use crate::guide::Guidance;
use crate::output::{Format, Images, Replacement};
use crate::print;
use crate::registry::Method;
use crate::run::{Run, Weights};
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tch::Tensor;

/// Draw images from a run
///
/// Image k of a seed starts from the same noise whatever the count and the batch size.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// Where to write: .png (one grid), .npy, .safetensors, or a folder (one PNG an image) [default: samples.png]
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    /// Number of images
    #[arg(long, short = 'n', value_name = "N", default_value_t = 64, value_parser = image_count)]
    count: usize,
    /// Classes to draw, taken in turn: 3, or 0,1,2 [default: all in turn]
    #[arg(
        long = "class",
        value_name = "CLASS",
        value_delimiter = ',',
        allow_negative_numbers = true
    )]
    classes: Vec<usize>,
    /// Images a row of the grid [default: as square as it goes]
    #[arg(long, value_name = "N", value_parser = image_count)]
    columns: Option<usize>,
    /// Write the way from noise to image as a strip: one row an image, .png only
    #[arg(long)]
    every_step: bool,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    guidance: Guidance,
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

const EXAMPLES: &str = "\
Examples:
  tweedie sample runs/digits
  tweedie sample runs/digits --class 3 --steps 20 --eta 1 --out threes.png
  tweedie sample runs/digits --class 3 --guidance 2
  tweedie sample runs/digits --class 3 --classifier runs/digits-classifier --guidance 2
  tweedie sample runs/digits --sampler ddpm --count 8 --every-step --out strip.png
  tweedie sample runs/digits --count 1000 --out samples.npy
  tweedie sample runs/digits-ve --sampler reverse-diffusion --corrector langevin --steps 500
  tweedie sample runs/digits-edm --sampler heun --steps 18
  tweedie sample runs/digits-vp --sampler ode --rtol 1e-4
  tweedie sample ddpm-cifar10-32 --steps 50
  tweedie sample checkpoint_8.pth --config ncsnpp.json --sampler reverse-diffusion";

/// Columns of a denoising strip: more would be too small to see.
const STRIP_COLUMNS: usize = 12;

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let out =
        options.replacement.out(&options.run, options.out.as_deref(), "samples.png".as_ref())?;
    let format = Format::of(&out)?;
    if options.every_step && format != Format::Grid {
        bail!("--every-step writes a picture, but --out {} is none", out.display());
    }
    format.check(&out)?;
    options.guidance.check(!options.classes.is_empty())?;
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let guide = options.guidance.open(&run)?;
    let known = guide.class_count(&run);
    if known == 0 && !options.classes.is_empty() {
        bail!(
            "--class: this model was trained without classes; --classifier RUN steers it towards one"
        );
    }
    let classes = run.classes_below(known, &options.classes, options.count)?;
    let request = Request {
        classes: &classes,
        batch_size: options.drawing.batch_size,
        seed: options.drawing.seed,
        method: &options.method,
        guide: &guide,
    };
    let generation = request.planned(&run)?;
    let bar = generation.bar();
    let written = if options.every_step {
        let steps = generation.steps().context(
            "--every-step shows a method that walks a list of times; this one finds its steps",
        )?;
        let states = generation.at_steps(&strip_steps(steps), &bar)?;
        write_strip(&run, &states, steps + 1, &out)?
    } else {
        let images = run.as_images(&generation.images(&bar)?);
        let levels = run.dequantized_levels();
        let drawn = Images { images: &images, classes: &classes, levels };
        drawn.write(&out, options.columns)?
    };
    bar.finish_and_clear();
    print::line(&written)?;
    Ok(ExitCode::SUCCESS)
}

/// Which numbers of steps taken a strip shows, from none to all.
fn strip_steps(steps: usize) -> Vec<usize> {
    let columns = STRIP_COLUMNS.min(steps + 1);
    (0..columns).map(|column| column * steps / (columns - 1).max(1)).collect()
}

/// One row an image, from noise at the left to the image at the right.
fn write_strip(run: &Run, states: &[Tensor], all: usize, out: &Path) -> Result<String> {
    let (columns, count) = (states.len(), states[0].size()[0]);
    let row = |image: i64| states.iter().map(move |state| state.get(image));
    let rows: Vec<Tensor> = (0..count).flat_map(row).collect();
    let images = run.as_images(&Tensor::stack(&rows, 0));
    let classes = vec![None; rows.len()];
    let strip = Images { images: &images, classes: &classes, levels: run.dequantized_levels() };
    strip.write(out, Some(columns))?;
    Ok(format!("images: {count}, {columns} of {all} states each: {}", out.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_goes_from_noise_to_image() {
        assert_eq!(strip_steps(4), [0, 1, 2, 3, 4]);
        let steps = strip_steps(1000);
        assert_eq!((steps.len(), steps[0], steps[11]), (12, 0, 1000));
    }
}
