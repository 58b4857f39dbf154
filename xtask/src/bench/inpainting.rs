//! Inpainting on digits: how often the half that was drawn belongs to the class of the half that was known.

use super::recipe;
use super::table::{Table, cell};
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The run whose network completes the images: the digits without their classes.
const RUN: &str = "digits-unconditional";

/// Methods, each with its options; the first is what the others are held against.
const METHODS: [(&str, &str); 13] = [
    (
        "predictor-corrector, 1000 steps, re-imposed",
        "--sampler reverse-diffusion --corrector langevin --steps 1000",
    ),
    (
        "RePaint: ancestral, 50 steps, each 10 walked 10 times",
        "--sampler ddpm --steps 50 --resample 10 --jump 10",
    ),
    ("DPM-Solver++, re-imposed", "--sampler dpm-solver++ --steps 20"),
    ("DPM-Solver++, projected", "--by project --steps 20"),
    (
        "DPM-Solver++, 5 steps, each walked 4 times",
        "--sampler dpm-solver++ --steps 5 --resample 4 --jump 1",
    ),
    ("SDE-DPM-Solver++, re-imposed", "--sampler sde-dpm-solver++ --steps 20"),
    (
        "SDE-DPM-Solver++, 5 steps, each walked 4 times",
        "--sampler sde-dpm-solver++ --steps 5 --resample 4 --jump 1",
    ),
    // walked again where it is decided what is drawn
    (
        "SDE-DPM-Solver++, 5 steps, walked 1, 1, 5, 8, 5 times",
        "--sampler sde-dpm-solver++ --steps 5 --resample 1,1,5,8,5 --jump 1",
    ),
    (
        "the same, 0.8 of the noise added back",
        "--sampler sde-dpm-solver++ --steps 5 --resample 1,1,5,8,5 --jump 1 --resample-noise 0.8",
    ),
    (
        "SDE-DPM-Solver++, 5 steps, walked 1, 1, 11, 16, 11 times",
        "--sampler sde-dpm-solver++ --steps 5 --resample 1,1,11,16,11 --jump 1",
    ),
    ("DDRM", "--by ddrm --steps 20"),
    ("DDRM, eta 1", "--by ddrm --steps 20 --eta 1"),
    (
        "SDE-DPM-Solver++ with the posterior's score, 7 steps",
        "--by posterior --sampler sde-dpm-solver++ --steps 7 --iterations 1",
    ),
];

/// What `cargo xtask bench inpainting` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the runs are kept; finished ones are not trained again [default: runs/bench-guidance]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,

    /// Held-out images whose right halves are drawn
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u32).range(1..=180))]
    images: u32,

    /// Seed of the training
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Seeds of the noise: each method draws all images once with each
    #[arg(long, value_delimiter = ',', default_value = "0,1,2")]
    seeds: Vec<u64>,
}

/// A method's name and what each of its runs reports.
type Reports = (&'static str, Vec<Value>);

/// The command `bench inpainting`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let runs = args.runs.clone().unwrap_or_else(|| workspace::root().join("runs/bench-guidance"));
    let run = runs.join(RUN);
    let changes = ["network.class_conditional=false"];
    recipe::train_changed(&tweedie, "digits", &run, args.seed, &changes)?;
    let mut reports: Vec<Reports> = Vec::new();
    for (name, options) in METHODS {
        eprintln!("{name}");
        let draw = |seed: &u64| inpaint(&tweedie, &run, (args.images, *seed), options);
        reports.push((name, args.seeds.iter().map(draw).collect::<Result<_>>()?));
    }
    print!("{}", table(&reports));
    Ok(ExitCode::SUCCESS)
}

/// Draws the right halves of so many images by one method, with noise of this seed, and has them judged.
fn inpaint(
    tweedie: &Tweedie,
    run: &Path,
    (images, seed): (u32, u64),
    options: &str,
) -> Result<Value> {
    let folder = tempfile::tempdir()?;
    let mut command = tweedie.command();
    command.arg("inpaint").arg(run).args(["--right-half", "--judge", "--json", "--count", "1"]);
    command.args(["--limit", &images.to_string(), "--seed", &seed.to_string()]);
    command
        .args(["--batch-size", "180", "--out"])
        .arg(folder.path().join("x.npy"))
        .args(options.split(' '));
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("tweedie inpaint of {} failed", run.display());
    }
    serde_json::from_slice(&output).context("inpaint printed no JSON")
}

/// The mean of a number over the runs that report it.
fn mean(reports: &[Value], number: impl Fn(&Value) -> Option<f64>) -> Option<f64> {
    let numbers: Vec<f64> = reports.iter().filter_map(number).collect();
    (!numbers.is_empty()).then(|| numbers.iter().sum::<f64>() / numbers.len() as f64)
}

/// Shares are means over the seeds; the images of a seed are the same for all methods.
fn table(reports: &[Reports]) -> Table {
    let mut table = Table::new(&[
        "method",
        "network calls",
        "class agreement of the drawn half",
        "over that of the first",
        "of the whole image",
        "s",
    ]);
    let share = |runs: &[Value], part: &str, of: &str| {
        mean(runs, |report| report["judged"][part][of].as_f64())
    };
    let number = |runs: &[Value], name: &str| mean(runs, |report| report[name].as_f64());
    let half = |runs: &[Value], of: &str| share(runs, "unknown_part", of);
    let first = reports.first().and_then(|(_, runs)| half(runs, "restored"));
    let ratio = |value: Option<f64>| value.zip(first).map(|(value, first)| value / first);
    for (name, runs) in reports {
        table.row([
            (*name).to_owned(),
            cell(number(runs, "network_calls"), 0),
            cell(half(runs, "restored"), 3),
            cell(ratio(half(runs, "restored")), 2),
            cell(share(runs, "whole", "restored"), 3),
            cell(number(runs, "seconds"), 0),
        ]);
    }
    let baselines = [("the mean image filled in", "mean_filled"), ("the image itself", "original")];
    for ((name, of), (_, runs)) in baselines.into_iter().zip(reports.iter().cycle()) {
        table.row([
            name.to_owned(),
            cell(None, 0),
            cell(half(runs, of), 3),
            cell(ratio(half(runs, of)), 2),
            cell(share(runs, "whole", of), 3),
            cell(None, 0),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn methods_stand_beside_the_first_and_beside_doing_nothing() {
        let report = |restored: f64, calls: f64| {
            let shares = json!({"restored": restored, "mean_filled": 0.1, "original": 0.9});
            json!({
                "network_calls": calls,
                "seconds": 12.0,
                "judged": {"whole": shares, "unknown_part": shares},
            })
        };
        let reports = vec![
            ("a", vec![report(0.9, 2000.0), report(0.7, 2000.0)]),
            ("b", vec![report(0.76, 20.0), report(0.76, 20.0)]),
        ];
        let text = table(&reports).to_string();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows[1], "| b | 20 | 0.760 | 0.95 | 0.760 | 12 |");
        assert_eq!(rows[2], "| the mean image filled in | - | 0.100 | 0.12 | 0.100 | - |");
        assert_eq!(rows[3], "| the image itself | - | 0.900 | 1.12 | 0.900 | - |");
    }
}
