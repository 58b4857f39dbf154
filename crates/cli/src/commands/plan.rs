//! `tweedie plan`: what a sampler does, step by step, without a network.

use crate::print;
use crate::registry::Method;
use crate::registry::schedules::{SCHEDULES, ScheduleArgs};
use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::process::ExitCode;
use tweedie_samplers::{Combination, Symbol, TracedStep, trace};
use tweedie_schedules::{Prediction, TimePoint};

/// Print the coefficients of a sampler and its network evaluations, without a network
///
/// Each step forms a linear combination of the state x, the network's answers (numbered through the
/// run) and fresh noise z. The coefficients are planned before the first step; here they are.
#[derive(Debug, Args)]
#[command(after_help = format!("{SCHEDULES}\n\n{EXAMPLES}"))]
pub(crate) struct Options {
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    schedules: ScheduleArgs,
    /// What the network predicts: the coefficients of its answers depend on it
    #[arg(long, value_enum, default_value = "data")]
    prediction: PredictionName,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PredictionName {
    /// The clean data
    Data,
    /// The noise
    Noise,
    /// The velocity, alpha noise - sigma data
    Velocity,
    /// The score
    Score,
}

impl PredictionName {
    fn prediction(self) -> Prediction {
        match self {
            Self::Data => Prediction::Data,
            Self::Noise => Prediction::Noise,
            Self::Velocity => Prediction::Velocity,
            Self::Score => Prediction::Score,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  tweedie plan --schedule cosine --sampler ddim --steps 10
  tweedie plan --schedule vp-linear --spacing lambda --sampler dpm-solver++ --order 3 --steps 8
  tweedie plan --run runs/digits --sampler heun --json";

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let schedules = options.schedules.all()?;
    let [named] = schedules.as_slice() else {
        bail!("{} schedules were given, expected one", schedules.len());
    };
    let schedule = named.schedule();
    let method = named.suited(&options.method);
    let (solver, grid) = (method.symbolic(schedule)?, method.grid(schedule)?);
    let steps = trace(&*solver, &grid, options.prediction.prediction())?;
    let evaluations: usize = steps.iter().map(|step| step.evaluations.len()).sum();
    let method = method.describe(schedule);
    if options.json {
        let object = json!({
            "sampler": method,
            "schedule": named.name(),
            "prediction": format!("{:?}", options.prediction.prediction()).to_lowercase(),
            "evaluations": evaluations,
            "steps": json_steps(&steps),
        });
        print::line(&object.to_string())?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = named.name();
    print::line(&format!("{method}, on {name}: {evaluations} network evaluations"))?;
    for line in lines(&steps) {
        print::line(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A line a step, and one before it for each evaluation that is not of the step's own state.
fn lines(steps: &[TracedStep]) -> Vec<String> {
    let mut lines = vec![format!("{:>4}  {:>22}  {:>9}  next state", "step", "t", "lambda")];
    let mut evaluation = 0;
    for (index, step) in steps.iter().enumerate() {
        for asked in &step.evaluations {
            let name = format!("f{evaluation}");
            evaluation += 1;
            lines.push(format!(
                "{:>4}  {:>22}  {:>9}  {name} = network({})",
                "",
                format!("{:.6}", asked.at.t),
                lambda(asked.at),
                formula(&asked.input)
            ));
        }
        let (times, end) = step.interval.map_or((String::new(), String::new()), |interval| {
            (format!("{:.6} -> {:.6}", interval.from.t, interval.to.t), lambda(interval.to))
        });
        let result = formula(&step.result);
        lines.push(format!("{index:>4}  {times:>22}  {end:>9}  x{} = {result}", index + 1));
    }
    lines
}

fn lambda(at: TimePoint) -> String {
    format!("{:.4}", at.level.lambda())
}

/// `0.5 x3 + 0.2 f3 - 0.1 f2`.
fn formula(combination: &Combination) -> String {
    let mut text = String::new();
    for (symbol, coefficient) in combination.terms() {
        let sign = match (text.is_empty(), coefficient < 0.0) {
            (true, false) => "",
            (true, true) => "-",
            (false, false) => " + ",
            (false, true) => " - ",
        };
        let size = coefficient.abs();
        let factor = if size == 1.0 { String::new() } else { format!("{size:.6} ") };
        text += &format!("{sign}{factor}{}", name(symbol));
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

fn name(symbol: Symbol) -> String {
    match symbol {
        Symbol::State(index) => format!("x{index}"),
        Symbol::Output(index) => format!("f{index}"),
        Symbol::Noise(index) => format!("z{index}"),
    }
}

fn json_steps(steps: &[TracedStep]) -> Vec<Value> {
    let point = |at: TimePoint| json!({"t": at.t, "alpha": at.level.alpha, "sigma": at.level.sigma, "lambda": finite(at.level.lambda())});
    let step = |step: &TracedStep| {
        let asked = |asked: &tweedie_samplers::Evaluation| json!({"at": point(asked.at), "input": json_terms(&asked.input)});
        json!({
            "from": step.interval.map(|interval| point(interval.from)),
            "to": step.interval.map(|interval| point(interval.to)),
            "evaluations": step.evaluations.iter().map(asked).collect::<Vec<_>>(),
            "result": json_terms(&step.result),
        })
    };
    steps.iter().map(step).collect()
}

fn json_terms(combination: &Combination) -> Value {
    combination.terms().map(|(symbol, coefficient)| (name(symbol), json!(coefficient))).collect()
}

/// JSON has no infinity.
fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
