//! The quality of the default recipe: trained with several seeds, evaluated with and without noise,
//! averaged.

use super::recipe;
use super::table::{Table, cell};
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const RECIPE: &str = "digits";

/// The stochasticities that samples are drawn with, at 50 DDIM steps.
const ETAS: [&str; 2] = ["0", "1"];

/// The figures of an evaluation: the key in its JSON, and the column's name.
const FIGURES: [(&str, &str); 3] = [
    ("class_agreement", "class agreement"),
    ("frechet_distance", "Frechet distance"),
    ("nearest_real_distance", "nearest-real distance"),
];

/// What `cargo xtask bench digits` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The seeds, one run each
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 2])]
    seeds: Vec<u64>,

    /// Where the runs are kept; finished ones are not trained again [default: runs/bench-digits]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,

    /// Write the tables to this file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The command `bench digits`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let runs = args.runs.clone().unwrap_or_else(|| workspace::root().join("runs/bench-digits"));
    let mut results = Vec::new();
    for &seed in &args.seeds {
        let run = runs.join(format!("seed-{seed}"));
        let seconds = recipe::train(&tweedie, RECIPE, &run, seed)?;
        for eta in ETAS {
            let figures = evaluate(&tweedie, &run, eta)?;
            results.push(Row { seed, eta, figures, seconds });
        }
    }
    let text = table(&results).to_string();
    print!("{text}");
    if let Some(file) = &args.markdown {
        fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What one run reached with one way of sampling.
#[derive(Debug, Clone)]
struct Row {
    seed: u64,
    eta: &'static str,
    figures: [f64; FIGURES.len()],
    seconds: f64,
}

fn evaluate(tweedie: &Tweedie, run: &Path, eta: &str) -> Result<[f64; FIGURES.len()]> {
    let mut command = tweedie.command();
    // Against the whole set, as the reference figures are.
    command.arg("evaluate").arg(run).args(["--json", "--reference", "all"]);
    command.args(["--sampler", "ddim", "--steps", "50", "--eta", eta]);
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("the evaluation of {} failed", run.display());
    }
    figures(&String::from_utf8_lossy(&output))
}

fn figures(json: &str) -> Result<[f64; FIGURES.len()]> {
    let value: Value = serde_json::from_str(json).with_context(|| format!("no JSON: {json}"))?;
    let mut figures = [0.0; FIGURES.len()];
    for (figure, (key, _)) in figures.iter_mut().zip(FIGURES) {
        *figure = value[key].as_f64().with_context(|| format!("no {key} in {json}"))?;
    }
    Ok(figures)
}

/// A row for each run and way of sampling, then the means over the seeds.
fn table(rows: &[Row]) -> Table {
    let names = FIGURES.map(|(_, name)| name);
    let mut table = Table::new(&[&["sampler", "seed"][..], &names, &["training, s"]].concat());
    for eta in ETAS {
        let of_eta: Vec<&Row> = rows.iter().filter(|row| row.eta == eta).collect();
        let mean = |value: &dyn Fn(&Row) -> f64| {
            (!of_eta.is_empty())
                .then(|| of_eta.iter().map(|row| value(row)).sum::<f64>() / of_eta.len() as f64)
        };
        for row in &of_eta {
            let figures = row.figures.map(Some);
            table.row(cells(eta, &row.seed.to_string(), &figures, Some(row.seconds)));
        }
        let means: Vec<Option<f64>> =
            (0..FIGURES.len()).map(|index| mean(&|row| row.figures[index])).collect();
        table.row(cells(eta, "mean", &means, mean(&|row| row.seconds)));
    }
    table
}

fn cells(eta: &str, seed: &str, figures: &[Option<f64>], seconds: Option<f64>) -> Vec<String> {
    let mut cells = vec![format!("DDIM 50, eta {eta}"), seed.to_owned()];
    cells.extend(figures.iter().map(|figure| cell(*figure, 4)));
    cells.push(cell(seconds, 0));
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_ends_each_way_of_sampling_with_the_mean_over_seeds() {
        let row = |seed, eta, agreement| Row {
            seed,
            eta,
            figures: [agreement, 0.04, 1.0],
            seconds: 200.0 + f64::from(u8::try_from(seed).expect("small")),
        };
        let rows = [row(0, "0", 0.98), row(0, "1", 0.99), row(2, "0", 0.96), row(2, "1", 0.97)];
        let text = table(&rows).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[4], "| DDIM 50, eta 0 | mean | 0.9700 | 0.0400 | 1.0000 | 201 |");
        assert_eq!(lines[7], "| DDIM 50, eta 1 | mean | 0.9800 | 0.0400 | 1.0000 | 201 |");
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn an_evaluation_without_a_figure_is_an_error_that_names_it() {
        let whole =
            r#"{"class_agreement": 0.98, "frechet_distance": 0.04, "nearest_real_distance": 1.0}"#;
        assert_eq!(figures(whole).expect("whole"), [0.98, 0.04, 1.0]);
        let error = figures(r#"{"class_agreement": 0.98}"#).expect_err("short").to_string();
        assert!(error.contains("frechet_distance"), "{error}");
    }
}
