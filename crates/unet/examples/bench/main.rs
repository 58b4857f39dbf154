//! What a network costs on this machine: forward pass, training step, DDIM sampling.
//!
//! Prints one JSON object a line: `what`, `net`, `mode`, `batch`, `median_s`, `cpu_s` (time of the
//! processor, which other programs on the machine disturb less), `images_per_s`, `gflop` (of one call:
//! two for every multiplication with an addition in a layer, a training step being three forward
//! passes), `peak_rss_mib`. A net is the name of a configuration in `examples/networks`, or "fashion",
//! a small network for 32x32x1, or "conv" for one large 3x3 convolution, which says what the machine is
//! capable of. Weights are random: speed does not depend on them. Peak memory is the process's, so ask
//! for one net and one mode when it matters.

mod clock;
mod networks;
mod options;
mod training;

use clock::{Cost, timed};
use options::Options;
use tch::{Device, Kind, Tensor};
use training::Training;
use tweedie_torch_ext::{MemoryFormat, linear_combination, set_threads, to_format};
use tweedie_unet::{ArchitectureConfig, Precision, UNet};

/// What every network of one run is called with.
struct Case<'a> {
    net: &'a str,
    mode: &'a str,
    precision: Precision,
    options: &'a Options,
}

impl Case<'_> {
    fn report(&self, what: &str, gflop: f64, cost: &Cost) {
        let batch = self.options.batch;
        let rounded = |value: f64, unit: f64| (value / unit).round() * unit;
        let line = serde_json::json!({
            "what": what,
            "net": self.net,
            "mode": self.mode,
            "batch": batch,
            "median_s": rounded(cost.wall, 1e-4),
            "cpu_s": rounded(cost.processor, 1e-4),
            "images_per_s": rounded(batch as f64 / cost.wall, 1e-2),
            "gflop": rounded(gflop, 1e-3),
            "peak_rss_mib": clock::peak_rss_mib(),
        });
        println!("{line}");
    }

    fn wants(&self, what: &str) -> bool {
        self.options.what.iter().any(|name| name == what)
    }
}

/// `alpha_bar` of DDPM's linear betas after step t.
fn alpha_bar(t: usize) -> f64 {
    (0..=t).map(|i| 1.0 - (1e-4 + (0.02 - 1e-4) * i as f64 / 999.0)).product()
}

/// Deterministic DDIM from noise, the network predicting noise (Song et al. 2021a, eq. 12).
fn ddim(unet: &UNet, shape: &[i64], steps: usize) -> Tensor {
    let stride = 1000 / steps;
    let mut x = Tensor::randn(shape, (Kind::Float, Device::Cpu));
    for index in (0..steps).rev() {
        let t = index * stride;
        let (here, next) = (alpha_bar(t), if index == 0 { 1.0 } else { alpha_bar(t - stride) });
        let noise = unet.forward(&x, &Tensor::from(t as i64), None, false).expect("forward");
        let scale = (next / here).sqrt();
        let factor = (1.0 - next).sqrt() - scale * (1.0 - here).sqrt();
        x = linear_combination(&[(scale, &x), (factor, &noise)]);
    }
    x
}

/// 3x3, 256 channels to as many, at 32x32.
fn bench_conv(case: &Case<'_>) {
    let (channels, side, batch) = (256, 32, case.options.batch);
    let draw = |size: [i64; 4]| {
        let drawn = Tensor::randn(size, (case.precision.kind(), Device::Cpu));
        to_format(&drawn, MemoryFormat::ChannelsLast)
    };
    let x = draw([batch, channels, side, side]);
    let weight = draw([channels, channels, 3, 3]) * 0.02;
    let _guard = tch::no_grad_guard();
    let call = || drop(x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1));
    let gflop = 2e-9 * (batch * side * side * channels * channels * 9) as f64;
    case.report("forward", gflop, &timed(call, case.options.runs, case.options.warmup));
}

fn bench(case: &Case<'_>, config: &ArchitectureConfig, side: i64) {
    let Options { batch, runs, warmup, steps, .. } = *case.options;
    let size = [batch, config.in_channels(), side, side];
    let x = Tensor::randn(size, (Kind::Float, Device::Cpu));
    let times = Tensor::full([batch], 100, (Kind::Int64, Device::Cpu));
    let labels = config.classes().map(|_| Tensor::zeros([batch], (Kind::Int64, Device::Cpu)));
    let layers = config.layers([side, side]).expect("the network takes images of this size");
    let products: u64 = layers.iter().map(|layer| layer.multiply_adds).sum();
    let gflop = 2e-9 * products as f64 * batch as f64;
    let drawn = || UNet::new(config, 0).expect("the configuration is valid");
    if case.wants("forward") || case.wants("ddim") {
        let _guard = tch::no_grad_guard();
        let sampler = drawn().for_inference(case.precision).expect("a copy");
        if case.wants("forward") {
            let call =
                || drop(sampler.forward(&x, &times, labels.as_ref(), false).expect("forward"));
            case.report("forward", gflop, &timed(call, runs, warmup));
        }
        if case.wants("ddim") {
            let call = || drop(ddim(&sampler, &size, steps));
            let cost = timed(call, (runs / 2).max(1), 1);
            case.report(&format!("ddim{steps}"), gflop * steps as f64, &cost);
        }
    }
    for (what, checkpointing) in [("train", false), ("train-checkpointed", true)] {
        if case.wants(what) {
            let mut unet = drawn();
            unet.set_precision(case.precision);
            unet.set_gradient_checkpointing(checkpointing);
            let mut training = Training::new(&unet);
            let call = || training.step(&x, &times, labels.as_ref());
            case.report(what, 3.0 * gflop, &timed(call, runs, warmup));
        }
    }
}

fn run(options: &Options) -> Option<()> {
    if let Some(threads) = options.threads {
        set_threads(threads).ok()?;
    }
    for net in &options.net {
        for mode in &options.mode {
            let precision = match mode.as_str() {
                "f32" => Precision::F32,
                "bf16" => Precision::Bf16,
                _ => return None,
            };
            let case = Case { net, mode, precision, options };
            if net == "conv" {
                bench_conv(&case);
            } else {
                let (config, side) = networks::config(net)?;
                bench(&case, &config, side);
            }
        }
    }
    Some(())
}

fn main() {
    let options = Options::parse(std::env::args().skip(1));
    if options.as_ref().and_then(run).is_none() {
        eprintln!("{}", options::USAGE);
        std::process::exit(2);
    }
}
