//! Every family of networks at the size it is published for: a forward pass and a training step, ours and
//! in turn with it the peer's, beside what the machine is capable of.
//!
//! On a shared machine the speed drifts. So one round measures both sides one after the other, each in a
//! process of its own, the ratio is taken within a round, and of several rounds the median counts. With
//! one thread the time of the processor is measured, which other programs disturb least.

use super::measurement::Measurement;
use super::peer;
use super::speed::{build_bench, machine, measure};
use super::table::{Table, cell};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The networks, with those of the peer that cost as much.
const NETWORKS: [(&str, Option<&str>); 7] = [
    ("ddpm", Some("ddpm")),
    ("diffusers-resnet", Some("diffusers-resnet")),
    ("diffusers-skip", Some("diffusers-skip")),
    ("ddpmpp", Some("diffusers-resnet")),
    ("ncsnpp", Some("diffusers-skip")),
    ("ncsnv2", None),
    ("adm", Some("diffusers-adm")),
];

/// What `cargo xtask bench networks` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Measure diffusers beside it, with this Python (it needs torch and diffusers: see
    /// `bench/peer_baseline.py`)
    #[arg(long, value_name = "PYTHON")]
    peer: Option<PathBuf>,

    /// Also the peer's compiled mode; compiling takes minutes
    #[arg(long, requires = "peer")]
    compiled: bool,

    /// The networks
    #[arg(long, num_args = 1.., default_values = NETWORKS.map(|(name, _)| name), value_parser = NETWORKS.map(|(name, _)| name))]
    net: Vec<String>,

    /// What to measure
    #[arg(long, num_args = 1.., default_values = ["forward", "train"], value_parser = ["forward", "train", "train-checkpointed"])]
    what: Vec<String>,

    /// The precisions
    #[arg(long, num_args = 1.., default_values = ["f32", "bf16"], value_parser = ["f32", "bf16"])]
    mode: Vec<String>,

    /// Images at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1024))]
    batch: u32,

    /// Threads of each side
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    threads: u32,

    /// How often to go round
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,

    /// Steps measured in each process
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,

    /// Steps before those
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    warmup: u32,

    /// Write the table to this file too, and anew after every network
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// What one round measured of one network in one precision.
struct Round {
    /// Speed of one large convolution, in GFLOP/s.
    peak: f64,
    ours: Vec<Measurement>,
    /// In the peer's modes.
    peers: Vec<Measurement>,
}

/// The command `bench networks`.
pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let bench = build_bench()?;
    let mut table = new_table();
    for net in &args.net {
        for mode in &args.mode {
            let rounds: Result<Vec<_>> = (1..=args.rounds)
                .map(|round| {
                    eprintln!("{net} in {mode}, round {round} of {}", args.rounds);
                    args.round(&bench, net, mode)
                })
                .collect();
            args.rows(&mut table, &rounds?);
            if let Some(file) = &args.markdown {
                fs::write(file, args.report(&table))
                    .with_context(|| format!("cannot write {}", file.display()))?;
            }
        }
    }
    print!("{}", args.report(&table));
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn round(&self, bench: &Path, net: &str, mode: &str) -> Result<Round> {
        let numbered = |mut command: Command| {
            let numbers = [
                ("--threads", self.threads),
                ("--batch", self.batch),
                ("--runs", self.runs),
                ("--warmup", self.warmup),
            ];
            for (flag, number) in numbers {
                command.arg(flag).arg(number.to_string());
            }
            command
        };
        let ours = || numbered(Command::new(bench));
        let conv = measure(ours(), &["forward"], "conv", mode)?;
        let conv = conv.first().context("the convolution was not measured")?;
        let peak = conv.gflop / self.seconds(conv);
        let (mut mine, mut peers) = (Vec::new(), Vec::new());
        for what in &self.what {
            // Each in a process of its own: peak memory would say nothing otherwise.
            mine.extend(measure(ours(), &[what], net, mode)?);
            let twin = NETWORKS.iter().find(|(name, _)| *name == net).and_then(|(_, twin)| *twin);
            let (Some(python), Some(twin), true) = (&self.peer, twin, what != "train-checkpointed")
            else {
                continue;
            };
            let compiled = self.compiled.then_some(peer::compiled(mode));
            for mode in peer::rivals(mode).into_iter().chain(compiled) {
                peers.extend(measure(numbered(peer::command(python)), &[what], twin, mode)?);
            }
        }
        Ok(Round { peak, ours: mine, peers })
    }

    /// The time that counts.
    fn seconds(&self, measured: &Measurement) -> f64 {
        if self.threads == 1 { measured.processor_seconds } else { measured.seconds }
    }

    fn rows(&self, table: &mut Table, rounds: &[Round]) {
        for what in &self.what {
            let of = |list: &[Measurement], mode: Option<&str>| {
                let wanted =
                    |m: &&Measurement| m.what == *what && mode.is_none_or(|mode| m.mode == mode);
                list.iter().find(wanted).cloned()
            };
            let ours: Vec<_> = rounds.iter().filter_map(|round| of(&round.ours, None)).collect();
            let Some(first) = ours.first() else { continue };
            let seconds = median(ours.iter().map(|m| self.seconds(m)));
            let speed = seconds.map(|seconds| first.gflop / seconds);
            let peak = median(rounds.iter().map(|round| round.peak));
            let peer = |mode: &str| {
                let measured = rounds.iter().filter_map(|round| of(&round.peers, Some(mode)));
                median(measured.map(|m| self.seconds(&m)))
            };
            let [eager, channels_last] = peer::rivals(&first.mode);
            let ratio = median(rounds.iter().filter_map(|round| {
                let rivals = [eager, channels_last].into_iter();
                let rivals = rivals.filter_map(|mode| of(&round.peers, Some(mode)));
                let fastest = rivals.map(|m| self.seconds(&m)).reduce(f64::min)?;
                Some(self.seconds(&of(&round.ours, None)?) / fastest)
            }));
            let memory = |list: Vec<f64>| list.into_iter().reduce(f64::max);
            let leanest = rounds.iter().flat_map(|round| &round.peers);
            let leanest = leanest.filter(|m| m.what == *what).map(|m| m.peak_mib);
            table.row([
                first.net.clone(),
                what.clone(),
                first.mode.clone(),
                cell(seconds, 3),
                cell(peer(eager), 3),
                cell(peer(channels_last), 3),
                cell(peer(peer::compiled(&first.mode)), 3),
                cell(ratio, 2),
                cell(speed, 0),
                cell(speed.zip(peak).map(|(speed, peak)| 100.0 * speed / peak), 0),
                cell(memory(ours.iter().map(|m| m.peak_mib).collect()), 0),
                cell(leanest.reduce(f64::min), 0),
            ]);
        }
    }

    fn report(&self, table: &Table) -> String {
        let clock = if self.threads == 1 { "processor time" } else { "wall time" };
        format!(
            "{}; {} thread(s), batches of {}, {clock}; medians of {} rounds. The ratio is ours over the peer's \
             faster of eager and channels_last within a round; the share is of the speed of one 3x3 \
             convolution of 256 channels at 32x32 in the same precision.\n\n{table}",
            machine(),
            self.threads,
            self.batch,
            self.rounds
        )
    }
}

fn new_table() -> Table {
    Table::new(&[
        "network",
        "what",
        "precision",
        "tweedie, s",
        "peer eager, s",
        "peer channels_last, s",
        "peer compiled, s",
        "ratio",
        "GFLOP/s",
        "share, %",
        "tweedie, MiB",
        "peer, MiB",
    ])
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_that_of_the_two_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }
}
