//! Names on the command line to methods of the library: nowhere else is a string turned into one.

mod parameters;
pub(crate) mod schedules;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use tch::Tensor;
use tweedie_samplers::{Ancestral, Ddim, OneStep, Solver, Variance};
use tweedie_schedules::{DiscreteTable, Spacing, TimeGrid};

/// A sampling method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampler {
    /// Ancestral sampling: a little noise in each step (default: every step of the model)
    Ddpm,
    /// DDIM: few steps, deterministic at eta 0 (default: 50 steps)
    Ddim,
}

/// The variance of ancestral sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VarianceName {
    /// That of the posterior, the lower of the two published bounds
    FixedSmall,
    /// That of the forward process, the upper one
    FixedLarge,
}

/// Which steps of the model a shorter run visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpacingName {
    /// Equal strides from the first step: the noisiest is left out
    Leading,
    /// Equal strides that hit both the first and the last
    Linspace,
    /// Equal strides back from the last: starts at pure noise
    Trailing,
}

/// How to sample.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampler")]
pub(crate) struct Method {
    /// Sampling method
    #[arg(long, value_enum, default_value = "ddim")]
    pub(crate) sampler: Sampler,
    /// Network evaluations, at most the steps of the model
    #[arg(long, value_name = "N")]
    pub(crate) steps: Option<usize>,
    /// Share of the ancestral noise that DDIM adds, from 0 (none) to 1 [default: 0]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    pub(crate) eta: Option<f64>,
    /// Variance of ancestral sampling [default: fixed-small]
    #[arg(long, value_enum)]
    pub(crate) variance: Option<VarianceName>,
    /// Which steps of the model are visited
    #[arg(long, value_enum, default_value = "trailing")]
    pub(crate) spacing: SpacingName,
    /// Do not hold the data estimate of each step within the range of the data
    #[arg(long)]
    pub(crate) no_clip: bool,
}

impl Method {
    /// The solver asked for.
    pub(crate) fn solver(&self) -> Result<Box<dyn Solver<Tensor>>> {
        match (self.sampler, self.eta, self.variance) {
            (Sampler::Ddim, eta, None) => Ok(Box::new(OneStep(Ddim::new(eta.unwrap_or(0.0))?))),
            (Sampler::Ddpm, None, name) => {
                let variance = match name {
                    Some(VarianceName::FixedLarge) => Variance::FixedLarge,
                    Some(VarianceName::FixedSmall) | None => Variance::FixedSmall,
                };
                Ok(Box::new(OneStep(Ancestral { variance })))
            }
            (Sampler::Ddim, ..) => bail!("--variance goes with --sampler ddpm; DDIM has --eta"),
            (Sampler::Ddpm, ..) => bail!("--eta goes with --sampler ddim; ddpm has --variance"),
        }
    }

    /// The method in a few words, for reports.
    pub(crate) fn describe(&self) -> String {
        let steps = self.steps.map_or("default steps".to_owned(), |steps| format!("{steps} steps"));
        match self.sampler {
            Sampler::Ddim => format!("ddim, {steps}, eta {}", self.eta.unwrap_or(0.0)),
            Sampler::Ddpm => {
                let variance = self.variance.unwrap_or(VarianceName::FixedSmall);
                format!("ddpm, {steps}, {variance:?}")
            }
        }
    }

    /// The grid of times asked for, ending with the data.
    pub(crate) fn grid(&self, table: &DiscreteTable) -> Result<TimeGrid> {
        let spacing = match self.spacing {
            SpacingName::Leading => Spacing::Leading,
            SpacingName::Linspace => Spacing::Linspace,
            SpacingName::Trailing => Spacing::Trailing,
        };
        let all = table.len();
        let steps = self.steps.unwrap_or(match self.sampler {
            Sampler::Ddpm => all,
            Sampler::Ddim => all.min(50),
        });
        if steps == 0 || steps > all {
            bail!("--steps is {steps}, expected 1 to {all} (the steps of the model)");
        }
        Ok(TimeGrid::discrete(table, steps, spacing)?.ending_clean())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(sampler: Sampler) -> Method {
        let spacing = SpacingName::Trailing;
        Method { sampler, steps: None, eta: None, variance: None, spacing, no_clip: false }
    }

    #[test]
    fn options_of_the_other_method_are_refused() {
        let with_eta = Method { eta: Some(0.5), ..method(Sampler::Ddpm) };
        assert!(with_eta.solver().err().unwrap().to_string().contains("--sampler ddim"));
        let with_variance =
            Method { variance: Some(VarianceName::FixedLarge), ..method(Sampler::Ddim) };
        assert!(with_variance.solver().err().unwrap().to_string().contains("--sampler ddpm"));
    }

    #[test]
    fn default_step_counts() {
        let table = DiscreteTable::cosine(200).unwrap();
        assert_eq!(method(Sampler::Ddim).grid(&table).unwrap().len(), 50);
        assert_eq!(method(Sampler::Ddpm).grid(&table).unwrap().len(), 200);
    }
}
