//! How to sample: a method, its options and its times, from the command line.

use super::sampler::{Sampler, Settings, SolverTypeName, VarianceName};
use super::spacing::SpacingName;
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use std::sync::Arc;
use tch::Tensor;
use tweedie_samplers::{
    AnnealedLangevin, Combination, Langevin, PredictorCorrector, Solver, trace,
};
use tweedie_schedules::{DiscreteTable, NoiseSchedule, Prediction, TimeGrid};
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
    /// Share of the ancestral noise that is added: 0 is none, 1 all of it [default: 0; with noise: 1]
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
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "corrector", value_parser = moves)]
    corrector_steps: Option<usize>,
    /// Which times are visited [default: the one that suits the method and the model]
    #[arg(long, value_enum)]
    spacing: Option<SpacingName>,
    /// Do not hold the data estimate of each step within the range of the data
    #[arg(long, conflicts_with = "threshold")]
    pub(crate) no_clip: bool,
    /// Dynamic thresholding instead: hold each image within this quantile of its own values
    #[arg(long, value_name = "QUANTILE", allow_negative_numbers = true, value_parser = quantile)]
    pub(crate) threshold: Option<f64>,
}

/// More moves a step than any run gains from.
const MOST_MOVES: usize = 1000;

/// Where a coefficient is larger, the errors of a trained network show in the picture.
const LARGEST_COEFFICIENT: f64 = 50.0;

fn moves(text: &str) -> Result<usize, String> {
    let moves = text.parse().ok().filter(|moves| (1..=MOST_MOVES).contains(moves));
    moves.ok_or_else(|| format!("expected a whole number from 1 to {MOST_MOVES}"))
}

fn quantile(text: &str) -> Result<f64, String> {
    let quantile = text.parse().ok().filter(|quantile| (0.0..=1.0).contains(quantile));
    quantile.ok_or_else(|| "expected a number from 0 to 1".to_owned())
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
        let (snr, iterations) = (self.snr(), self.corrector_steps());
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
        let (snr, iterations) = (self.snr(), self.corrector_steps());
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

    /// The method, its times and the options that were given, for reports.
    pub(crate) fn describe(&self, table: Option<&DiscreteTable>) -> String {
        let mut words = vec![self.sampler.name(), format!("{} steps", self.steps_of(table))];
        words.push(format!("{} spacing", self.spacing_of(table).name()));
        let default_eta = self.sampler == Sampler::Ddim && self.eta.is_none();
        words.extend(default_eta.then(|| "eta 0".to_owned()));
        words.extend(self.settings().words());
        words.extend(self.corrector.map(|name| {
            let name = format!("{name:?}").to_lowercase();
            format!("{name} corrector of snr {}, {} a step", self.snr(), self.corrector_steps())
        }));
        words.extend(self.threshold.map(|quantile| format!("threshold {quantile}")));
        words.extend(self.no_clip.then(|| "no clipping".to_owned()));
        words.join(", ")
    }

    /// A word of warning where the run would amplify the network's errors.
    ///
    /// # Errors
    /// When the method cannot run on this grid.
    pub(crate) fn warning(
        &self,
        schedule: &Arc<dyn NoiseSchedule>,
        grid: &TimeGrid,
    ) -> Result<Option<String>> {
        let solver = self.sampler.solver::<Combination>(&self.settings(), schedule)?;
        let steps = trace(&*solver, grid, Prediction::Data)?;
        let of_steps = steps.iter().flat_map(|step| step.result.terms());
        let largest = of_steps.map(|(_, factor)| factor.abs()).fold(0.0, f64::max);
        Ok((largest > LARGEST_COEFFICIENT).then(|| {
            format!(
                "this run multiplies the network's errors by up to {largest:.0} in a step; \
                 more --steps or another --spacing (lambda) keep them small"
            )
        }))
    }

    fn snr(&self) -> f64 {
        self.snr.unwrap_or(0.16)
    }

    fn corrector_steps(&self) -> usize {
        self.corrector_steps.unwrap_or(1)
    }

    fn steps_of(&self, table: Option<&DiscreteTable>) -> usize {
        let all = table.map_or(1000, DiscreteTable::len);
        self.steps.unwrap_or_else(|| self.sampler.default_steps(all))
    }

    fn spacing_of(&self, table: Option<&DiscreteTable>) -> SpacingName {
        let of_model = |table: &DiscreteTable| {
            // without signal at its noisy end a table has no finite lambda there to divide
            let pure_noise = table.level(table.time_range().1).alpha == 0.0;
            let suited = self.sampler.default_spacing(&self.settings());
            if pure_noise { SpacingName::Trailing } else { suited }
        };
        self.spacing.unwrap_or_else(|| table.map_or(SpacingName::Lambda, of_model))
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
        self.spacing_of(table).grid(schedule, table, self.steps_of(table))
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
    fn every_method_has_a_default_spacing_that_it_plans_on_from_pure_noise_too() {
        let zero_snr = DiscreteTable::cosine(100).unwrap().rescaled_to_zero_snr().unwrap();
        for table in [DiscreteTable::cosine(100).unwrap(), zero_snr] {
            let schedule: Arc<dyn NoiseSchedule> = Arc::new(table.clone());
            for sampler in Sampler::value_variants() {
                let words = format!("--sampler {}", sampler.name());
                let method = method(&words);
                let grid = method.grid(&schedule, Some(&table)).expect(&words);
                assert!(method.solver(&schedule).unwrap().evaluations(&grid).is_ok(), "{words}");
            }
        }
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
