//! The variational bound, from the command line.

use super::bound_picture::picture;
use super::json::{finite, mean, per_image, with_error};
use super::measurement::{Keeping, Measurement, Report, Subject, Watch};
use super::moments;
use crate::counted::Counted;
use crate::drawing::image_count;
use crate::registry::{NO_VARIANCE, SpacingName, most_steps, span};
use crate::run::Run;
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use tweedie_likelihood::{BoundSummary, StepSummary, VariationalBound};
use tweedie_losses::{Bins, Decoder};
use tweedie_samplers::{AnalyticDpm, RunningMean};
use tweedie_schedules::{DiscreteTable, NoiseSchedule, TimeGrid, Variance};
use tweedie_score::{Clip, Conditioned, MapData, PerSample, ReverseNoise, ScoreFn};
use tweedie_sde::Sde;
use tweedie_training::RunSchedule;

/// Which chain is bounded.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Variational bound")]
pub(super) struct BoundArgs {
    /// Steps of the chain, at least 2, one evaluation each [default: all of the model; 1000 in continuous time]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    steps: Option<usize>,
    /// Where they are [default: linspace for all steps of a model that has steps, else lambda]
    #[arg(long, value_enum)]
    spacing: Option<SpacingName>,
    /// Variance of the steps [default: learned where the model learned one, else fixed-small]
    #[arg(long, value_enum)]
    variance: Option<BoundVariance>,
    /// Images of the train data that the analytic variance is estimated from [default: 512]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = image_count)]
    moment_images: Option<usize>,
    /// Hold the network's estimates of the data within -1 to 1, as published [default for the bound]
    #[arg(long, conflicts_with = "no_clip")]
    pub(super) clip: bool,
    /// Take them as they are. For the bound: where a schedule begins with hardly any signal, as the cosine
    /// does, a long first step then costs thousands of bits. For the flow: asked for with models whose own
    /// program clips
    #[arg(long)]
    pub(super) no_clip: bool,
}

/// The variance of a reverse step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BoundVariance {
    /// That of the posterior, the lower of the two published bounds
    FixedSmall,
    /// That of the forward process, the upper one
    FixedLarge,
    /// What the network learned, between the two
    Learned,
    /// The best one of a network with its errors (Analytic-DPM), estimated from train images
    Analytic,
}

impl BoundVariance {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Images that the analytic variance is estimated from.
const MOMENT_IMAGES: usize = 512;

impl BoundArgs {
    /// An option that was given, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--steps", self.steps.is_some()),
            ("--spacing", self.spacing.is_some()),
            ("--variance", self.variance.is_some()),
            ("--moment-images", self.moment_images.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// Whether estimates of the data are held in range.
    fn clips(&self) -> bool {
        !self.no_clip
    }

    /// Refuses options that do not go together, before anything is opened.
    pub(super) fn check(&self) -> Result<()> {
        if self.moment_images.is_some() && self.variance != Some(BoundVariance::Analytic) {
            bail!("--moment-images goes with --variance analytic");
        }
        Ok(())
    }

    fn variance(&self, run: &Run) -> Result<BoundVariance> {
        let learned = run.learned_variance().is_some();
        match self.variance {
            Some(BoundVariance::Learned) if !learned => bail!(NO_VARIANCE),
            Some(variance) => Ok(variance),
            None if learned => Ok(BoundVariance::Learned),
            None => Ok(BoundVariance::FixedSmall),
        }
    }

    fn steps(&self, schedule: &RunSchedule) -> usize {
        self.steps.unwrap_or(schedule.table().map_or(1000, DiscreteTable::len))
    }

    /// Down to the first step of a table, fewer stand best in lambda, as those of continuous time do; at all of them
    /// is what was trained.
    fn spacing(&self, schedule: &RunSchedule) -> SpacingName {
        // without signal at its noisy end there is no finite lambda to divide
        let pure_noise = schedule.level(schedule.time_range().1).alpha == 0.0;
        let of_table = |table: &DiscreteTable| match self.steps(schedule) < table.len() {
            true if !pure_noise => SpacingName::Lambda,
            _ => SpacingName::Linspace,
        };
        let continuous = if pure_noise { SpacingName::Time } else { SpacingName::Lambda };
        self.spacing.unwrap_or(schedule.table().map_or(continuous, of_table))
    }

    /// The chain's steps, over what was trained, or from `eps` on.
    fn grid(&self, schedule: &RunSchedule, eps: Option<f64>) -> Result<TimeGrid> {
        let (steps, most) = (self.steps(schedule), most_steps(schedule));
        if !(2..=most).contains(&steps) {
            bail!(
                "--steps is {steps}, expected 2 to {most}: the last takes its variance from the one before"
            );
        }
        self.spacing(schedule).grid(&span(schedule, eps)?, steps)
    }
}

/// The bound of the images of a run.
pub(super) struct Bound<'a> {
    subject: Subject<'a>,
    bound: VariationalBound,
    args: &'a BoundArgs,
    variance: BoundVariance,
    cleanest_time: f64,
    /// Forward passes that the moments of the analytic variance take.
    moment_passes: Option<usize>,
}

impl<'a> Bound<'a> {
    /// # Errors
    /// When an option is out of range for the run, or the moments of the analytic variance cannot be
    /// estimated.
    pub(super) fn new(
        subject: Subject<'a>,
        args: &'a BoundArgs,
        eps: Option<f64>,
        keeping: Keeping<'_>,
    ) -> Result<Self> {
        let Subject { run, inputs, .. } = subject;
        let (variance, grid) = (args.variance(run)?, args.grid(run.schedule(), eps)?);
        if !inputs.are_levels() {
            bail!("--data: the bound is that of levels, expected a data set or a picture");
        }
        let (low, high) = run.data_range().ends();
        let mut moment_passes = None;
        let noise: Box<dyn ReverseNoise> = match variance {
            BoundVariance::FixedSmall => Box::new(Variance::FixedSmall),
            BoundVariance::FixedLarge => Box::new(Variance::FixedLarge),
            BoundVariance::Learned => Box::new(run.learned_variance().context(NO_VARIANCE)?),
            BoundVariance::Analytic => {
                let count = args.moment_images.unwrap_or(MOMENT_IMAGES);
                let (moments, passes) = moments::at(subject, &grid, count, keeping)?;
                moment_passes = Some(passes);
                Box::new(AnalyticDpm::new(1.0, moments)?.with_data_range(low, high)?)
            }
        };
        let bins = Bins::new(inputs.levels()? as usize, low, high)?;
        let decoder = Decoder { bins, ..Decoder::default() };
        let bound = VariationalBound::new(&grid, &*noise, decoder)?
            .with_prior_std(run.schedule().prior_std())?;
        if run.dequantized_levels().is_some() {
            eprintln!(
                "warning: this model was trained on levels filled with noise (data.dequantize = \
                 true), of which it tells none apart from another: its last steps say so"
            );
        }
        let cleanest_time = grid.intervals().last().map_or(0.0, |step| step.from.t);
        Ok(Self { subject, bound, args, variance, cleanest_time, moment_passes })
    }
}

impl Measurement for Bound<'_> {
    type State = BoundSummary;

    fn cleanest_time(&self) -> f64 {
        self.cleanest_time
    }

    fn question(&self) -> Vec<(&'static str, Value)> {
        let schedule = self.subject.run.schedule();
        let mut question = vec![
            ("--steps", json!(self.bound.len())),
            ("--spacing", json!(self.args.spacing(schedule).name())),
            ("--variance", json!(self.variance.name())),
            ("--clip", json!(self.args.clips())),
        ];
        if self.variance == BoundVariance::Analytic {
            question
                .push(("--moment-images", json!(self.args.moment_images.unwrap_or(MOMENT_IMAGES))));
        }
        question
    }

    fn parts(&self) -> usize {
        self.subject.batches()
    }

    fn images(&self, index: usize) -> usize {
        self.subject.batch(index).len()
    }

    fn measure(&self, index: usize, state: &mut BoundSummary, watch: &Watch<'_>) -> Result<()> {
        let range = self.subject.batch(index);
        let x0 = self.subject.inputs.scaled(range.clone()).to_device(self.subject.run.device());
        let mut noise = PerSample::new(self.subject.drawing.seed, range.start, range.len());
        let conditions = self.subject.inputs.classes(range);
        let score = Conditioned { network: self.subject.run.network(), conditions };
        let score = Counted::new(&score, |passes| watch.call(passes));
        let (low, high) = self.subject.run.data_range().ends();
        let clipped = MapData { inner: &score, map: Clip { low, high } };
        let score: &dyn ScoreFn<_> = if self.args.clips() { &clipped } else { &score };
        state.add(&self.bound.evaluate(&x0, score, &mut noise)?);
        Ok(())
    }

    fn so_far(&self, state: &BoundSummary) -> String {
        format!("{:.3} bits/dim", state.total().mean())
    }

    fn report(&self, state: &BoundSummary) -> Result<Report> {
        ensure!(state.total().mean().is_finite(), "the bound is not finite");
        let title = format!(
            "{} steps, {} variance: {:.4} bits/dim",
            self.bound.len(),
            self.variance.name(),
            state.total().mean()
        );
        let picture = Some(picture(state, title, self.subject.run.schedule()));
        Ok(Report { lines: self.lines(state), json: self.json(state), picture })
    }
}

/// The terms between the prior's and the decoder's, in bits per dimension.
pub(super) fn between(state: &BoundSummary) -> f64 {
    let (_, between) = split(state.steps());
    between.iter().map(|step| step.bits.mean()).sum()
}

/// The decoder's term, and those of the steps before it.
pub(super) fn split(steps: &[StepSummary]) -> (RunningMean, &[StepSummary]) {
    match steps.split_last() {
        Some((last, before)) => (last.bits, before),
        None => (RunningMean::default(), &[]),
    }
}

impl Bound<'_> {
    fn lines(&self, state: &BoundSummary) -> Vec<String> {
        let (total, (decoder, before)) = (state.total(), split(state.steps()));
        let mut lines = vec![
            format!("bits/dim at most {}", with_error(total)),
            format!(
                "  prior L_T {:.2e}, {} steps {:.4}, decoder L_0 {:.4}",
                state.prior().mean(),
                before.len(),
                between(state),
                decoder.mean()
            ),
            format!(
                "  {} variance, {}; {} evaluations a batch, one draw of noise each",
                self.variance.name(),
                if self.args.clips() { "estimates held in range" } else { "no clipping" },
                self.bound.len()
            ),
        ];
        lines.extend(self.moment_passes.map(|passes| {
            format!("  {passes} forward passes before them for the moments of the variance")
        }));
        lines
    }

    fn json(&self, state: &BoundSummary) -> Map<String, Value> {
        let (total, (decoder, _)) = (state.total(), split(state.steps()));
        let calls = self.bound.len() * self.parts();
        let fields = [
            ("bits_per_dim", json!(total.mean())),
            ("standard_error", json!(finite(total.standard_error()))),
            ("dimensions", json!(self.subject.inputs.dimensions())),
            ("levels", json!(self.subject.inputs.levels().ok())),
            ("prior", mean(state.prior())),
            ("between", json!(between(state))),
            ("decoder", mean(decoder)),
            ("evaluations_per_batch", json!(self.bound.len())),
            ("forward_passes", json!(calls)),
            ("forward_passes_for_the_variance", json!(self.moment_passes)),
            ("terms", state.steps().iter().map(term).collect()),
            ("per_image", per_image(self.subject, state.samples())),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// A term of the table by time step.
fn term(step: &StepSummary) -> Value {
    json!({
        "from": step.from,
        "to": step.to,
        "lambda": finite(step.lambda),
        "bits_per_dim": step.bits.mean(),
        "standard_error": finite(step.bits.standard_error()),
        "data_error": step.data_error.mean(),
        "noise_error": step.noise_error.mean(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use tweedie_schedules::{Edm, SubVpLinear, VeGeometric, VpCosine, VpLinear};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BoundArgs,
    }

    fn args(words: &str) -> BoundArgs {
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace())).args
    }

    #[test]
    fn steps_stand_in_lambda_unless_they_are_all_of_the_model() {
        let table = DiscreteTable::linear(100, 1e-4, 0.02).unwrap();
        let spacing = |words| args(words).spacing(&RunSchedule::Table(table.clone()));
        assert_eq!(spacing(""), SpacingName::Linspace);
        assert_eq!(spacing("--steps 100"), SpacingName::Linspace);
        assert_eq!(spacing("--steps 20"), SpacingName::Lambda);
        assert_eq!(spacing("--steps 20 --spacing time"), SpacingName::Time);
        let pure_noise = RunSchedule::Table(table.rescaled_to_zero_snr().unwrap());
        assert_eq!(args("--steps 20").spacing(&pure_noise), SpacingName::Linspace);
        for schedule in [
            RunSchedule::VpLinear(VpLinear::new(0.1, 20.0).unwrap()),
            RunSchedule::VpCosine(VpCosine::default()),
            RunSchedule::SubVp(SubVpLinear::new(0.1, 20.0).unwrap()),
            RunSchedule::Ve(VeGeometric::new(0.01, 50.0).unwrap()),
            RunSchedule::Edm(Edm::new(0.002, 80.0).unwrap()),
        ] {
            assert_eq!(args("").spacing(&schedule), SpacingName::Lambda, "{schedule:?}");
            assert_eq!(args("--steps 20").grid(&schedule, None).unwrap().len(), 20);
        }
    }
}
