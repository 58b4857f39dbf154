//! The command line as data.

use crate::commands::{completions, data, evaluate, plan, sample, schedule, train};
use clap::{Parser, Subcommand};

/// Trains, samples and evaluates diffusion models.
///
/// A run is a folder: its configuration, its metrics, its pictures and its checkpoints. `train` makes
/// one and continues it, every other command reads it.
#[derive(Debug, Parser)]
#[command(name = "tweedie", max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What the binary can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Train(train::Options),
    Sample(sample::Options),
    Evaluate(evaluate::Options),
    Data(data::Options),
    Plan(plan::Options),
    Schedule(schedule::Options),
    Completions(completions::Options),
}

const EXAMPLES: &str = "\
Examples:
  tweedie train configs/digits.toml --out runs/digits
  tweedie train --resume runs/digits
  tweedie sample runs/digits --count 64 --class 3 --out threes.png
  tweedie evaluate runs/digits
  tweedie data fetch fashion-mnist --to data/fashion-mnist
  tweedie plan --schedule cosine --sampler dpm-solver++ --steps 10
  tweedie schedule plot --schedule cosine --out cosine.png";
