//! What the U-Net costs on this machine: forward pass, training step, DDIM sampling.
//!
//! Prints one JSON object a line: `what`, `net`, `mode`, `batch`, `median_s`, `images_per_s`,
//! `peak_rss_mib`. The nets: "cifar" is the published google/ddpm-cifar10-32 configuration (35.7M
//! parameters, 32x32x3), "fashion" a small one for 32x32x1 (channels 32, 64, 64; attention at
//! 16x16). Weights are random: speed does not depend on them. Peak memory is the process's, so ask
//! for one net and one mode when it matters.

use std::time::Instant;

use tch::{Device, Kind, Reduction, Tensor};
use tweedie_torch_ext::{
    AdamW, AdamWState, adamw_step, clear_gradients, gradients, lerp_, linear_combination, scale_,
    total_norm,
};
use tweedie_unet::{DownBlockType, Precision, UNet, UNetConfig, UpBlockType};

const USAGE: &str = "usage: bench [--what forward train ddim] [--net fashion cifar] \
                     [--mode f32 bf16] [--batch 16] [--runs 5] [--steps 20]";

#[derive(Debug)]
struct Options {
    what: Vec<String>,
    net: Vec<String>,
    mode: Vec<String>,
    batch: i64,
    runs: usize,
    steps: usize,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut lists = [words("forward train ddim"), words("fashion cifar"), words("f32 bf16")];
        let mut numbers = [16, 5, 20];
        let mut next = arguments.next();
        while let Some(flag) = next {
            let mut values = Vec::new();
            next = arguments.next();
            while let Some(value) = next.take_if(|value| !value.starts_with("--")) {
                values.push(value);
                next = arguments.next();
            }
            let list = ["--what", "--net", "--mode"].iter().position(|name| **name == flag);
            let number = ["--batch", "--runs", "--steps"].iter().position(|name| **name == flag);
            match (list, number, values.first()) {
                (Some(index), _, Some(_)) => lists[index] = values,
                (_, Some(index), Some(value)) => numbers[index] = value.parse().ok()?,
                _ => return None,
            }
        }
        let [what, net, mode] = lists;
        let [batch, runs, steps] = numbers;
        Some(Self { what, net, mode, batch, runs: runs as usize, steps: steps as usize })
    }
}

fn config(net: &str) -> Option<UNetConfig> {
    use DownBlockType::{AttnDown, Down};
    use UpBlockType::{AttnUp, Up};
    let published = UNetConfig {
        downsample_padding: 0,
        flip_sin_to_cos: false,
        freq_shift: 1.0,
        norm_eps: 1e-6,
        ..UNetConfig::default()
    };
    match net {
        "cifar" => Some(UNetConfig {
            block_out_channels: vec![128, 256, 256, 256],
            down_block_types: vec![Down, AttnDown, Down, Down],
            up_block_types: vec![Up, Up, AttnUp, Up],
            ..published
        }),
        "fashion" => Some(UNetConfig {
            in_channels: 1,
            out_channels: 1,
            block_out_channels: vec![32, 64, 64],
            down_block_types: vec![Down, AttnDown, Down],
            up_block_types: vec![Up, AttnUp, Up],
            ..published
        }),
        _ => None,
    }
}

/// The median time of `runs` calls after `warmup` others, in seconds.
fn timed(mut step: impl FnMut(), runs: usize, warmup: usize) -> f64 {
    for _ in 0..warmup {
        step();
    }
    let time = |_| {
        let start = Instant::now();
        step();
        start.elapsed().as_secs_f64()
    };
    let mut times: Vec<f64> = (0..runs).map(time).collect();
    times.sort_by(f64::total_cmp);
    (times[(runs - 1) / 2] + times[runs / 2]) / 2.0
}

/// The largest resident size of this process so far, in MiB; 0 where the system does not say.
fn peak_rss_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0).div_ceil(1024)
}

fn report(what: &str, net: &str, mode: &str, batch: i64, seconds: f64) {
    let line = serde_json::json!({
        "what": what,
        "net": net,
        "mode": mode,
        "batch": batch,
        "median_s": (seconds * 1e4).round() / 1e4,
        "images_per_s": (batch as f64 / seconds * 100.0).round() / 100.0,
        "peak_rss_mib": peak_rss_mib(),
    });
    println!("{line}");
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

struct Training {
    unet: UNet,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    average: Vec<Tensor>,
    step: u64,
}

impl Training {
    fn new(unet: UNet) -> Self {
        let like = |make: fn(&Tensor) -> Tensor| {
            unet.parameters().iter().map(|(_, p)| make(p)).collect::<Vec<_>>()
        };
        let (first, second) = (like(Tensor::zeros_like), like(Tensor::zeros_like));
        let average = like(Tensor::copy);
        unet.set_trainable(true);
        Self { unet, first, second, average, step: 0 }
    }

    fn step(&mut self, x: &Tensor, times: &Tensor) {
        self.step += 1;
        let noise = x.randn_like();
        let output = self.unet.forward(&(x + &noise), times, None, true).expect("forward");
        let loss = output.mse_loss(&noise, Reduction::Mean);
        drop(output);
        let parameters = self.unet.parameters().tensors();
        clear_gradients(&parameters).expect("clear");
        loss.backward();
        let grads = gradients(&parameters);
        let norm = total_norm(&grads).expect("norm");
        if norm > 1.0 {
            scale_(&grads, 1.0 / (norm + 1e-6)).expect("scale");
        }
        let state = AdamWState { exp_avg: &self.first, exp_avg_sq: &self.second, step: self.step };
        let options = AdamW { learning_rate: 1e-4, ..AdamW::default() };
        adamw_step(&parameters, &grads, state, &options).expect("adamw");
        lerp_(&self.average, &parameters, 1e-4).expect("lerp");
    }
}

fn bench(net: &str, mode: &str, config: &UNetConfig, precision: Precision, options: &Options) {
    let Options { batch, runs, steps, .. } = *options;
    let size = [batch, config.in_channels, 32, 32];
    let x = Tensor::randn(size, (Kind::Float, Device::Cpu));
    let times = Tensor::full([batch], 500, (Kind::Int64, Device::Cpu));
    let wants = |what: &str| options.what.iter().any(|name| name == what);
    let mut unet = UNet::new(config, 0).expect("the configuration is valid");
    if wants("forward") || wants("ddim") {
        let _guard = tch::no_grad_guard();
        let sampler = match precision {
            Precision::F32 => None,
            _ => Some(unet.for_inference(precision).expect("a copy")),
        };
        let sampler = sampler.as_ref().unwrap_or(&unet);
        if wants("forward") {
            let call = || drop(sampler.forward(&x, &times, None, false).expect("forward"));
            report("forward", net, mode, batch, timed(call, runs, 2));
        }
        if wants("ddim") {
            let call = || drop(ddim(sampler, &size, steps));
            report(&format!("ddim{steps}"), net, mode, batch, timed(call, (runs / 2).max(1), 1));
        }
    }
    if wants("train") {
        unet.set_precision(precision);
        let mut training = Training::new(unet);
        report("train", net, mode, batch, timed(|| training.step(&x, &times), runs, 2));
    }
}

fn main() {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        std::process::exit(2);
    };
    for net in &options.net {
        for mode in &options.mode {
            let precision = match mode.as_str() {
                "f32" => Some(Precision::F32),
                "bf16" => Some(Precision::Bf16),
                _ => None,
            };
            let (Some(config), Some(precision)) = (config(net), precision) else {
                eprintln!("{USAGE}");
                std::process::exit(2);
            };
            bench(net, mode, &config, precision, &options);
        }
    }
}
