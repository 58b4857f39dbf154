//! Ours beside the peer's: which of its modes ours is held against, and the ratios.

use super::measurement::Measurement;
use super::table::{Table, cell};
use crate::workspace;
use std::path::Path;
use std::process::Command;

/// The peer's modes that compute what our mode computes; the faster one counts.
pub(super) fn rivals(mode: &str) -> [&'static str; 2] {
    if mode == "bf16" { ["eager_bf16", "channels_last_bf16"] } else { ["eager", "channels_last"] }
}

/// The compiled mode that goes with ours: quoted beside, it is no rival.
pub(super) fn compiled(mode: &str) -> &'static str {
    if mode == "bf16" { "compile_bf16" } else { "compile" }
}

/// The peer's side of the measurements, with this Python.
pub(super) fn command(python: &Path) -> Command {
    let mut command = Command::new(python);
    command.arg(workspace::root().join("bench/peer_baseline.py"));
    command
}

/// The table of ours and the peer's, one row for each thing measured of ours.
pub(super) fn table(ours: &[Measurement], peers: &[Measurement]) -> Table {
    let mut table = Table::new(&[
        "network",
        "what",
        "mode",
        "batch",
        "tweedie, s",
        "peer eager, s",
        "peer channels_last, s",
        "peer compiled, s",
        "time ratio",
        "tweedie, MiB",
        "peer, MiB",
        "memory ratio",
    ]);
    for our in ours {
        let find = |mode: &str| {
            let same = |peer: &&Measurement| {
                (&peer.what, &peer.net, peer.batch) == (&our.what, &our.net, our.batch)
            };
            peers.iter().filter(same).find(|peer| peer.mode == mode)
        };
        let seconds = |mode: &str| find(mode).map(|peer| peer.seconds);
        let [eager, channels_last] = rivals(&our.mode);
        let rivals: Vec<&Measurement> =
            [eager, channels_last].into_iter().filter_map(find).collect();
        let fastest = rivals.iter().map(|peer| peer.seconds).reduce(f64::min);
        let leanest = rivals.iter().map(|peer| peer.peak_mib).reduce(f64::min);
        table.row([
            our.net.clone(),
            our.what.clone(),
            our.mode.clone(),
            our.batch.to_string(),
            cell(Some(our.seconds), 4),
            cell(seconds(eager), 4),
            cell(seconds(channels_last), 4),
            cell(seconds(compiled(&our.mode)), 4),
            cell(fastest.map(|peer| our.seconds / peer), 2),
            cell(Some(our.peak_mib), 0),
            cell(leanest, 0),
            cell(leanest.map(|peer| our.peak_mib / peer), 2),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(what: &str, mode: &str, seconds: f64, peak_mib: f64) -> Measurement {
        Measurement {
            what: what.to_owned(),
            net: "cifar".to_owned(),
            mode: mode.to_owned(),
            batch: 16,
            seconds,
            processor_seconds: seconds,
            gflop: 0.0,
            peak_mib,
        }
    }

    #[test]
    fn ours_is_held_against_the_faster_mode_and_the_leaner_one() {
        let ours = [measured("train", "f32", 1.0, 900.0), measured("train", "bf16", 0.5, 800.0)];
        let peers = [
            measured("train", "eager", 2.0, 1200.0),
            measured("train", "channels_last", 1.25, 1500.0),
            measured("train", "compile", 0.8, 1900.0),
            measured("forward", "eager_bf16", 0.1, 700.0),
        ];
        let text = table(&ours, &peers).to_string();
        let rows: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| cifar | train | f32 | 16 | 1.0000 | 2.0000 | 1.2500 | 0.8000 | 0.80 | 900 | 1200 | 0.75 |",
                "| cifar | train | bf16 | 16 | 0.5000 | - | - | - | - | 800 | - | - |",
            ]
        );
    }
}
