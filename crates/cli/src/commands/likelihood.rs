//! `tweedie likelihood`: how likely is data under a run, in bits per dimension?

mod bound;
mod bound_picture;
mod flow;
mod json;
mod measurement;
mod moments;

use crate::device::Computation;
use crate::drawing::Drawing;
use crate::inputs::{InputArgs, Inputs};
use crate::ledger::Ledger;
use crate::output::{self, Replacement};
use crate::print;
use crate::run::{Run, Weights};
use crate::stop::Stop;
use anyhow::{Result, bail};
use bound::{Bound, BoundArgs};
use clap::{Args, ValueEnum};
use flow::{Flow, LikelihoodFlowArgs};
use measurement::{Keeping, Measurement, Outcome, Subject, measure};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tweedie_checkpoints::write_atomically;
use tweedie_training::is_run;

/// Measure how likely images are under a run, in bits per dimension
///
/// By the probability flow (an exact density, estimated without bias by random probes) or by the
/// variational bound of the chain that ancestral sampling walks. The two speak of different models, and
/// neither bounds the other. Ctrl-C, heard at the next call of the network, or kill -9 lose no more than the
/// batch at hand: the same command goes on.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The run folder, one of its checkpoints, or a checkpoint of another program
    run: PathBuf,
    /// How the likelihood is found
    #[arg(long, value_enum)]
    method: MethodName,
    /// Where to write the report, a .json [default: likelihood-METHOD.json in the run folder, or here]; beside it
    /// lie, while the measurement is unfinished, what is done, and the picture of the bound's terms
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    #[command(flatten)]
    replacement: Replacement,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Start over where an unfinished measurement is kept
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    inputs: InputArgs,
    #[command(flatten)]
    flow: LikelihoodFlowArgs,
    #[command(flatten)]
    bound: BoundArgs,
    #[command(flatten)]
    drawing: Drawing,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MethodName {
    /// The probability flow
    Flow,
    /// The variational bound
    Bound,
}

const EXAMPLES: &str = "\
Examples:
  tweedie likelihood runs/digits-vp --method flow
  tweedie likelihood runs/digits-vp --method flow --limit 64 --probes 4 --repeats 3 --rtol 1e-4
  tweedie likelihood runs/digits-iddpm --method bound --steps 20
  tweedie likelihood runs/digits --method bound --data train --limit 256 --json";

impl Options {
    /// Where the report goes.
    fn out(&self) -> Result<PathBuf> {
        let name = match self.method {
            MethodName::Flow => "likelihood-flow.json",
            MethodName::Bound => "likelihood-bound.json",
        };
        // a folder of another program stays as it is
        let folder = if is_run(&self.run) { &self.run } else { Path::new("") };
        self.replacement.out(&self.run, self.out.as_deref(), &folder.join(name))
    }

    /// Refuses options of the method that was not asked for.
    fn check(&self) -> Result<()> {
        let (given, method) = match self.method {
            MethodName::Flow => (self.bound.given(), "bound"),
            MethodName::Bound => (self.flow.given(), "flow"),
        };
        if self.method == MethodName::Flow && self.bound.clip {
            bail!(
                "--clip goes with --method bound: a flow whose estimates are clipped has corners, and \
                 no exact likelihood"
            );
        }
        match given {
            Some(option) => bail!("{option} goes with --method {method}"),
            None => Ok(()),
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.check()?;
    let out = options.out()?;
    if out.extension().is_none_or(|ending| ending != "json") {
        bail!("--out is {}, expected a name that ends in .json", out.display());
    }
    match options.method {
        MethodName::Flow => options.flow.check(options.weights.precision())?,
        MethodName::Bound => options.bound.check()?,
    }
    output::check_file(&out)?;
    let run = Run::open(&options.run, &options.weights, &options.computation)?;
    let inputs = Inputs::open(&run, &options.inputs, options.drawing.seed)?;
    let subject = Subject { run: &run, inputs: &inputs, drawing: options.drawing };
    match options.method {
        MethodName::Flow => {
            check_clipping(&run, options.bound.no_clip)?;
            answer(options, subject, &Flow::new(subject, &options.flow)?, &out)
        }
        MethodName::Bound => {
            let keeping = Keeping { out: &out, fresh: options.fresh };
            let bound = Bound::new(subject, &options.bound, options.flow.flow.eps, keeping)?;
            answer(options, subject, &bound, &out)
        }
    }
}

/// Refuses the flow of a model that is made to be clipped, unless that is to be left out.
fn check_clipping(run: &Run, left_out: bool) -> Result<()> {
    match run.clipped_elsewhere() {
        Some((low, high)) if !left_out => bail!(
            "the program of this model holds its estimates of the data within {low} to {high} while it \
             samples: a flow of such estimates has corners, and no exact likelihood; --no-clip scores the \
             network's own, which it was trained to give"
        ),
        _ => Ok(()),
    }
}

/// Measures, or goes on measuring, and reports.
fn answer<M: Measurement>(
    options: &Options,
    subject: Subject<'_>,
    method: &M,
    out: &Path,
) -> Result<ExitCode> {
    let stop = Stop::on_signals("before the next call of the network")?;
    let question = question(options, subject, method)?;
    let mut ledger = Ledger::open(&out.with_extension("unfinished.json"), question, options.fresh)?;
    if let Outcome::Stopped { done, of } = measure(method, &mut ledger, &stop)? {
        let kept = if done > 0 { "; what is done is kept" } else { "" };
        let words = format!("stopped after {done} of {of} images{kept}");
        for line in [&words, "go on with the same command"] {
            // standard output is for the one JSON object
            if options.json { eprintln!("{line}") } else { print::line(line)? }
        }
        return Ok(stop.exit_code());
    }
    let report = method.report(ledger.state())?;
    let json = Value::Object(whole(&ledger, report.json));
    write_atomically(out, serde_json::to_string_pretty(&json)?.as_bytes())?;
    if let Some(picture) = report.picture {
        write_atomically(&out.with_extension("png"), &picture.png()?)?;
    }
    ledger.remove()?;
    if options.json {
        eprintln!("report: {}", out.display());
        return print::line(&serde_json::to_string_pretty(&json)?).map(|()| ExitCode::SUCCESS);
    }
    report.lines.iter().try_for_each(|line| print::line(line))?;
    print::line(&format!("report: {}", out.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// All that decides what is measured.
fn question<M: Measurement>(
    options: &Options,
    subject: Subject<'_>,
    method: &M,
) -> Result<Map<String, Value>> {
    let Subject { run, inputs, .. } = subject;
    let common = [
        ("method", json!(format!("{:?}", options.method).to_lowercase())),
        ("step", json!(run.step())),
        ("weights", json!(run.weights_identity()?)),
        ("--data", json!(options.inputs.data)),
        ("images", json!(inputs.len())),
        ("checksum of the images", json!(inputs.checksum())),
        ("--unconditional", json!(options.inputs.unconditional)),
        ("--seed", json!(options.drawing.seed)),
        ("--batch-size", json!(options.drawing.batch_size)),
        ("--eps", json!(method.cleanest_time())),
        ("--precision", json!(run.precision().name())),
        ("device", json!(format!("{:?}", run.device()).to_lowercase())),
    ];
    let all = common.into_iter().chain(method.question());
    Ok(all.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The report with what was asked.
fn whole<T>(ledger: &Ledger<T>, report: Map<String, Value>) -> Map<String, Value> {
    let asked = ledger.question().iter().map(|(name, value)| {
        (name.trim_start_matches('-').replace(['-', ' '], "_"), value.clone())
    });
    asked.chain(report).collect()
}
