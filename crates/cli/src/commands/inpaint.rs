//! `tweedie inpaint`: draws the unknown part of images.

use crate::inverse::{Degradation, Region, Restoration};
use anyhow::Result;
use clap::Args;
use std::process::ExitCode;

/// Draw the unknown part of images
///
/// Writes a picture with a row for each image: the original, what is known of it, and --count ways to complete
/// it. The known pixels come out as they went in. By default as Song et al.: each step and each correction has
/// the known part put back at its noise; --by has other ways.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    region: Region,
    /// Draw what is known and keep the rest
    #[arg(long)]
    invert: bool,
    #[command(flatten)]
    restoration: Restoration,
}

const EXAMPLES: &str = "\
Examples:
  tweedie inpaint runs/digits-vp --index 3,4 --right-half --out grid.png
  tweedie inpaint runs/digits-vp --image digit.png --mask mask.png --count 8
  tweedie inpaint runs/digits-vp --index 0 --box 2,2,4,4 --by project --sampler dpm-solver++ --steps 20
  tweedie inpaint runs/digits --index 0 --right-half --resample 10 --jump 10 --steps 50
  tweedie inpaint runs/digits-vp --limit 100 --right-half --count 1 --judge --json";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.restoration.run("inpainted.png", |run| {
        let known = options.region.known(run.image_size(), options.invert)?;
        Ok(Degradation::mask(run, &known))
    })
}
