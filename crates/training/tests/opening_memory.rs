//! Opening a model, calling it and writing it for another program take little more memory than its weights do. Every
//! model is opened in a process of its own, this test's, since the peak is that of a whole process.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tch::Tensor;
use tweedie_checkpoints::{OwnedTensor, write_safetensors};

use tweedie_training::{Model, ModelOptions, NetworkConfig};
use tweedie_unet::{ArchitectureConfig, Precision, UNet};

/// What names the model to the process that opens it, and whether it is to compute in bf16.
const OPENED: &str = "TWEEDIE_OPENED_MODEL";
const HALVED: &str = "TWEEDIE_OPENED_IN_BF16";
/// Where that process is to write the model as a folder of diffusers instead of calling it.
const WRITTEN: &str = "TWEEDIE_OPENED_TO_BE_WRITTEN";
const FLOAT: (tch::Kind, tch::Device) = (tch::Kind::Float, tch::Device::Cpu);

/// A folder of diffusers with a network of so many channels; gives the bytes of its weights.
fn write_diffusers(folder: &Path, channels: i64) -> usize {
    let levels = [channels, 2 * channels, 2 * channels];
    let network = json!({
        "block_out_channels": levels,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 6, "norm_num_groups": 8, "sample_size": 8
    });
    let mut values = network.as_object().unwrap().clone();
    values.insert("family".to_owned(), "diffusers".into());
    let unet = UNet::new(&ArchitectureConfig::from_values(values).unwrap(), 0).unwrap();
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("config.json"), network.to_string()).unwrap();
    let noise = json!({"_class_name": "DDPMScheduler", "num_train_timesteps": 1000});
    fs::write(folder.join("scheduler_config.json"), noise.to_string()).unwrap();
    let stored = unet.weights().into_iter().map(|(name, tensor): (&str, &Tensor)| {
        let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        let values = Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
        (name.to_owned(), OwnedTensor::from_f32(&shape, &values).unwrap())
    });
    let path = folder.join("diffusion_pytorch_model.safetensors");
    write_safetensors(&path, stored, &Default::default()).unwrap();
    4 * unet.parameters().element_count()
}

/// A run with an NCSN++ of so many channels, of the kind that diffusers has too; gives the bytes of its weights.
fn write_ncsnpp(run: &Path, tiny: &Path, channels: i64) -> usize {
    let network = json!({
        "family": "score-sde",
        "training": {"continuous": true, "sde": "vesde"},
        "data": {"image_size": 8, "num_channels": 3, "centered": false},
        "model": {
            "name": "ncsnpp", "nf": channels, "ch_mult": [1, 2], "num_res_blocks": 6,
            "attn_resolutions": [4], "dropout": 0.0, "resamp_with_conv": true, "conditional": true,
            "fir": true, "fir_kernel": [1, 3, 3, 1], "skip_rescale": true, "resblock_type": "biggan",
            "progressive": "output_skip", "progressive_input": "input_skip",
            "progressive_combine": "sum", "attention_type": "ddpm", "init_scale": 1.0,
            "embedding_type": "fourier", "fourier_scale": 16, "conv_size": 3, "scale_by_sigma": true,
            "sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 10, "nonlinearity": "swish",
            "normalization": "GroupNorm"
        }
    });
    let network = ArchitectureConfig::from_values(network.as_object().unwrap().clone()).unwrap();
    // a model of anything, for all that is not the network
    let options = ModelOptions { levels: Some(256), ..ModelOptions::default() };
    let mut model = Model::open(tiny, &options).unwrap();
    let mut config = model.description().clone();
    config.network = NetworkConfig::Family(Box::new(network.clone()));
    model.unet = UNet::new(&network, 0).unwrap();
    model.write_run(run, config).unwrap();
    4 * model.unet.parameters().element_count()
}

/// Opens the model that the environment names, calls it once or writes it, and tells what this process took at its peak.
fn open(path: &Path) {
    let halved = std::env::var_os(HALVED).is_some();
    let precision = if halved { Precision::Bf16 } else { Precision::F32 };
    let options = ModelOptions { precision, ..ModelOptions::default() };
    let model = Model::open(path, &options).unwrap();
    assert_eq!(model.unet.precision(), precision);
    if let Some(folder) = std::env::var_os(WRITTEN) {
        model.write_diffusers(Path::new(&folder)).unwrap();
    } else {
        let (x, time) = (Tensor::zeros([1, 3, 8, 8], FLOAT), Tensor::zeros([1], FLOAT));
        let _ = tch::no_grad(|| model.unet.forward(&x, &time, None, false));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM:"));
    println!("{}", peak.unwrap_or("no account"));
}

/// What a process does with the model that it opens.
#[derive(Clone, Copy)]
enum Use<'a> {
    Call,
    CallInBf16,
    Write(&'a Path),
}

/// The peak, in bytes, of a process that opens a model, by one of the tests below; `None` where the system keeps
/// no account.
fn peak(test: &str, path: &Path, what: Use<'_>) -> Option<f64> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(OPENED, path);
    match what {
        Use::Call => {}
        Use::CallInBf16 => drop(command.env(HALVED, "1")),
        Use::Write(folder) => drop(command.env(WRITTEN, folder)),
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.split_once("VmHWM:"))?.1;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().unwrap();
    Some(kilobytes * 1024.0)
}

/// Compares the peaks with a large model and with a tiny one.
#[track_caller]
fn assert_little_beyond(weights: f64, name: &str, [tiny, large]: [Option<f64>; 2]) {
    let (Some(process), Some(peak)) = (tiny, large) else {
        return eprintln!("left out: this system keeps no account of a process's peak");
    };
    let ratio = (peak - process) / weights;
    println!("{name}: {:.0} MB of weights, peak {ratio:.3} times that", weights / 1e6);
    assert!(ratio <= 1.2, "{name}: {ratio} times the weights");
}

#[test]
fn opening_peaks_at_no_more_than_1_2_times_the_weights() {
    if let Some(path) = std::env::var_os(OPENED) {
        return open(Path::new(&path));
    }
    let test = "opening_peaks_at_no_more_than_1_2_times_the_weights";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_diffusers(&at("tiny"), 8);
    // Large and deep: what a process takes whatever it opens is not the same each time, and a call widens the
    // filters of one layer at a time, which of a network of few layers is a good part.
    let bytes = write_diffusers(&at("diffusers"), 160) as f64;
    let options = ModelOptions { levels: Some(256), ..ModelOptions::default() };
    let model = Model::open(&at("diffusers"), &options).unwrap();
    model.write_run(&at("run"), model.description().clone()).unwrap();
    for (name, halved) in [("diffusers", false), ("run", false), ("diffusers", true)] {
        // in the same precision, whose kernels take memory of their own
        let (what, weights) =
            if halved { (Use::CallInBf16, bytes / 2.0) } else { (Use::Call, bytes) };
        let peaks = ["tiny", name].map(|name| peak(test, &at(name), what));
        assert_little_beyond(weights, name, peaks);
    }
}

#[test]
fn an_ncsnpp_is_written_for_diffusers_at_no_more_than_1_2_times_its_weights() {
    if let Some(path) = std::env::var_os(OPENED) {
        return open(Path::new(&path));
    }
    let test = "an_ncsnpp_is_written_for_diffusers_at_no_more_than_1_2_times_its_weights";
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_diffusers(&at("any"), 8);
    write_ncsnpp(&at("tiny"), &at("any"), 64);
    let bytes = write_ncsnpp(&at("large"), &at("any"), 256) as f64;
    let peaks = ["tiny", "large"].map(|name| {
        let written = at(&format!("{name}-written"));
        peak(test, &at(name), Use::Write(&written))
    });
    assert_little_beyond(bytes, "an NCSN++ written for diffusers", peaks);
}
