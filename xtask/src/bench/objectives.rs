//! The digits by every objective: likelihood by flow and by bound, beside the quality of samples.

use super::recipe;
use super::table::{Table, cell};
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The recipes under `configs/`, each with how its samples are drawn.
const RECIPES: [(&str, &[&str]); 5] = [
    ("digits-vp", &[]),
    ("digits-subvp", &[]),
    ("digits-ve", &["--sampler", "reverse-diffusion", "--corrector", "langevin", "--steps", "250"]),
    ("digits-edm", &[]),
    ("digits-iddpm", &[]),
];

/// The recipe whose network learned a variance.
const LEARNED: &str = "digits-iddpm";
const VARIANCES: [&str; 4] = ["fixed-small", "fixed-large", "analytic", "learned"];
/// Where 20 of its steps are.
const SPACINGS: [&str; 3] = ["lambda", "linspace", "trailing"];

/// What `cargo xtask bench objectives` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the runs are kept; finished ones are not trained again [default: runs/bench-objectives]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,

    /// The seed of the trainings
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// The command `bench objectives`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let runs = args.runs.clone().unwrap_or_else(|| workspace::root().join("runs/bench-objectives"));
    let mut rows = Vec::new();
    for (recipe, sampling) in RECIPES {
        let run = runs.join(recipe);
        let seconds = recipe::train(&tweedie, recipe, &run, args.seed)?;
        let flow = ask(&tweedie, "likelihood", &run, &["--method", "flow", "--repeats", "4"])?;
        let bound = ask(&tweedie, "likelihood", &run, &["--method", "bound"])?;
        // a table of steps knows no time before its first
        let ends_anywhere = recipe != LEARNED;
        let short = ends_anywhere.then(|| short_bound(&tweedie, &run, &bound)).transpose()?;
        let all = [sampling, &["--reference", "all"]].concat();
        let samples = ask(&tweedie, "evaluate", &run, &all)?;
        rows.push(Row { recipe, flow, bound, short, samples, seconds });
    }
    println!("{}", table(&rows));
    println!("{}", noise_table(&rows)?);
    let mut short = Vec::new();
    for variance in VARIANCES {
        let bound = |spacing| {
            let chain = ["--steps", "20", "--spacing", spacing, "--variance", variance];
            let options = [&["--method", "bound"], &chain[..]].concat();
            ask(&tweedie, "likelihood", &runs.join(LEARNED), &options)
        };
        let bounds = SPACINGS.into_iter().map(bound).collect::<Result<_>>()?;
        short.push((variance, bounds));
    }
    print!("{}", short_table(&short));
    Ok(ExitCode::SUCCESS)
}

/// What one recipe reached.
struct Row {
    recipe: &'static str,
    flow: Value,
    bound: Value,
    /// The bound of the chain that ends where the noise is half a level.
    short: Option<Value>,
    samples: Value,
    seconds: f64,
}

/// The JSON that a command prints about a run.
fn ask(tweedie: &Tweedie, subcommand: &str, run: &Path, options: &[&str]) -> Result<Value> {
    let mut command = tweedie.command();
    command.arg(subcommand).arg(run).arg("--json").args(options);
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("tweedie {subcommand} of {} failed", run.display());
    }
    serde_json::from_slice(&output).with_context(|| format!("{subcommand} printed no JSON"))
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&[
        "recipe",
        "flow, bits/dim",
        "evaluations",
        "bound, bits/dim",
        "its steps",
        "class agreement",
        "Frechet distance",
        "training, s",
    ]);
    for Row { recipe, flow, bound, samples, seconds, .. } in rows {
        table.row([
            (*recipe).to_owned(),
            with_error(flow),
            cell(flow["evaluations_per_batch"].as_f64(), 0),
            with_error(bound),
            cell(bound["evaluations_per_batch"].as_f64(), 0),
            cell(samples["class_agreement"].as_f64(), 4),
            cell(samples["frechet_distance"].as_f64(), 4),
            cell(Some(*seconds), 0),
        ]);
    }
    table
}

/// Where the bounds are spent, in bits/dim: at noise coarser than half a level of the data, the prior's term
/// included, and at what is finer; and what they are where the finer steps are left to the decoder.
fn noise_table(rows: &[Row]) -> Result<Table> {
    let mut table = Table::new(&[
        "recipe",
        "coarser than half a level",
        "finer",
        "finest noise",
        "bound that ends at half a level",
    ]);
    for Row { recipe, bound, short, .. } in rows {
        let split = Split::of(bound).with_context(|| format!("the bound of {recipe}"))?;
        let finest = format!("{:.1e}", split.finest);
        let bits = [split.coarser, split.finer].map(|bits| cell(Some(bits), 2));
        let short = short.as_ref().map_or("-".to_owned(), with_error);
        table.row([(*recipe).to_owned()].into_iter().chain(bits).chain([finest, short]));
    }
    Ok(table)
}

/// The bound on 100 steps down to noise of half a level.
fn short_bound(tweedie: &Tweedie, run: &Path, bound: &Value) -> Result<Value> {
    let eps = half_level_time(bound)?.to_string();
    ask(tweedie, "likelihood", run, &["--method", "bound", "--steps", "100", "--eps", &eps])
}

/// The time at which a bound's noise is last at least half a level.
fn half_level_time(bound: &Value) -> Result<f64> {
    let half_a_level = half_a_level(bound)?;
    let terms = bound["terms"].as_array().context("no terms")?;
    let coarse = terms.iter().filter(|term| noise(term) >= half_a_level);
    let last = coarse.filter_map(|term| term["from"].as_f64()).fold(f64::INFINITY, f64::min);
    if last.is_finite() { Ok(last) } else { bail!("no noise is as large as half a level") }
}

fn half_a_level(bound: &Value) -> Result<f64> {
    Ok(1.0 / (bound["levels"].as_f64().context("no levels")? - 1.0))
}

/// Standard deviation of the noise that a term begins at, the data being on the scale of -1 to 1.
fn noise(term: &Value) -> f64 {
    // lambda, half the log signal-to-noise ratio, is none in pure noise
    term["lambda"].as_f64().map_or(f64::INFINITY, |lambda| (-lambda).exp())
}

/// A bound by the noise that its terms begin at.
struct Split {
    coarser: f64,
    finer: f64,
    finest: f64,
}

impl Split {
    /// From the report of a bound.
    fn of(bound: &Value) -> Result<Self> {
        let half_a_level = half_a_level(bound)?;
        let prior = bound["prior"]["mean"].as_f64().context("no prior term")?;
        let mut split = Self { coarser: prior, finer: 0.0, finest: f64::INFINITY };
        for term in bound["terms"].as_array().context("no terms")? {
            let bits = term["bits_per_dim"].as_f64().context("a term without bits")?;
            let noise = noise(term);
            split.finest = split.finest.min(noise);
            *(if noise >= half_a_level { &mut split.coarser } else { &mut split.finer }) += bits;
        }
        Ok(split)
    }
}

/// The bound on 20 steps, in bits/dim, by variance and spacing.
fn short_table(rows: &[(&str, Vec<Value>)]) -> Table {
    let header: Vec<&str> = ["variance on 20 steps"].into_iter().chain(SPACINGS).collect();
    let mut table = Table::new(&header);
    for (variance, bounds) in rows {
        table.row([(*variance).to_owned()].into_iter().chain(bounds.iter().map(with_error)));
    }
    table
}

fn with_error(value: &Value) -> String {
    let number = |key: &str| cell(value[key].as_f64(), 3);
    format!("{} ± {}", number("bits_per_dim"), number("standard_error"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_bound_is_split_at_noise_of_half_a_level() {
        let term = |lambda: Option<f64>, bits: f64| {
            let from = lambda.map_or(1.0, |lambda| 0.5 - 0.1 * lambda);
            json!({"lambda": lambda, "bits_per_dim": bits, "from": from})
        };
        // half of 17 levels is 1/16, where lambda is ln 16 = 2.77
        let terms = [(None, 0.1), (Some(-1.0), 0.2), (Some(2.7), 0.4), (Some(2.8), 0.8)];
        let bound = json!({
            "levels": 17,
            "prior": {"mean": 0.05},
            "terms": terms.map(|(lambda, bits)| term(lambda, bits)),
        });
        let time = half_level_time(&bound).expect("coarse terms");
        assert!((time - 0.23).abs() < 1e-12, "{time}");
        let rows = [Row {
            recipe: "digits-vp",
            flow: json!(null),
            bound,
            short: Some(json!({"bits_per_dim": 2.0, "standard_error": 0.0125})),
            samples: json!(null),
            seconds: 1.0,
        }];
        let text = noise_table(&rows).expect("whole").to_string();
        let last = "| digits-vp | 0.75 | 0.80 | 6.1e-2 | 2.000 ± 0.013 |";
        assert_eq!(text.lines().last(), Some(last));
        assert!(Split::of(&json!({"levels": 17})).is_err());
    }

    #[test]
    fn a_recipe_is_a_row_with_both_likelihoods() {
        let bits = |bits: f64, n: u64| json!({"bits_per_dim": bits, "standard_error": 0.0125, "evaluations_per_batch": n});
        let row = Row {
            recipe: "digits-vp",
            flow: bits(2.0, 120),
            bound: bits(2.5, 1000),
            short: None,
            samples: json!({"class_agreement": 0.97, "frechet_distance": 0.05}),
            seconds: 200.4,
        };
        let text = table(&[row]).to_string();
        let last = text.lines().last().expect("a row");
        assert_eq!(
            last,
            "| digits-vp | 2.000 ± 0.013 | 120 | 2.500 ± 0.013 | 1000 | 0.9700 | 0.0500 | 200 |"
        );
    }
}
