//! The likelihood of the probability flow, from the command line.

use super::json::{finite, mean, per_image, with_error};
use super::measurement::{Measurement, Report, Subject, Watch};
use crate::counted::Counted;
use crate::drawing::count_up_to;
use crate::flow::FlowArgs;
use crate::precision::PrecisionName;
use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};
use std::ops::Range;
use tch::Tensor;
use tweedie_likelihood::{
    DataScaling, Divergence, FlowLikelihood, FlowSummary, LARGEST_EXACT_TRACE, ProbeKind, Shares,
    lower_limit_share, prior_share,
};
use tweedie_schedules::NoiseSchedule;
use tweedie_score::{Conditioned, PerSample};
use tweedie_training::RunSchedule;

/// How the flow's likelihood is found.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Probability flow")]
pub(super) struct LikelihoodFlowArgs {
    #[command(flatten)]
    pub(super) flow: FlowArgs,
    /// Probes of the divergence, one backward pass each in every evaluation [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = probe_count)]
    probes: Option<usize>,
    /// What they are, or the exact trace: a backward pass for each pixel [default: rademacher]
    #[arg(long, value_enum)]
    probe: Option<ProbeName>,
    /// Draws of probes and of the noise within levels, for each image [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = repeat_count)]
    repeats: Option<usize>,
}

fn probe_count(text: &str) -> Result<usize, String> {
    count_up_to(10_000, text)
}

fn repeat_count(text: &str) -> Result<usize, String> {
    count_up_to(1000, text)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProbeName {
    /// Random signs
    Rademacher,
    /// Standard normal numbers
    Gaussian,
    /// No probes
    Exact,
}

impl LikelihoodFlowArgs {
    /// An option that was given, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--rtol", self.flow.rtol.is_some()),
            ("--atol", self.flow.atol.is_some()),
            ("--max-evaluations", self.flow.max_evaluations.is_some()),
            ("--probes", self.probes.is_some()),
            ("--probe", self.probe.is_some()),
            ("--repeats", self.repeats.is_some()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// Refuses values out of range, before anything is opened.
    pub(super) fn check(&self, precision: PrecisionName) -> Result<()> {
        self.flow.tolerances(precision)?;
        if self.probe == Some(ProbeName::Exact) && self.probes.is_some() {
            bail!("--probes means nothing to --probe exact, which has none");
        }
        Ok(())
    }

    fn divergence(&self, dimensions: usize) -> Result<Divergence> {
        let count = self.probes.unwrap_or(1);
        Ok(match self.probe {
            None | Some(ProbeName::Rademacher) => {
                Divergence::Probes { count, kind: ProbeKind::Rademacher }
            }
            Some(ProbeName::Gaussian) => Divergence::Probes { count, kind: ProbeKind::Gaussian },
            Some(ProbeName::Exact) if dimensions <= LARGEST_EXACT_TRACE => Divergence::Exact,
            Some(ProbeName::Exact) => bail!(
                "--probe exact: the images have {dimensions} values, expected at most \
                 {LARGEST_EXACT_TRACE}; use --probes"
            ),
        })
    }
}

/// The flow's likelihood of the images of a run.
pub(super) struct Flow<'a> {
    subject: Subject<'a>,
    likelihood: FlowLikelihood<RunSchedule>,
    divergence: Divergence,
    scaling: DataScaling,
    tolerances: (f64, f64),
    repeats: usize,
}

impl<'a> Flow<'a> {
    /// # Errors
    /// When an option is out of range for the run.
    pub(super) fn new(subject: Subject<'a>, args: &LikelihoodFlowArgs) -> Result<Self> {
        let Subject { run, inputs, .. } = subject;
        let divergence = args.divergence(inputs.dimensions())?;
        let likelihood =
            FlowLikelihood::new(run.schedule().clone(), args.flow.method(run.precision())?)
                .with_divergence(divergence)
                .with_lower_limit(args.flow.lower_limit(run.schedule())?)?;
        let scaling = DataScaling::new(inputs.levels()?, run.data_range().ends())?;
        if inputs.are_levels() && run.dequantized_levels().is_none() {
            eprintln!(
                "warning: this model was trained on bare levels, without noise within them \
                 (data.dequantize = false): a density may be as high there as the network is \
                 sharp, and bits/dim of images with such noise says little about them"
            );
        }
        let (tolerances, repeats) =
            (args.flow.tolerances(run.precision())?, args.repeats.unwrap_or(1));
        Ok(Self { subject, likelihood, divergence, scaling, tolerances, repeats })
    }

    /// The repeat and the images of a part.
    fn part(&self, index: usize) -> (usize, Range<usize>) {
        let batches = self.subject.batches();
        (index / batches, self.subject.batch(index % batches))
    }

    /// Images as a point of their levels' bins, and the noise that probes come from: image k of a seed
    /// and a repeat gets the same whatever the batch size.
    fn drawn(&self, repeat: usize, range: Range<usize>) -> Result<(Tensor, PerSample)> {
        let scaled = self.subject.inputs.scaled(range.clone()).to_device(self.subject.run.device());
        let mut noise =
            PerSample::new(self.subject.drawing.seed, (repeat << 32) + range.start, range.len());
        let x = match self.subject.inputs.are_levels() {
            true => self.scaling.dequantized(&scaled, &mut noise)?,
            false => scaled,
        };
        Ok((x, noise))
    }
}

impl Measurement for Flow<'_> {
    type State = FlowSummary;

    fn cleanest_time(&self) -> f64 {
        self.likelihood.lower_limit()
    }

    fn question(&self) -> Vec<(&'static str, Value)> {
        let divergence = match self.divergence {
            Divergence::Probes { count, kind } => {
                format!("{count} {}", format!("{kind:?}").to_lowercase())
            }
            _ => "exact".to_owned(),
        };
        let (relative, absolute) = self.tolerances;
        vec![
            ("--clip", json!(false)),
            ("--rtol", json!(relative)),
            ("--atol", json!(absolute)),
            ("probes", json!(divergence)),
            ("--repeats", json!(self.repeats)),
        ]
    }

    fn parts(&self) -> usize {
        self.repeats * self.subject.batches()
    }

    fn images(&self, index: usize) -> usize {
        self.part(index).1.len()
    }

    fn measure(&self, index: usize, state: &mut FlowSummary, watch: &Watch<'_>) -> Result<()> {
        let (repeat, range) = self.part(index);
        let (x, mut noise) = self.drawn(repeat, range.clone())?;
        let conditions = self.subject.inputs.classes(range);
        let score = Conditioned { network: self.subject.run.network(), conditions };
        let score = Counted::new(&score, |passes| watch.call(passes));
        let run = self.likelihood.run(&score, x.shallow_clone(), &mut noise)?;
        let schedule = self.likelihood.sde();
        let at = schedule.point(self.likelihood.lower_limit());
        let lower_limit = lower_limit_share(at, &score, &x, self.divergence, &mut noise)?;
        let shares = Shares { prior: prior_share(schedule, &x)?, lower_limit };
        state.add(repeat, &run, &shares, &self.scaling);
        Ok(())
    }

    fn so_far(&self, state: &FlowSummary) -> String {
        let first = state.repeats().first().copied().unwrap_or(f64::NAN);
        format!("{first:.3} bits/dim")
    }

    fn report(&self, state: &FlowSummary) -> Result<Report> {
        let bits = state.bits_per_dimension();
        ensure!(bits.mean().is_finite(), "the likelihood is not finite");
        Ok(Report { lines: self.lines(state), json: self.json(state), picture: None })
    }
}

impl Flow<'_> {
    fn lines(&self, state: &FlowSummary) -> Vec<String> {
        let bits = state.bits_per_dimension();
        let repeats = state.repeats();
        let each: Vec<_> = repeats.iter().map(|mean| format!("{mean:.4}")).collect();
        let (forward, backward) = state.passes();
        let mut lines = vec![format!("bits/dim {}", with_error(bits))];
        if repeats.len() > 1 {
            lines.push(format!("  by repeat: {}", each.join(", ")));
        }
        lines.push(format!(
            "  log density of an image, in nats: {:.3} of its latent under the prior, {:+.3} along \
             the flow",
            state.latents().mean(),
            state.change().mean()
        ));
        lines.push(format!(
            "  shares in it: the prior takes at most {:.2e} nats, the lower time limit adds about \
             {:.2e}",
            state.prior_share().mean(),
            state.lower_limit_share().mean()
        ));
        lines.extend(self.subject.run.clipped_elsewhere().map(|(low, high)| {
            format!(
                "  of the network's own estimates, which its program holds within {low} to {high}"
            )
        }));
        lines.push(format!(
            "  {:.1} evaluations a batch; {forward} forward and {backward} backward passes in all, \
             and one forward pass more a batch, with its backward passes, for the shares",
            state.evaluations().mean()
        ));
        lines
    }

    fn json(&self, state: &FlowSummary) -> Map<String, Value> {
        let bits = state.bits_per_dimension();
        let (forward, backward) = state.passes();
        let fields = [
            ("bits_per_dim", json!(bits.mean())),
            ("standard_error", json!(finite(bits.standard_error()))),
            ("bits_per_dim_of_repeats", json!(state.repeats())),
            ("dimensions", json!(self.subject.inputs.dimensions())),
            ("levels", json!(self.subject.inputs.levels().ok())),
            ("nats_of_latents_under_prior", mean(state.latents())),
            ("nats_along_flow", mean(state.change())),
            ("nats_taken_by_prior_at_most", mean(state.prior_share())),
            ("nats_added_by_lower_limit", mean(state.lower_limit_share())),
            ("clipped_by_its_program_to", json!(self.subject.run.clipped_elsewhere())),
            (
                "values_outside_scale",
                json!(self.subject.inputs.outside_scale().map(|(count, _)| count)),
            ),
            ("evaluations_per_batch", json!(state.evaluations().mean())),
            ("forward_passes", json!(forward)),
            ("backward_passes", json!(backward)),
            ("per_image", per_image(self.subject, &state.samples())),
        ];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}
