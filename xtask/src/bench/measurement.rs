//! One line of a benchmark program: a JSON object with what was measured, where, and how long it
//! took.

use anyhow::{Context, Result};
use serde_json::Value;

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measurement {
    /// `forward`, `train`, `ddim20`.
    pub(super) what: String,
    /// The network's name.
    pub(super) net: String,
    /// `f32` and `bf16` of ours; `eager`, `channels_last`, `compile`, and those with `_bf16`, of the peer.
    pub(super) mode: String,
    /// Images at a time.
    pub(super) batch: u64,
    /// The median time of one step, in seconds.
    pub(super) seconds: f64,
    /// The median processor time of one step, all threads together, in seconds.
    pub(super) processor_seconds: f64,
    /// Billions of operations in one step, by the layers' products; 0 where the program does not say.
    pub(super) gflop: f64,
    /// The most memory that the process held until then, in MiB.
    pub(super) peak_mib: f64,
}

impl Measurement {
    /// Reads one line.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let value: Value =
            serde_json::from_str(line).with_context(|| format!("no measurement: {line}"))?;
        let text = |key: &str| {
            let text = value[key].as_str().map(str::to_owned);
            text.with_context(|| format!("no {key} in {line}"))
        };
        let number = |key: &str| value[key].as_f64().with_context(|| format!("no {key} in {line}"));
        Ok(Self {
            what: text("what")?,
            net: text("net")?,
            mode: text("mode")?,
            batch: value["batch"].as_u64().with_context(|| format!("no batch in {line}"))?,
            seconds: number("median_s")?,
            processor_seconds: number("cpu_s")?,
            gflop: value["gflop"].as_f64().unwrap_or(0.0),
            peak_mib: number("peak_rss_mib")?,
        })
    }

    /// Reads every line of a program's output that is an object.
    pub(super) fn parse_all(output: &str) -> Result<Vec<Self>> {
        output.lines().filter(|line| line.starts_with('{')).map(Self::parse).collect()
    }

    fn same_case(&self, other: &Self) -> bool {
        (&self.what, &self.net, &self.mode, self.batch)
            == (&other.what, &other.net, &other.mode, other.batch)
    }
}

/// One measurement for each case out of several rounds: the fastest time, the most memory.
pub(super) fn best(rounds: &[Measurement]) -> Vec<Measurement> {
    let mut best: Vec<Measurement> = Vec::new();
    for round in rounds {
        match best.iter_mut().find(|known| known.same_case(round)) {
            Some(known) => {
                known.seconds = known.seconds.min(round.seconds);
                known.peak_mib = known.peak_mib.max(round.peak_mib);
            }
            None => best.push(round.clone()),
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"what": "train", "net": "cifar", "mode": "eager", "batch": 16, "median_s": 1.5, "cpu_s": 1.25, "images_per_s": 10.67, "peak_rss_mib": 2000}"#;

    #[test]
    fn a_line_of_the_peers_is_read_and_chatter_is_passed_over() {
        let output = format!("loading ...\n{LINE}\n");
        let got = Measurement::parse_all(&output).expect("readable");
        assert_eq!(got.len(), 1);
        assert_eq!((got[0].what.as_str(), got[0].batch), ("train", 16));
        assert!((got[0].seconds - 1.5).abs() < 1e-12 && (got[0].peak_mib - 2000.0).abs() < 1e-12);
    }

    #[test]
    fn a_line_that_lacks_a_number_is_an_error_that_names_it() {
        let error = Measurement::parse(r#"{"what": "train", "net": "n", "mode": "m", "batch": 1}"#)
            .expect_err("short");
        assert!(error.to_string().contains("median_s"), "{error}");
    }

    #[test]
    fn of_several_rounds_the_fastest_time_and_the_most_memory_count() {
        let first = Measurement::parse(LINE).expect("readable");
        let mut second = first.clone();
        second.seconds = 1.25;
        second.peak_mib = 1900.0;
        let mut other = first.clone();
        other.mode = "bf16".to_owned();
        let best = best(&[first.clone(), second, other.clone()]);
        assert_eq!(best.len(), 2);
        assert_eq!((best[0].seconds, best[0].peak_mib), (1.25, first.peak_mib));
        assert_eq!(best[1], other);
    }
}
