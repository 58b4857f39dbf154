//! `cargo xtask bench`: what is promised about speed, memory and quality, measured.

mod digits;
mod guidance;
mod inpainting;
mod likelihood;
mod measurement;
mod networks;
mod objectives;
mod peer;
pub(crate) mod recipe;
mod speed;
mod steps;
mod table;

use anyhow::Result;
use clap::Subcommand;
use std::process::ExitCode;

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    speed: speed::Args,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Train the digits with several seeds, evaluate each, and print the table of their quality
    Digits(digits::Args),
    /// Guide the digits or Fashion-MNIST at several strengths, and print the table of classes and diversity
    Guidance(guidance::Args),
    /// Draw the right halves of held-out digits by several methods, and print how often they suit the left ones
    Inpainting(inpainting::Args),
    /// Exact likelihood beside the way of `score_sde` around the same network
    Likelihood(likelihood::Args),
    /// A forward pass and a training step of every family at its published size, beside diffusers
    Networks(networks::Args),
    /// Train the digits by every objective, and print their likelihoods and the quality of their samples
    Objectives(objectives::Args),
    /// What planning and stepping cost beside the network, without libtorch
    Steps,
}

/// The command `bench`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    match &args.what {
        Some(What::Digits(args)) => digits::run(args),
        Some(What::Guidance(args)) => guidance::run(args),
        Some(What::Inpainting(args)) => inpainting::run(args),
        Some(What::Likelihood(args)) => likelihood::run(args),
        Some(What::Networks(args)) => networks::run(args),
        Some(What::Objectives(args)) => objectives::run(args),
        Some(What::Steps) => steps::run(),
        None => speed::run(&args.speed),
    }
}
