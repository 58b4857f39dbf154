//! Guidance on small data: how often the class is the one asked for, and how different the images of a class stay.

use super::recipe;
use super::table::{Table, cell};
use crate::environment::Environment;
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The strengths of guidance that are measured.
const SCALES: [f64; 4] = [0.0, 1.0, 2.0, 4.0];

/// What `cargo xtask bench guidance` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data whose recipes are measured
    #[arg(long, value_enum, default_value = "digits")]
    data: Data,

    /// Where the runs are kept; finished ones are not trained again [default: runs/bench-guidance]
    #[arg(long, value_name = "FOLDER")]
    runs: Option<PathBuf>,

    /// Images drawn for each figure
    #[arg(long, default_value_t = 1000)]
    count: usize,

    /// Steps of the sampler
    #[arg(long, default_value_t = 50)]
    steps: usize,

    /// Draw the figures into this PNG too
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Data {
    Digits,
    FashionMnist,
}

/// A way of guiding: which run is asked, and how.
struct Way {
    name: &'static str,
    run: &'static str,
    by_classifier: bool,
    untold: bool,
}

/// A run: its folder, its recipe, and what differs from that.
type Training = (&'static str, &'static str, &'static [&'static str]);

impl Data {
    fn trainings(self) -> &'static [Training] {
        match self {
            Self::Digits => &[
                ("digits", "digits", &[]),
                ("digits-unconditional", "digits", &["network.class_conditional=false"]),
                ("digits-classifier", "digits-classifier", &[]),
            ],
            Self::FashionMnist => &[
                ("fashion-mnist-subvp", "fashion-mnist-subvp", &[]),
                ("fashion-mnist-classifier", "fashion-mnist-classifier", &[]),
            ],
        }
    }

    /// The run that knows classes.
    fn model(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::FashionMnist => "fashion-mnist-subvp",
        }
    }

    fn classifier(self) -> &'static str {
        match self {
            Self::Digits => "digits-classifier",
            Self::FashionMnist => "fashion-mnist-classifier",
        }
    }

    fn ways(self) -> Vec<Way> {
        let way = |name, run, by_classifier, untold| Way { name, run, by_classifier, untold };
        let alone =
            way("classifier, model never told classes", "digits-unconditional", true, false);
        let run = self.model();
        let both = [
            way("classifier, model asked without a class", run, true, true),
            way("no classifier", run, false, false),
        ];
        let alone = (self == Self::Digits).then_some(alone);
        alone.into_iter().chain(both).collect()
    }
}

/// The command `bench guidance`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let runs = args.runs.clone().unwrap_or_else(|| workspace::root().join("runs/bench-guidance"));
    for (folder, recipe, changes) in args.data.trainings() {
        recipe::train_changed(&tweedie, recipe, &runs.join(folder), 0, changes)?;
    }
    let mut measured = Vec::new();
    for way in args.data.ways() {
        let reports = SCALES.map(|scale| evaluate(&tweedie, args, &runs, &way, scale));
        let reports = reports.into_iter().collect::<Result<Vec<_>>>()?;
        measured.push((way.name, reports));
    }
    print!("{}", table(&measured));
    if let Some(file) = &args.picture {
        draw(&measured, file)?;
    }
    println!();
    cost(args.data, &runs)
}

/// Prints what an evaluation costs, guided and not.
fn cost(data: Data, runs: &Path) -> Result<ExitCode> {
    let environment = Environment::set_up()?;
    let mut command = workspace::cargo(Some(&environment));
    command.args(["run", "--quiet", "--release", "--package", "tweedie-cli"]);
    command.args(["--example", "guidance_cost", "--"]);
    command.arg(runs.join(data.model())).arg(runs.join(data.classifier()));
    Ok(process::run(&mut command)?.exit_code())
}

/// The JSON that `tweedie evaluate` prints of one way at one scale.
fn evaluate(tweedie: &Tweedie, args: &Args, runs: &Path, way: &Way, scale: f64) -> Result<Value> {
    let mut command = tweedie.command();
    command.arg("evaluate").arg(runs.join(way.run)).args(["--json", "--reference", "all"]);
    command.args(["--count", &args.count.to_string(), "--steps", &args.steps.to_string()]);
    command.args(["--guidance", &scale.to_string()]);
    if way.by_classifier {
        command.arg("--classifier").arg(runs.join(args.data.classifier()));
    }
    if way.untold {
        command.arg("--untold");
    }
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("the evaluation of {} at guidance {scale} failed", way.run);
    }
    serde_json::from_slice(&output).context("evaluate printed no JSON")
}

fn table(measured: &[(&str, Vec<Value>)]) -> Table {
    let mut table = Table::new(&[
        "guided by",
        "guidance",
        "share with the class asked for",
        "diversity",
        "Fréchet distance",
        "sampling, s",
    ]);
    for (name, reports) in measured {
        for (scale, report) in SCALES.iter().zip(reports) {
            let figure = |key: &str, decimals| cell(report[key].as_f64(), decimals);
            table.row([
                (*name).to_owned(),
                scale.to_string(),
                figure("class_agreement", 3),
                figure("diversity", 3),
                figure("frechet_distance", 3),
                figure("sampling_seconds", 0),
            ]);
        }
    }
    if let Some(report) = measured.iter().flat_map(|(_, reports)| reports).next() {
        let figure = |key: &str| cell(report[key].as_f64(), 3);
        let none = || "-".to_owned();
        let (share, diversity) = (figure("class_agreement_real"), figure("diversity_real"));
        table.row(["real images".to_owned(), none(), share, diversity, none(), none()]);
    }
    table
}

/// Draws the figures over the scales.
fn draw(measured: &[(&str, Vec<Value>)], file: &Path) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let numbers = folder.path().join("guidance.json");
    fs::write(&numbers, serde_json::to_vec(&chart(measured))?)
        .with_context(|| format!("cannot write {}", numbers.display()))?;
    let mut command = workspace::cargo(None);
    command.args(["run", "--quiet", "--release", "--package", "tweedie-plots"]);
    command.args(["--example", "guidance", "--"]).arg(&numbers).arg(file);
    if !process::run(&mut command)?.is_success() {
        bail!("the picture could not be drawn");
    }
    Ok(())
}

/// What the picture is drawn from.
fn chart(measured: &[(&str, Vec<Value>)]) -> Value {
    let ways = measured.iter().map(|(name, reports)| {
        let over = |key: &str| reports.iter().map(|report| report[key].clone()).collect::<Vec<_>>();
        json!({
            "name": name,
            "scales": SCALES,
            "share": over("class_agreement"),
            "diversity": over("diversity"),
        })
    });
    let ways: Vec<_> = ways.collect();
    let first = measured.first().and_then(|(_, reports)| reports.first());
    let real = |key: &str| first.map(|report| report[key].clone());
    json!({
        "title": "Guidance: the class asked for, and what is left of the variety within it",
        "ways": ways,
        "real": { "share": real("class_agreement_real"), "diversity": real("diversity_real") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(share: f64) -> Value {
        json!({
            "class_agreement": share, "class_agreement_real": 0.98, "diversity": 2.5,
            "diversity_real": 2.25, "frechet_distance": 0.5, "sampling_seconds": 12.4,
        })
    }

    #[test]
    fn the_table_has_a_row_a_scale_and_ends_with_the_real_images() {
        let measured = [("classifier", [0.1, 0.8, 0.9, 0.95].map(report).to_vec())];
        let text = table(&measured).to_string();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2 + 4 + 1);
        assert_eq!(lines[4], "| classifier | 2 | 0.900 | 2.500 | 0.500 | 12 |");
        assert_eq!(lines[6], "| real images | - | 0.980 | 2.250 | - | - |");
    }

    #[test]
    fn the_picture_has_a_curve_a_way() {
        let measured = [("one", [0.1, 0.8, 0.9, 0.95].map(report).to_vec())];
        let chart = chart(&measured);
        assert_eq!(chart["ways"][0]["share"], json!([0.1, 0.8, 0.9, 0.95]));
        assert_eq!(chart["real"]["diversity"], json!(2.25));
    }

    #[test]
    fn every_way_asks_a_run_that_is_trained() {
        for data in [Data::Digits, Data::FashionMnist] {
            let trained: Vec<_> = data.trainings().iter().map(|(folder, ..)| *folder).collect();
            assert!(trained.contains(&data.classifier()));
            assert!(data.ways().iter().all(|way| trained.contains(&way.run)));
        }
    }
}
