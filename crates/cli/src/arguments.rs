//! The command line as data.

use crate::commands::{
    colorize, completions, convert, data, decode, encode, evaluate, inpaint, interpolate,
    likelihood, model, plan, restore, sample, schedule, train,
};
use clap::{Parser, Subcommand};

/// Trains, samples, evaluates and scores with diffusion models.
///
/// A run is a folder: its configuration, its metrics, its pictures and its checkpoints. `train` makes
/// one and continues it, every other command reads it; and reads as well the checkpoints of diffusers,
/// score_sde, guided-diffusion and improved-diffusion.
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
    Inpaint(inpaint::Options),
    Colorize(colorize::Options),
    Restore(restore::Options),
    Evaluate(evaluate::Options),
    Likelihood(likelihood::Options),
    Encode(encode::Options),
    Decode(decode::Options),
    Interpolate(interpolate::Options),
    Convert(convert::Options),
    Model(model::Options),
    Data(data::Options),
    Plan(plan::Options),
    Schedule(schedule::Options),
    Completions(completions::Options),
}

impl Command {
    /// Whether a network runs.
    pub(crate) fn computes(&self) -> bool {
        !matches!(self, Self::Data(_) | Self::Plan(_) | Self::Schedule(_) | Self::Completions(_))
    }
}

const EXAMPLES: &str = "\
Examples:
  tweedie train configs/digits.toml --out runs/digits
  tweedie train --resume runs/digits
  tweedie sample runs/digits --count 64 --class 3 --out threes.png
  tweedie inpaint runs/digits-vp --index 3,4 --right-half --out grid.png
  tweedie evaluate runs/digits
  tweedie likelihood runs/digits-vp --method flow
  tweedie interpolate runs/digits-vp --from 3 --to 12
  tweedie convert runs/digits digits-diffusers
  tweedie model info ddpm-cifar10-32
  tweedie data fetch fashion-mnist --to data/fashion-mnist
  tweedie plan --schedule cosine --sampler dpm-solver++ --steps 10
  tweedie schedule plot --schedule cosine --out cosine.png";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn no_two_options_of_a_command_get_in_each_others_way() {
        Arguments::command().debug_assert();
    }
}
