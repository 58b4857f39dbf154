//! Speed and memory of the networks, ours and in turn with it the peer's, and the program's
//! start-up time.
//!
//! Each measurement is a process of its own with one network and one mode: peak memory would say
//! nothing otherwise.

use super::measurement::{Measurement, best};
use super::peer;
use crate::environment::Environment;
use crate::process;
use crate::tweedie::Tweedie;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// How often the program is started to time that.
const STARTS: usize = 11;

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Measure diffusers beside it, with this Python (it needs torch and diffusers: see
    /// `bench/peer_baseline.py`)
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,

    /// Also the peer's compiled modes; compiling takes minutes
    #[arg(long, requires = "peer")]
    compiled: bool,

    /// What to measure
    #[arg(long, num_args = 1.., default_values = ["forward", "train", "ddim"], value_parser = ["forward", "train", "ddim"])]
    what: Vec<String>,

    /// The networks
    #[arg(long, num_args = 1.., default_values = ["fashion", "ddpm"], value_parser = ["fashion", "ddpm"])]
    net: Vec<String>,

    /// Our modes
    #[arg(long, num_args = 1.., default_values = ["f32", "bf16"], value_parser = ["f32", "bf16"])]
    mode: Vec<String>,

    /// How often to go round; the fastest time and the highest memory count
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Write the tables to this file too
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// The command `bench` without a subcommand.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    let bench = build_bench()?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        for net in &args.net {
            eprintln!("round {round} of {}: {net}", args.rounds);
            for mode in &args.mode {
                let what: Vec<&str> = args.what.iter().map(String::as_str).collect();
                ours.extend(measure(Command::new(&bench), &what, net, mode)?);
                for mode in args.peer_modes(mode) {
                    peers.extend(measure(args.peer_command()?, &what, net, mode)?);
                }
            }
        }
    }
    let text = report(&best(&ours), &best(&peers), start_up(&tweedie)?, args.rounds)?;
    print!("{text}");
    if let Some(file) = &args.markdown {
        fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The peer's modes to run beside our `mode`.
    fn peer_modes(&self, mode: &str) -> Vec<&'static str> {
        let mut modes = peer::rivals(mode).to_vec();
        if self.compiled {
            modes.push(peer::compiled(mode));
        }
        if self.peer.is_some() { modes } else { Vec::new() }
    }

    fn peer_command(&self) -> Result<Command> {
        Ok(peer::command(self.peer.as_ref().context("no peer")?))
    }
}

/// Builds our benchmark program and gives its path.
pub(super) fn build_bench() -> Result<PathBuf> {
    let environment = Environment::set_up()?;
    let mut build = workspace::cargo(Some(&environment));
    build.args(["build", "--release", "--package", "tweedie-unet", "--example", "bench"]);
    if !process::run(&mut build)?.is_success() {
        bail!("the benchmark program could not be built");
    }
    Ok(workspace::target_folder()?.join("release/examples/bench"))
}

/// Runs one benchmark process and reads what it measured.
pub(super) fn measure(
    mut command: Command,
    what: &[&str],
    net: &str,
    mode: &str,
) -> Result<Vec<Measurement>> {
    // An example is not linked with the path of libtorch in it.
    Environment::set_up()?.apply(&mut command);
    command.arg("--what").args(what).args(["--net", net, "--mode", mode]);
    let (outcome, output) = process::capture(&mut command)?;
    if !outcome.is_success() {
        bail!("{} failed on {net} in mode {mode}", command.get_program().to_string_lossy());
    }
    let measured = Measurement::parse_all(&String::from_utf8_lossy(&output))?;
    for each in &measured {
        eprintln!(
            "  {} {} {}: {:.4} s, {:.0} MiB",
            each.net, each.what, each.mode, each.seconds, each.peak_mib
        );
    }
    Ok(measured)
}

/// The median time of `tweedie sample --help`, in seconds: what starting and loading libtorch
/// takes.
fn start_up(tweedie: &Tweedie) -> Result<f64> {
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let start = Instant::now();
        let mut command = tweedie.command();
        command.args(["sample", "--help"]).stdout(Stdio::null());
        if !process::run(&mut command)?.is_success() {
            bail!("`tweedie sample --help` failed");
        }
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[STARTS / 2])
}

fn report(
    ours: &[Measurement],
    peers: &[Measurement],
    start_up: f64,
    rounds: u32,
) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "{}; fastest of {rounds} rounds, each a median in a process of its own.\n",
        machine()
    )?;
    writeln!(text, "{}", peer::table(ours, peers))?;
    writeln!(
        text,
        "Ratios are ours over the peer's faster (leaner) of eager and channels_last at the same precision: below 1 is less.\n\
         Start-up, median of {STARTS} (`tweedie sample --help`): {start_up:.2} s."
    )?;
    Ok(text)
}

/// The processor and how many of it.
pub(super) fn machine() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let name = named.map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} cores of {name}")
}
