//! How to sample: a method, its options and its times, from the command line.

use super::sampler::{Sampler, Settings, SolverTypeName, VarianceName};
use super::spacing::SpacingName;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::sync::Arc;
use tch::Tensor;
use tweedie_samplers::{AnnealedLangevin, Combination, Langevin, PredictorCorrector, Solver};
use tweedie_schedules::{DiscreteTable, NoiseSchedule, TimeGrid};
use tweedie_score::{Clip, DynamicThreshold, MapData, ScoreFn};

/// A move within a noise level, between the steps of the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CorrectorName {
    /// Langevin dynamics whose step follows the norms of score and noise
    Langevin,
    /// Annealed Langevin dynamics: the step follows the noise level
    Annealed,
}

/// How to sample.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Sampler")]
pub(crate) struct Method {
    /// Sampling method
    #[arg(long, value_enum, default_value = "ddim")]
    pub(crate) sampler: Sampler,
    /// Steps, at most those of the model; one network evaluation each but where said otherwise
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) steps: Option<usize>,
    /// Share of the ancestral noise that is added, from 0 (none) to 1 [default: 0; with noise: 1]
    #[arg(long, value_name = "ETA", allow_negative_numbers = true)]
    eta: Option<f64>,
    /// Variance of ancestral sampling [default: fixed-small]
    #[arg(long, value_enum)]
    variance: Option<VarianceName>,
    /// Network evaluations that a step draws on, 1 to 3 [default: 2]
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    order: Option<u8>,
    /// How a step of order two estimates a slope [default: midpoint]
    #[arg(long, value_enum)]
    solver_type: Option<SolverTypeName>,
    /// Evaluate within the step instead of looking back: as many evaluations, fewer and longer steps
    #[arg(long)]
    single_step: bool,
    /// Noise that EDM's sampler puts back over the run [default: 0]
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    churn: Option<f64>,
    /// Corrector between the steps, one more evaluation a step and iteration [default: none]
    #[arg(long, value_enum)]
    corrector: Option<CorrectorName>,
    /// Signal-to-noise ratio of the corrector's moves [default: 0.16]
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true, requires = "corrector")]
    snr: Option<f64>,
    /// Moves of the corrector a step [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "corrector")]
    corrector_steps: Option<usize>,
    /// Which times are visited [default: trailing; heun: karras, pndm: leading, continuous: lambda]
    #[arg(long, value_enum)]
    spacing: Option<SpacingName>,
    /// Do not hold the data estimate of each step within the range of the data
    #[arg(long, conflicts_with = "threshold")]
    pub(crate) no_clip: bool,
    /// Dynamic thresholding instead: hold each image within this quantile of its own values
    #[arg(long, value_name = "QUANTILE", allow_negative_numbers = true)]
    pub(crate) threshold: Option<f64>,
}

impl Method {
    fn settings(&self) -> Settings {
        let Self { eta, variance, order, solver_type, single_step, churn, .. } = *self;
        Settings { eta, variance, order, solver_type, single_step, churn }
    }

    /// The solver asked for, for a model whose levels are those of `schedule`.
    ///
    /// # Errors
    /// When an option is out of range or not meant for the method.
    pub(crate) fn solver(
        &self,
        schedule: &Arc<dyn NoiseSchedule>,
    ) -> Result<Box<dyn Solver<Tensor>>> {
        let predictor = self.sampler.solver::<Tensor>(&self.settings(), schedule)?;
        let (snr, iterations) = (self.snr.unwrap_or(0.16), self.corrector_steps.unwrap_or(1));
        Ok(match self.corrector {
            None => predictor,
            Some(CorrectorName::Langevin) => {
                // per sample, so that an image does not depend on its batch
                let corrector = Langevin::new(snr, iterations)?.per_sample();
                Box::new(PredictorCorrector::new(predictor, corrector))
            }
            Some(CorrectorName::Annealed) => {
                let corrector = AnnealedLangevin::new(snr, iterations)?;
                Box::new(PredictorCorrector::new(predictor, corrector))
            }
        })
    }

    /// The same on symbols, for its table of coefficients.
    ///
    /// # Errors
    /// As [`solver`](Self::solver), and when coefficients depend on the state.
    pub(crate) fn symbolic(
        &self,
        schedule: &Arc<dyn NoiseSchedule>,
    ) -> Result<Box<dyn Solver<Combination>>> {
        let predictor = self.sampler.solver::<Combination>(&self.settings(), schedule)?;
        let (snr, iterations) = (self.snr.unwrap_or(0.16), self.corrector_steps.unwrap_or(1));
        Ok(match self.corrector {
            None => predictor,
            Some(CorrectorName::Annealed) => {
                let corrector = AnnealedLangevin::new(snr, iterations)?;
                Box::new(PredictorCorrector::new(predictor, corrector))
            }
            Some(CorrectorName::Langevin) => bail!(
                "--corrector langevin has no table: its step follows the norms of score and noise, \
                 which only a run has"
            ),
        })
    }

    /// The network with its estimates of the data held in range, as asked.
    ///
    /// # Errors
    /// When the quantile is out of range.
    pub(crate) fn held_in_range<'a>(
        &self,
        score: &'a dyn ScoreFn<Tensor>,
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        Ok(match self.threshold {
            Some(quantile) => {
                Box::new(MapData { inner: score, map: DynamicThreshold::new(quantile)? })
            }
            None if self.no_clip => Box::new(score),
            None => Box::new(MapData { inner: score, map: Clip { low: -1.0, high: 1.0 } }),
        })
    }

    /// The method in a few words, for reports.
    pub(crate) fn describe(&self) -> String {
        let steps = self.steps.map_or("default steps".to_owned(), |steps| format!("{steps} steps"));
        let mut words = vec![self.sampler.name(), steps];
        words.extend(self.settings().words(self.sampler));
        words.extend(self.threshold.map(|quantile| format!("threshold {quantile}")));
        words.extend(self.corrector.map(|name| format!("{name:?} corrector").to_lowercase()));
        words.join(", ")
    }

    /// The grid of times asked for, ending with the data.
    ///
    /// # Errors
    /// When there are too many steps, or they cannot be placed.
    pub(crate) fn grid(
        &self,
        schedule: &dyn NoiseSchedule,
        table: Option<&DiscreteTable>,
    ) -> Result<TimeGrid> {
        let all = table.map_or(1000, DiscreteTable::len);
        let steps = self.steps.unwrap_or_else(|| self.sampler.default_steps(all));
        let default = table.map_or(SpacingName::Lambda, |_| self.sampler.default_spacing());
        self.spacing.unwrap_or(default).grid(schedule, table, steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        method: Method,
    }

    fn method(words: &str) -> Method {
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).method
    }

    fn cosine(count: usize) -> (Arc<dyn NoiseSchedule>, DiscreteTable) {
        let table = DiscreteTable::cosine(count).unwrap();
        (Arc::new(table.clone()), table)
    }

    #[test]
    fn options_of_other_methods_are_refused_with_the_methods_that_take_them() {
        let (schedule, _) = cosine(100);
        for (words, taker) in [
            ("--sampler ddpm --eta 0.5", "ddim"),
            ("--sampler ddim --variance fixed-large", "ddpm"),
            ("--sampler pndm --order 2", "unipc"),
            ("--sampler unipc --churn 10", "heun"),
            ("--sampler unipc --single-step", "dpm-solver++"),
        ] {
            let error = method(words).solver(&schedule).err().expect(words).to_string();
            assert!(error.contains(taker), "{words}: {error}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let (schedule, _) = cosine(100);
        for words in ["--eta -1", "--sampler deis --order 4", "--corrector langevin --snr 0"] {
            assert!(method(words).solver(&schedule).is_err(), "{words}");
        }
    }

    #[test]
    fn default_step_counts() {
        let (schedule, table) = cosine(200);
        let steps = |words| method(words).grid(&schedule, Some(&table)).unwrap().len();
        assert_eq!(steps("--sampler ddim"), 50);
        assert_eq!(steps("--sampler ddpm"), 200);
        assert_eq!(steps("--sampler dpm-solver++"), 20);
    }

    #[test]
    fn every_method_plans_on_every_spacing() {
        let (schedule, table) = cosine(100);
        for sampler in Sampler::value_variants() {
            for spacing in SpacingName::value_variants() {
                let name = spacing.to_possible_value().unwrap();
                let words =
                    format!("--sampler {} --steps 9 --spacing {}", sampler.name(), name.get_name());
                let method = method(&words);
                let grid = method.grid(&schedule, Some(&table)).expect(&words);
                let evaluations = method.solver(&schedule).unwrap().evaluations(&grid);
                assert!(evaluations.expect(&words) >= 9, "{words}");
            }
        }
    }
}
