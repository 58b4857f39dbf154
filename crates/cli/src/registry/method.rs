//! How to sample: a method, its options and its times, from the command line.

mod as_diffusers;
mod corrector;
mod given_measurement;

use corrector::{CorrectorName, moves};
pub(crate) use given_measurement::Resampling;

use super::adaptive::AdaptiveMethod;
use super::hold::Hold;
use super::plan::Plan;
use super::sampler::{Sampler, Settings, SolverTypeName, VarianceName, variance};
use super::spacing::{SpacingName, check_steps};
use super::span::span;
use super::walk;
use crate::guide::MeanShift;
use crate::precision::PrecisionName;
use crate::run::Run;
use anyhow::{Context, Result, bail};
use clap::Args;
use tch::Tensor;
use tweedie_checkpoints::SamplingThreshold;
use tweedie_guidance::{GuidedCorrector, MeanGuided};
use tweedie_samplers::{
    Ancestral, AncestralChain, AnnealedLangevin, Combination, Ddim, KeepingNoise, LearnedAncestral,
    MeanAtEnd, OneStep, PredictorCorrector, ReverseDiffusion, Solver, trace,
};
use tweedie_schedules::{DiscreteTable, NoiseSchedule, Prediction, TimeGrid};
use tweedie_score::{Clip, DynamicThreshold, Learned, MapData, ScoreFn, VectorSpace};
use tweedie_sde::{Exact, Sde, SongTable, song_grid};
use tweedie_training::{DataRange, Habits, RunSchedule};

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
    /// What the program does that the model comes from, for all that is not asked for.
    #[arg(skip)]
    own: Option<Own>,
}

/// How the program that a model comes from samples with it.
#[derive(Clone, Debug)]
struct Own {
    habits: Habits,
    range: DataRange,
}

/// Where a coefficient is larger, the errors of a trained network show in the picture.
const LARGEST_COEFFICIENT: f64 = 50.0;

/// Why a learned variance cannot be used.
pub(crate) const NO_VARIANCE: &str =
    "--variance learned: this model was trained without a variance of its own";

fn learned_ancestral(learned: Option<Learned>) -> Result<LearnedAncestral> {
    let learned = learned.context(NO_VARIANCE)?;
    Ok(LearnedAncestral { learned, ..LearnedAncestral::default() })
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

    /// The same where nothing else is asked for as the program does that the model comes from, on data of
    /// this range.
    pub(crate) fn following(
        &self,
        habits: &Habits,
        range: DataRange,
        schedule: &RunSchedule,
    ) -> Self {
        let ancestral = self.sampler_for(schedule) == Sampler::Ddpm;
        let variance = habits.variance.filter(|_| ancestral).map(VarianceName::from);
        let own = Some(Own { habits: habits.clone(), range });
        Self { variance: self.variance.or(variance), own, ..self.clone() }
    }

    /// The same for the model of a run.
    pub(crate) fn suited_to(&self, run: &Run) -> Self {
        self.following(run.habits(), run.data_range(), run.schedule())
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

    /// The method without a corrector, for states of any kind.
    fn predictor<S: VectorSpace>(&self, schedule: &RunSchedule) -> Result<Box<dyn Solver<S>>> {
        Ok(self.ended(schedule, self.steps_alone(schedule)?))
    }

    /// The same with the noise of its last step.
    fn steps_alone<S: VectorSpace>(&self, schedule: &RunSchedule) -> Result<Box<dyn Solver<S>>> {
        let (sampler, settings) = (self.sampler_for(schedule), self.settings());
        if self.ends_noisy(schedule)? {
            sampler.check(&settings)?;
            let variance = variance(&settings)?;
            return Ok(Box::new(OneStep(AncestralChain { chain: Exact, variance })));
        }
        let Some(exploding) = self.exploding_chain(schedule) else {
            return sampler.steps(&settings, schedule);
        };
        sampler.check(&settings)?;
        let ends = (exploding.level(0.0).sigma, schedule.prior_std());
        let chain = SongTable::variance_exploding(ends.0, ends.1, self.steps_of(schedule))?;
        Ok(Box::new(OneStep(ReverseDiffusion::new(chain, self.eta.unwrap_or(1.0))?)))
    }

    /// Steps of the method, the last one as published.
    fn ended<S: VectorSpace>(
        &self,
        schedule: &RunSchedule,
        steps: Box<dyn Solver<S>>,
    ) -> Box<dyn Solver<S>> {
        if self.sampler_for(schedule).ends_at_mean() { Box::new(MeanAtEnd(steps)) } else { steps }
    }

    /// The solver asked for.
    fn solver(
        &self,
        schedule: &RunSchedule,
        learned: Option<Learned>,
    ) -> Result<Box<dyn Solver<Tensor>>> {
        self.corrected(self.ended(schedule, self.steps_on_tensors(schedule, learned)?))
    }

    /// Its steps, with the noise of the last one and without a corrector.
    fn steps_on_tensors(
        &self,
        schedule: &RunSchedule,
        learned: Option<Learned>,
    ) -> Result<Box<dyn Solver<Tensor>>> {
        let sampler = self.sampler_for(schedule);
        Ok(match (sampler, self.variance) {
            (Sampler::Ddpm, Some(VarianceName::Learned)) => {
                sampler.check(&self.settings())?;
                Box::new(self.learned_steps(schedule, learned)?)
            }
            (Sampler::Ddim, _) if self.keeps_noise(schedule) => {
                sampler.check(&self.settings())?;
                let predictor = Ddim::new(self.eta.unwrap_or(0.0))?;
                Box::new(KeepingNoise { predictor, map: self.hold(schedule)? })
            }
            _ => self.steps_alone(schedule)?,
        })
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

    /// Ancestral sampling with its mean moved by a classifier, a corrector guided through the score.
    ///
    /// # Errors
    /// When an option is out of range, or not meant for the method or the model.
    pub(crate) fn mean_guided<'a>(
        &self,
        MeanShift { gradient, scale, range }: MeanShift<'a>,
        learned: Option<Learned>,
    ) -> Result<Box<dyn Solver<Tensor> + 'a>> {
        Sampler::Ddpm.check(&self.settings())?;
        let of_corrector = gradient.clone();
        let corrected = |predictor: Box<dyn Solver<Tensor> + 'a>| -> Result<_> {
            let Some(corrector) = self.corrector(self.corrector_steps())? else {
                return Ok(predictor);
            };
            let corrector = GuidedCorrector::new(corrector, of_corrector, scale)?.within(range);
            let both: Box<dyn Solver<Tensor> + 'a> =
                Box::new(PredictorCorrector::new(predictor, corrector));
            Ok(both)
        };
        if self.variance == Some(VarianceName::Learned) {
            let guided = MeanGuided::new(learned_ancestral(learned)?, gradient, scale)?;
            return corrected(Box::new(guided.within(range)));
        }
        let ancestral = Ancestral { variance: variance(&self.settings())? };
        let guided = MeanGuided::new(ancestral, gradient, scale)?;
        corrected(Box::new(guided.within(range)))
    }

    /// The method on symbols, for its table of coefficients.
    ///
    /// # Errors
    /// When an option is out of range or not meant for the method, and when coefficients depend on
    /// the state or the network.
    pub(crate) fn symbolic(&self, schedule: &RunSchedule) -> Result<Box<dyn Solver<Combination>>> {
        let sampler = self.sampler_for(schedule);
        if sampler.is_adaptive() {
            bail!("--sampler {} has no table: it finds its steps while it runs", sampler.name());
        }
        let predictor = self.predictor::<Combination>(schedule)?;
        let (snr, iterations) = (self.snr(), self.corrector_steps());
        Ok(match self.corrector.filter(|_| iterations > 0) {
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

    /// The network with its estimates of the data held as asked, where the method does not do it.
    ///
    /// # Errors
    /// When the quantile is out of range.
    pub(crate) fn held_in_range<'a>(
        &self,
        schedule: &RunSchedule,
        score: &'a dyn ScoreFn<Tensor>,
    ) -> Result<Box<dyn ScoreFn<Tensor> + 'a>> {
        Ok(match self.hold(schedule)? {
            Hold::Free => Box::new(score),
            _ if self.keeps_noise(schedule) => Box::new(score),
            map => Box::new(MapData { inner: score, map }),
        })
    }

    /// What is done to estimates of the data: as asked, or as the program does that the model comes from.
    /// Methods with adaptive steps need a score without the corners that this gives it.
    fn hold(&self, schedule: &RunSchedule) -> Result<Hold> {
        let Some(Own { habits, range }) = &self.own else { return Ok(Hold::Free) };
        if let Some(quantile) = self.threshold {
            return Ok(Hold::Threshold(DynamicThreshold::new(quantile)?, *range));
        }
        if self.no_clip || self.sampler_for(schedule).is_adaptive() {
            return Ok(Hold::Free);
        }
        let own = habits.sampling.as_ref().and_then(|sampling| sampling.threshold);
        if let Some(SamplingThreshold { quantile, largest }) = own.filter(|_| !self.clip) {
            let rule = DynamicThreshold::new(quantile)?.with_ceiling(largest)?;
            return Ok(Hold::Threshold(rule, *range));
        }
        let asked = self.clip.then(|| range.ends());
        let within = |(low, high)| Hold::Within(Clip { low, high });
        Ok(asked.or(self.own_clip(schedule)).map_or(Hold::Free, within))
    }

    /// The method, its times and the options that were given, for reports.
    pub(crate) fn describe(&self, schedule: &RunSchedule) -> String {
        let sampler = self.sampler_for(schedule);
        let mut words = vec![sampler.name()];
        if !sampler.is_adaptive() {
            words.extend(self.times_in_words(schedule));
        }
        let default_eta = sampler == Sampler::Ddim && self.eta.is_none();
        words.extend(default_eta.then(|| "eta 0".to_owned()));
        words.extend(self.settings().words());
        words.extend(self.corrector.filter(|_| self.corrector_steps() > 0).map(|name| {
            let name = format!("{name:?}").to_lowercase();
            format!("{name} corrector of snr {}, {} a step", self.snr(), self.corrector_steps())
        }));
        words.extend(self.held_in_words());
        words.join(", ")
    }

    fn times_in_words(&self, schedule: &RunSchedule) -> [String; 2] {
        let (steps, spacing) = (self.steps_of(schedule), self.spacing_of(schedule).name());
        [format!("{steps} steps"), format!("{spacing} spacing")]
    }

    /// Where the run ends and how its estimates of the data are held, where that was asked for.
    fn held_in_words(&self) -> Vec<String> {
        let words = [
            self.eps.map(|eps| format!("down to t = {eps}")),
            self.threshold.map(|quantile| format!("threshold {quantile}")),
            self.clip.then(|| "clipping".to_owned()),
            self.no_clip.then(|| "no clipping".to_owned()),
        ];
        words.into_iter().flatten().collect()
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
        let solver = self.predictor::<Combination>(schedule)?;
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
        let own = self.chain_sampling(schedule).map(|sampling| sampling.spacing.into());
        self.spacing.or(own).unwrap_or_else(suited)
    }

    /// The grid of times asked for, ending with the data.
    ///
    /// # Errors
    /// When there are too many steps, or they cannot be placed.
    pub(crate) fn grid(&self, schedule: &RunSchedule) -> Result<TimeGrid> {
        let (span, steps) = (span(schedule, self.eps)?, self.steps_of(schedule));
        let spacing = self.spacing_of(schedule);
        check_steps(schedule, steps)?;
        if let (Some(sampling), Some(table)) = (self.chain_sampling(schedule), schedule.table()) {
            let walk = (self.sampler_for(schedule), steps, spacing);
            if let Some(grid) = walk::of_chain(sampling, table, walk)? {
                return Ok(grid);
            }
        }
        if let Some(exploding) = self.exploding_chain(schedule) {
            let own = self.sampling().and_then(|sampling| sampling.last_time);
            let end = self.eps.or(own).unwrap_or(exploding.time_range().0);
            return Ok(song_grid(exploding, steps, end)?);
        }
        spacing.grid(&span, steps)
    }
}

#[cfg(test)]
mod tests;
