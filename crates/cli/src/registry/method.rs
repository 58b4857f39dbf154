//! How to sample: a method, its options and its times, from the command line.

use super::adaptive::AdaptiveMethod;
use super::plan::Plan;
use super::sampler::{Sampler, Settings, SolverTypeName, VarianceName, variance};
use super::spacing::SpacingName;
use super::span::span;
use crate::guide::MeanShift;
use crate::precision::PrecisionName;
use crate::run::Run;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use tch::Tensor;
use tweedie_guidance::MeanGuided;
use tweedie_samplers::{
    Ancestral, AnnealedLangevin, Combination, Langevin, LearnedAncestral, PredictorCorrector,
    Solver, trace,
};
use tweedie_schedules::{DiscreteTable, NoiseSchedule, Prediction, TimeGrid};
use tweedie_score::{Clip, DataMap, DynamicThreshold, Learned, MapData, ScoreFn, Times};
use tweedie_training::RunSchedule;

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
    /// Sampling method [default: heun for models trained on EDM's schedule, ddim for all others]
    #[arg(long, value_enum)]
    sampler: Option<Sampler>,
    /// Steps, at most those of the model; one network evaluation each but where said otherwise
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Share of the ancestral noise that is added: 0 is none, 1 all of it [default: 0; with noise: 1]
    #[arg(long, value_name = "ETA", allow_hyphen_values = true)]
    eta: Option<f64>,
    /// Variance of ancestral sampling [default: that of the program the model comes from, or fixed-small]
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
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    churn: Option<f64>,
    /// Relative error allowed in a step of a method that finds its steps
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    rtol: Option<f64>,
    /// Error allowed there in a value of 0
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    atol: Option<f64>,
    /// Corrector between the steps, one more evaluation a step and iteration [default: none]
    #[arg(long, value_enum)]
    corrector: Option<CorrectorName>,
    /// Signal-to-noise ratio of the corrector's moves [default: 0.16]
    #[arg(long, value_name = "RATIO", allow_hyphen_values = true, requires = "corrector")]
    snr: Option<f64>,
    /// Moves of the corrector a step [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "corrector", value_parser = moves)]
    corrector_steps: Option<usize>,
    /// Which times are visited [default: the one that suits the method and the model]
    #[arg(long, value_enum)]
    spacing: Option<SpacingName>,
    /// The time from which the last step leads to the data, of models in continuous time
    /// [default: 0.001 for VP and sub-VP, the cleanest time trained for VE and EDM]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    eps: Option<f64>,
    /// Hold the data estimate of each step within the range of the data [default: as the program that the
    /// model comes from does]
    #[arg(long, conflicts_with_all = ["threshold", "no_clip"])]
    clip: bool,
    /// Do not hold it
    #[arg(long, conflicts_with = "threshold")]
    no_clip: bool,
    /// Dynamic thresholding instead: hold each image within this quantile of its own values
    #[arg(long, value_name = "QUANTILE", allow_hyphen_values = true, value_parser = quantile)]
    threshold: Option<f64>,
}

/// More moves a step than any run gains from.
const MOST_MOVES: usize = 1000;

/// Where a coefficient is larger, the errors of a trained network show in the picture.
const LARGEST_COEFFICIENT: f64 = 50.0;

/// Why a learned variance cannot be used.
pub(crate) const NO_VARIANCE: &str =
    "--variance learned: this model was trained without a variance of its own";

fn learned_ancestral(learned: Option<Learned>) -> Result<LearnedAncestral> {
    let learned = learned.context(NO_VARIANCE)?;
    Ok(LearnedAncestral { learned, ..LearnedAncestral::default() })
}

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
        let Self { eta, variance, order, solver_type, single_step, churn, rtol, atol, .. } = *self;
        Settings { eta, variance, order, solver_type, single_step, churn, rtol, atol }
    }

    /// The same where nothing else is asked for as the program does that the model comes from.
    pub(crate) fn suited_to(&self, run: &Run) -> Self {
        let ancestral = self.sampler_for(run.schedule()) == Sampler::Ddpm;
        let own = run.habits().variance.filter(|_| ancestral).map(VarianceName::from);
        Self { variance: self.variance.or(own), ..self.clone() }
    }

    fn sampler_for(&self, schedule: &RunSchedule) -> Sampler {
        self.sampler.unwrap_or_else(|| Sampler::suited_to(schedule))
    }

    /// The method made ready for a model: `learned` is what its network says of the variance, if it does.
    ///
    /// # Errors
    /// When an option is out of range, or not meant for the method or the model.
    pub(crate) fn plan(&self, schedule: &RunSchedule, learned: Option<Learned>) -> Result<Plan> {
        let sampler = self.sampler_for(schedule);
        if sampler.is_adaptive() {
            self.refuse_list_of_times(sampler)?;
            let span = span(schedule, self.eps)?;
            let method = Box::new(AdaptiveMethod::new(sampler, &self.settings(), &span)?);
            return Ok(Plan::Adaptive { method, start: span.point(span.time_range().1) });
        }
        Ok(Plan::Steps { solver: self.solver(schedule, learned)?, grid: self.grid(schedule)? })
    }

    /// Refuses tolerances too fine for the precision of the network.
    ///
    /// # Errors
    /// When one is, or is not above 0.
    pub(crate) fn check_tolerances(&self, precision: PrecisionName) -> Result<()> {
        let given = [("--rtol", self.rtol), ("--atol", self.atol)];
        given.into_iter().try_for_each(|(option, value)| match value {
            Some(value) => precision.tolerance(option, value).map(drop),
            None => Ok(()),
        })
    }

    /// Refuses what says where steps go, or what is done in each, to a method that finds its own.
    fn refuse_list_of_times(&self, sampler: Sampler) -> Result<()> {
        let given = [
            ("--steps", self.steps.is_some()),
            ("--spacing", self.spacing.is_some()),
            ("--corrector", self.corrector.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--clip", self.clip),
        ];
        if let Some((option, _)) = given.iter().find(|(_, given)| *given) {
            bail!("{option} means nothing to --sampler {}, which finds its steps", sampler.name());
        }
        Ok(())
    }

    /// The solver asked for.
    fn solver(
        &self,
        schedule: &RunSchedule,
        learned: Option<Learned>,
    ) -> Result<Box<dyn Solver<Tensor>>> {
        let sampler = self.sampler_for(schedule);
        let predictor: Box<dyn Solver<Tensor>> = match (sampler, self.variance) {
            (Sampler::Ddpm, Some(VarianceName::Learned)) => {
                sampler.check(&self.settings())?;
                Box::new(learned_ancestral(learned)?)
            }
            _ => sampler.solver(&self.settings(), schedule)?,
        };
        self.corrected(predictor)
    }

    /// Refuses to move the mean of a method that has none.
    ///
    /// # Errors
    /// When the method is not ancestral sampling.
    pub(crate) fn check_has_a_mean(&self, schedule: &RunSchedule) -> Result<()> {
        match self.sampler_for(schedule) {
            Sampler::Ddpm => Ok(()),
            other => bail!(
                "--guidance-form mean moves the mean of ancestral steps: it goes with --sampler ddpm, and \
                 this is {}, for which the form is score",
                other.name()
            ),
        }
    }

    /// Ancestral sampling with its mean moved by a classifier.
    ///
    /// # Errors
    /// When an option is out of range, or not meant for the method or the model.
    pub(crate) fn mean_guided<'a>(
        &self,
        MeanShift { gradient, scale, range }: MeanShift<'a>,
        learned: Option<Learned>,
    ) -> Result<Box<dyn Solver<Tensor> + 'a>> {
        Sampler::Ddpm.check(&self.settings())?;
        if self.variance == Some(VarianceName::Learned) {
            let guided = MeanGuided::new(learned_ancestral(learned)?, gradient, scale)?;
            return self.corrected(Box::new(guided.within(range)));
        }
        let ancestral = Ancestral { variance: variance(&self.settings())? };
        let guided = MeanGuided::new(ancestral, gradient, scale)?;
        self.corrected(Box::new(guided.within(range)))
    }

    /// The method with the corrector that is asked for between its steps.
    fn corrected<'a>(
        &self,
        predictor: Box<dyn Solver<Tensor> + 'a>,
    ) -> Result<Box<dyn Solver<Tensor> + 'a>> {
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
    /// When an option is out of range or not meant for the method, and when coefficients depend on
    /// the state or the network.
    pub(crate) fn symbolic(&self, schedule: &RunSchedule) -> Result<Box<dyn Solver<Combination>>> {
        let sampler = self.sampler_for(schedule);
        if sampler.is_adaptive() {
            bail!("--sampler {} has no table: it finds its steps while it runs", sampler.name());
        }
        let predictor = sampler.solver::<Combination>(&self.settings(), schedule)?;
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

    /// The network with its estimates of the data held in range, as asked; methods with adaptive
    /// steps need a score without the corners that this gives it.
    ///
    /// # Errors
    /// When the quantile is out of range.
    pub(crate) fn held_in_range<'a>(
        &self,
        run: &Run,
        score: &'a dyn ScoreFn<Tensor>,
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        let range = run.data_range();
        if let Some(quantile) = self.threshold {
            let threshold = DynamicThreshold::new(quantile)?;
            // which holds values around 0
            let map = move |data: Tensor, at: Times<'_>| {
                Ok(range.from_symmetric(&threshold.map(range.to_symmetric(&data), at)?))
            };
            return Ok(Box::new(MapData { inner: score, map }));
        }
        let asked = self.clip.then(|| range.ends());
        let bounds = asked.or(run.habits().clip).filter(|_| !self.no_clip);
        Ok(match bounds {
            Some((low, high)) if !self.sampler_for(run.schedule()).is_adaptive() => {
                Box::new(MapData { inner: score, map: Clip { low, high } })
            }
            _ => Box::new(score),
        })
    }

    /// The method, its times and the options that were given, for reports.
    pub(crate) fn describe(&self, schedule: &RunSchedule) -> String {
        let sampler = self.sampler_for(schedule);
        let mut words = vec![sampler.name()];
        if !sampler.is_adaptive() {
            words.push(format!("{} steps", self.steps_of(schedule)));
            words.push(format!("{} spacing", self.spacing_of(schedule).name()));
        }
        let default_eta = sampler == Sampler::Ddim && self.eta.is_none();
        words.extend(default_eta.then(|| "eta 0".to_owned()));
        words.extend(self.settings().words());
        words.extend(self.corrector.map(|name| {
            let name = format!("{name:?}").to_lowercase();
            format!("{name} corrector of snr {}, {} a step", self.snr(), self.corrector_steps())
        }));
        words.extend(self.eps.map(|eps| format!("down to t = {eps}")));
        words.extend(self.threshold.map(|quantile| format!("threshold {quantile}")));
        words.extend(self.clip.then(|| "clipping".to_owned()));
        words.extend(self.no_clip.then(|| "no clipping".to_owned()));
        words.join(", ")
    }

    /// A word of warning where the run would amplify the network's errors.
    ///
    /// # Errors
    /// When the method cannot run on this schedule.
    pub(crate) fn warning(&self, schedule: &RunSchedule) -> Result<Option<String>> {
        let sampler = self.sampler_for(schedule);
        if sampler.is_adaptive() || self.variance == Some(VarianceName::Learned) {
            return Ok(None);
        }
        let solver = sampler.solver::<Combination>(&self.settings(), schedule)?;
        let steps = trace(&*solver, &self.grid(schedule)?, Prediction::Data)?;
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

    fn steps_of(&self, schedule: &RunSchedule) -> usize {
        let all = schedule.table().map_or(1000, DiscreteTable::len);
        self.steps.unwrap_or_else(|| self.sampler_for(schedule).default_steps(all))
    }

    fn spacing_of(&self, schedule: &RunSchedule) -> SpacingName {
        let suited = || {
            // without signal at its noisy end a table has no finite lambda there to divide
            let pure_noise = schedule.level(schedule.time_range().1).alpha == 0.0;
            let sampler = self.sampler_for(schedule);
            let suited = sampler.default_spacing(&self.settings(), schedule);
            if pure_noise { SpacingName::Trailing } else { suited }
        };
        self.spacing.unwrap_or_else(suited)
    }

    /// The grid of times asked for, ending with the data.
    ///
    /// # Errors
    /// When there are too many steps, or they cannot be placed.
    pub(crate) fn grid(&self, schedule: &RunSchedule) -> Result<TimeGrid> {
        self.spacing_of(schedule).grid(&span(schedule, self.eps)?, self.steps_of(schedule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tweedie_schedules::{Edm, SubVpLinear, VeGeometric, VpCosine, VpLinear};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        method: Method,
    }

    fn method(words: &str) -> Method {
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).method
    }

    fn cosine(count: usize) -> RunSchedule {
        RunSchedule::Table(DiscreteTable::cosine(count).unwrap())
    }

    /// One model of each kind, and one that starts in pure noise.
    fn schedules() -> [RunSchedule; 7] {
        let zero_snr = DiscreteTable::cosine(100).unwrap().rescaled_to_zero_snr().unwrap();
        [
            cosine(100),
            RunSchedule::Table(zero_snr),
            RunSchedule::VpLinear(VpLinear::new(0.1, 20.0).unwrap()),
            RunSchedule::VpCosine(VpCosine::default()),
            RunSchedule::SubVp(SubVpLinear::new(0.1, 20.0).unwrap()),
            RunSchedule::Ve(VeGeometric::new(0.01, 50.0).unwrap()),
            RunSchedule::Edm(Edm::new(0.002, 80.0).unwrap()),
        ]
    }

    #[test]
    fn options_of_other_methods_are_refused_with_the_methods_that_take_them() {
        for (words, taker) in [
            ("--sampler ddpm --eta 0.5", "ddim"),
            ("--sampler ddim --variance fixed-large", "ddpm"),
            ("--sampler pndm --order 2", "unipc"),
            ("--sampler unipc --churn 10", "heun"),
            ("--sampler unipc --single-step", "dpm-solver++"),
            ("--sampler ddim --rtol 0.1", "ode"),
            ("--sampler ode --steps 10", "--steps means nothing to --sampler ode"),
            ("--sampler dpm-solver-adaptive --corrector langevin", "--corrector means nothing"),
        ] {
            let error = method(words).plan(&cosine(100), None).err().expect(words).to_string();
            assert!(error.contains(taker), "{words}: {error}");
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        for words in [
            "--eta -1",
            "--sampler deis --order 4",
            "--corrector langevin --snr 0",
            "--sampler ode --rtol 0",
            "--sampler ode --atol -1",
            "--sampler dpm-solver-adaptive --order 1",
            "--sampler ddpm --variance learned",
            "--eps 0.1",
        ] {
            assert!(method(words).plan(&cosine(100), None).is_err(), "{words}");
        }
        for learned in [Learned::Range, Learned::LogVariance, Learned::Variance] {
            let words = method("--sampler ddpm --variance learned");
            assert!(words.plan(&cosine(100), Some(learned)).is_ok());
            assert_eq!(learned_ancestral(Some(learned)).unwrap().learned, learned);
        }
        let [.., edm] = schedules();
        for (words, allowed) in [("--eps 0.001", false), ("--eps 0.01", true), ("--eps 80", false)]
        {
            assert_eq!(method(words).plan(&edm, None).is_ok(), allowed, "{words}");
        }
    }

    #[test]
    fn default_step_counts() {
        let steps = |words| method(words).grid(&cosine(200)).unwrap().len();
        assert_eq!(steps("--sampler ddim"), 50);
        assert_eq!(steps("--sampler ddpm"), 200);
        assert_eq!(steps("--sampler dpm-solver++"), 20);
    }

    #[test]
    fn walks_over_vp_end_where_published_and_others_at_the_cleanest_time_trained() {
        let [_, _, vp, _, _, ve, edm] = schedules();
        let end = |schedule| {
            let grid = method("--steps 3").grid(schedule).unwrap();
            grid.intervals()[2].from.t
        };
        assert_eq!((end(&vp), end(&ve), end(&edm)), (1e-3, 1e-5, 0.002));
    }

    #[test]
    fn every_method_has_defaults_that_it_plans_with_for_every_model() {
        for schedule in schedules() {
            for sampler in Sampler::value_variants() {
                let words = format!("--sampler {}", sampler.name());
                let plan = method(&words).plan(&schedule, None).expect(&words);
                assert!(plan.evaluations().is_ok(), "{words}");
            }
            assert!(method("").plan(&schedule, None).unwrap().evaluations().is_ok());
        }
    }

    #[test]
    fn every_method_plans_on_every_spacing() {
        let walking = Sampler::value_variants().iter().filter(|sampler| !sampler.is_adaptive());
        for sampler in walking {
            for spacing in SpacingName::value_variants() {
                let words =
                    format!("--sampler {} --steps 9 --spacing {}", sampler.name(), spacing.name());
                let plan = method(&words).plan(&cosine(100), None).expect(&words);
                assert!(plan.evaluations().expect(&words) >= Some(9), "{words}");
            }
        }
    }
}
