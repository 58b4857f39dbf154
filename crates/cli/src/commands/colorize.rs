//! `tweedie colorize`: draws the colours of grey images.

use crate::inverse::{Degradation, Restoration};
use anyhow::{Result, ensure};
use clap::Args;
use std::process::ExitCode;
use tweedie_guidance::Separable;

/// Draw the colours of grey images
///
/// Of each pixel the mean of its channels is known, in orthonormal coordinates of the colours, as Song et al.
/// Colour pictures are made grey first; with --measured they are grey already.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    restoration: Restoration,
}

const EXAMPLES: &str = "\
Examples:
  tweedie colorize runs/cifar10 --index 0,1,2 --count 6 --out colours.png
  tweedie colorize runs/cifar10 --image photo.png --measured
  tweedie colorize ddpm-cifar10-32 --image photo.png --by ddrm --steps 20";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.restoration.run("colorized.png", |run| {
        let shape = run.unpadded_shape();
        ensure!(
            shape[0] > 1,
            "colorize needs a model of images with colours, this one's have {} channel",
            shape[0]
        );
        let words = "the mean of the channels".to_owned();
        Ok(Degradation::linear(run, Separable::grey(shape), None, words)?)
    })
}
