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
