//! What exact likelihood costs with a network saved by diffusers:
//! `likelihood_speed FOLDER BATCH [TOLERANCE]`.
//!
//! The computation of `bench/peer_likelihood.py`: the VP flow from t = 1e-3 to 1 within a tolerance of
//! 1e-3, one fixed probe, images and probe that both sides can write down. Prints one JSON object with
//! the names used there. Another tolerance shows what memory more steps take.

use std::f64::consts::LN_2;
use std::process::ExitCode;
use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::DiffusersFolder;
use tweedie_likelihood::FlowLikelihood;
use tweedie_samplers::RungeKutta;
use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
use tweedie_score::{DifferentiableScoreFn, Replay};
use tweedie_unet::{InputScaling, ScoreNetwork, TimeInput, UNet};

const LOWER_LIMIT: f64 = 1e-3;
const TOLERANCE: &str = "1e-3";

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, batch, tolerance) = match &arguments[..] {
        [folder, batch] => (folder, batch, TOLERANCE),
        [folder, batch, tolerance] => (folder, batch, tolerance.as_str()),
        _ => {
            eprintln!("usage: likelihood_speed FOLDER BATCH [TOLERANCE]");
            return ExitCode::from(2);
        }
    };
    match measure(folder, batch, tolerance) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(folder: &str, batch: &str, tolerance: &str) -> Result<serde_json::Value, Failure> {
    let unet = UNet::from_diffusers(&DiffusersFolder::open(folder.as_ref())?)?;
    let config = unet.config();
    let batch: i64 = batch.parse()?;
    let side = config.image_size().map(|[height, _]| height);
    let side = side.ok_or("the network does not say the size of its images")?;
    let shape = [batch, config.in_channels(), side, side];
    let network = ScoreNetwork {
        unet: &unet,
        prediction: Prediction::Noise,
        time_input: TimeInput::Time { scale: 999.0 },
        input_scaling: InputScaling::None,
        classes: None,
    };
    let x = wave(&shape, 0.3).to_kind(Kind::Float);
    let probe = wave(&shape, 3.7).ge(0.0).to_kind(Kind::Float) * 2.0 - 1.0;
    let schedule = VpLinear::new(0.1, 20.0)?.with_time_range(LOWER_LIMIT, 1.0)?;
    let tolerance: f64 = tolerance.parse()?;
    let method = RungeKutta::new(tolerance, tolerance)?;
    // The first call prepares kernels.
    drop(network.predict_vjp(&x, schedule.point(0.5), &probe)?);

    let mut noise = Replay::new([Vec::<f64>::try_from(probe.to_kind(Kind::Double).reshape([-1]))?]);
    let begin = Instant::now();
    let run = FlowLikelihood::new(schedule, method).run(&network, x, &mut noise)?;
    let seconds = begin.elapsed().as_secs_f64();
    let nats = run.log_density().iter().sum::<f64>() / batch as f64;
    let dimensions = shape[1..].iter().product::<i64>() as f64;
    Ok(serde_json::json!({
        "median_s": seconds,
        "evaluations": run.counters.evaluations,
        // 8-bit data scaled to [-1, 1] has bins of 2 / 256
        "bits_per_dim": 7.0 - nats / (dimensions * LN_2),
        "peak_rss_mib": peak_rss_mib(),
    }))
}

/// The largest resident size of this process so far, in MiB.
fn peak_rss_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches("kB").trim().parse::<u64>().ok()?.div_ceil(1024))
}

/// The sine of multiples of a frequency.
fn wave(shape: &[i64], frequency: f64) -> Tensor {
    let count = shape.iter().product::<i64>();
    (Tensor::arange(count, (Kind::Double, Device::Cpu)) * frequency).sin().reshape(shape)
}
