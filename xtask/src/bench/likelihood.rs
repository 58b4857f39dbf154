//! Exact likelihood, ours beside the way of `score_sde`, around the same network.

use super::table::{Table, cell};
use crate::environment::Environment;
use crate::process;
use crate::workspace;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What `cargo xtask bench likelihood` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A Python with torch, diffusers and scipy (see `bench/peer_likelihood.py`)
    #[arg(long, value_name = "PYTHON")]
    peer: PathBuf,

    /// The network
    #[arg(long, default_value = "fashion", value_parser = ["fashion", "ddpm"])]
    net: String,

    /// Images at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    batch: u32,

    /// How often to go round; the fastest time counts
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

/// Whose run it is, and in which mode.
const RUNS: [&str; 3] = ["tweedie", "eager", "channels_last"];

/// The command `bench likelihood`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let ours = build()?;
    let network = tempfile::tempdir()?;
    let mut save = args.peer_command();
    save.arg("--save").arg(network.path());
    if !process::run(&mut save)?.is_success() {
        bail!("the peer could not write its network");
    }
    let mut fastest: [Option<Value>; 3] = [None, None, None];
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}", args.rounds);
        for (mode, best) in RUNS.into_iter().zip(&mut fastest) {
            let measured = measure(&mut args.command(mode, &ours, network.path())?)?;
            let is_faster = |best: &Value| seconds(&measured) < seconds(best);
            if best.as_ref().is_none_or(is_faster) {
                *best = Some(measured);
            }
        }
    }
    print!("{}", table(&fastest.map(Option::unwrap_or_default)));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn command(&self, mode: &str, ours: &Path, network: &Path) -> Result<Command> {
        let batch = self.batch.to_string();
        if mode == RUNS[0] {
            let mut command = Command::new(ours);
            // An example is not linked with the path of libtorch in it.
            Environment::set_up()?.apply(&mut command);
            command.arg(network).arg(batch);
            return Ok(command);
        }
        let mut command = self.peer_command();
        command.args(["--mode", mode, "--batch", &batch]);
        Ok(command)
    }

    fn peer_command(&self) -> Command {
        let mut command = Command::new(&self.peer);
        command.arg(workspace::root().join("bench/peer_likelihood.py")).args(["--net", &self.net]);
        command
    }
}

/// Builds our program and gives its path.
fn build() -> Result<PathBuf> {
    let environment = Environment::set_up()?;
    let mut build = workspace::cargo(Some(&environment));
    let example = ["--package", "tweedie-unet", "--example", "likelihood_speed"];
    build.args(["build", "--release"]).args(example);
    if !process::run(&mut build)?.is_success() {
        bail!("the benchmark program could not be built");
    }
    Ok(workspace::target_folder()?.join("release/examples/likelihood_speed"))
}

/// Runs one side and reads what it measured.
fn measure(command: &mut Command) -> Result<Value> {
    let (outcome, output) = process::capture(command)?;
    if !outcome.is_success() {
        bail!("{} failed", command.get_program().to_string_lossy());
    }
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().find(|line| line.starts_with('{')).context("nothing was measured")?;
    eprintln!("  {line}");
    serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))
}

fn seconds(measured: &Value) -> f64 {
    measured["median_s"].as_f64().unwrap_or(f64::INFINITY)
}

fn table(measured: &[Value; 3]) -> Table {
    let mut table =
        Table::new(&["run", "s", "ours over it", "evaluations", "bits/dim", "peak memory, MiB"]);
    for (mode, value) in RUNS.into_iter().zip(measured) {
        let number = |key: &str, decimals| cell(value[key].as_f64(), decimals);
        table.row([
            mode.to_owned(),
            number("median_s", 2),
            cell(Some(seconds(&measured[0]) / seconds(value)), 2),
            number("evaluations", 0),
            number("bits_per_dim", 4),
            number("peak_rss_mib", 0),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_run_is_a_row_with_our_share_of_its_time() {
        let run = |s: f64| json!({"median_s": s, "evaluations": 86, "bits_per_dim": 9.5, "peak_rss_mib": 700});
        let text = table(&[run(1.0), run(2.0), run(1.6)]).to_string();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(rows[1], "| eager | 2.00 | 0.50 | 86 | 9.5000 | 700 |");
        assert_eq!(rows[2], "| channels_last | 1.60 | 0.62 | 86 | 9.5000 | 700 |");
    }
}
