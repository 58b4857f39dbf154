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
const SPACINGS: [&str; 2] = ["lambda", "linspace"];

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
        let all = [sampling, &["--reference", "all"]].concat();
        let samples = ask(&tweedie, "evaluate", &run, &all)?;
        rows.push(Row { recipe, flow, bound, samples, seconds });
    }
    println!("{}", table(&rows));
    println!("{}", noise_table(rows.iter().filter(|row| row.recipe != LEARNED))?);
    let mut short = Vec::new();
    for variance in VARIANCES {
        let bound = |spacing| {
            let chain = ["--steps", "20", "--spacing", spacing, "--variance", variance];
            let options = [&["--method", "bound"], &chain[..]].concat();
            ask(&tweedie, "likelihood", &runs.join(LEARNED), &options)
        };
        short.push((variance, [bound(SPACINGS[0])?, bound(SPACINGS[1])?]));
    }
    print!("{}", short_table(&short));
    Ok(ExitCode::SUCCESS)
}

/// What one recipe reached.
struct Row {
    recipe: &'static str,
    flow: Value,
    bound: Value,
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
    for Row { recipe, flow, bound, samples, seconds } in rows {
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

/// Where the bounds of networks trained on dequantized images are spent, in bits/dim: at noise coarser than
/// half a level of the data, the prior's term included, and at what is finer.
fn noise_table<'a>(rows: impl Iterator<Item = &'a Row>) -> Result<Table> {
    let mut table = Table::new(&["recipe", "coarser than half a level", "finer", "finest noise"]);
    for Row { recipe, bound, .. } in rows {
        let split = Split::of(bound).with_context(|| format!("the bound of {recipe}"))?;
        let finest = format!("{:.1e}", split.finest);
        let bits = [split.coarser, split.finer].map(|bits| cell(Some(bits), 2));
        table.row([(*recipe).to_owned()].into_iter().chain(bits).chain([finest]));
    }
    Ok(table)
}

/// A bound by the noise that its terms begin at.
struct Split {
    coarser: f64,
    finer: f64,
    /// Standard deviation of the noise, the data being on the scale of -1 to 1.
    finest: f64,
}

impl Split {
    /// From the report of a bound.
    fn of(bound: &Value) -> Result<Self> {
        let levels = bound["levels"].as_f64().context("no levels")?;
        let half_a_level = 1.0 / (levels - 1.0);
        let prior = bound["prior"]["mean"].as_f64().context("no prior term")?;
        let mut split = Self { coarser: prior, finer: 0.0, finest: f64::INFINITY };
        for term in bound["terms"].as_array().context("no terms")? {
            let bits = term["bits_per_dim"].as_f64().context("a term without bits")?;
            // lambda, half the log signal-to-noise ratio, is none in pure noise
            let noise = term["lambda"].as_f64().map_or(f64::INFINITY, |lambda| (-lambda).exp());
            split.finest = split.finest.min(noise);
            *(if noise > half_a_level { &mut split.coarser } else { &mut split.finer }) += bits;
        }
        Ok(split)
    }
}

/// The bound on 20 steps, in bits/dim, by variance and spacing.
fn short_table(rows: &[(&str, [Value; 2])]) -> Table {
    let mut table = Table::new(&["variance on 20 steps", SPACINGS[0], SPACINGS[1]]);
    for (variance, [first, second]) in rows {
        table.row([(*variance).to_owned(), with_error(first), with_error(second)]);
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
        let term = |lambda: Option<f64>, bits: f64| json!({"lambda": lambda, "bits_per_dim": bits});
        // half of 17 levels is 1/16, where lambda is ln 16 = 2.77
        let terms = [(None, 0.1), (Some(-1.0), 0.2), (Some(2.7), 0.4), (Some(2.8), 0.8)];
        let bound = json!({
            "levels": 17,
            "prior": {"mean": 0.05},
            "terms": terms.map(|(lambda, bits)| term(lambda, bits)),
        });
        let row = Row {
            recipe: "digits-vp",
            flow: json!(null),
            bound,
            samples: json!(null),
            seconds: 1.0,
        };
        let text = noise_table([&row].into_iter()).expect("whole").to_string();
        assert_eq!(text.lines().last(), Some("| digits-vp | 0.75 | 0.80 | 6.1e-2 |"));
        assert!(Split::of(&json!({"levels": 17})).is_err());
    }

    #[test]
    fn a_recipe_is_a_row_with_both_likelihoods() {
        let bits = |bits: f64, n: u64| json!({"bits_per_dim": bits, "standard_error": 0.0125, "evaluations_per_batch": n});
        let row = Row {
            recipe: "digits-vp",
            flow: bits(2.0, 120),
            bound: bits(2.5, 1000),
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
