//! Networks of other implementations, rebuilt from their configuration and weights, must give the
//! outputs that were recorded there.
//!
//! Every sub-folder of `NETS_DIR` (by default the cases of this repository) that has a
//! `config.json` is a case; `peer` and `class` in its `case.json` name the family. The largest error
//! of a call may be 1e-4 of its largest absolute output. Nothing is written there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use tch::{Kind, Tensor};
use tweedie_checkpoints::{DiffusersFolder, TensorFile};
use tweedie_unet::{
    AdmConfig, AdmEncoderConfig, NcsnV2Config, ScoreSdeConfig, UNet, read_tensor, read_tensors,
};

/// The largest error allowed, relative to the largest absolute output of the call.
const TOLERANCE: f64 = 1e-4;

/// The part of `case.json` that says what network it is.
#[derive(Debug, Deserialize)]
struct Family {
    peer: String,
    class: String,
}

fn main() -> ExitCode {
    let folder = std::env::var_os("NETS_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/nets")),
        PathBuf::from,
    );
    match cases(&folder) {
        Ok(cases) => run_all(&cases),
        Err(error) => {
            println!("{error:#}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}

/// The sub-folders with a `config.json`, by name.
fn cases(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot list the cases in {}", folder.display()))?;
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.join("config.json").is_file() {
            cases.push(path);
        }
    }
    ensure!(!cases.is_empty(), "no case (a folder with a config.json) in {}", folder.display());
    cases.sort();
    Ok(cases)
}

fn run_all(cases: &[PathBuf]) -> ExitCode {
    let mut failed = 0;
    for case in cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let outcome = catch_unwind(AssertUnwindSafe(|| run(case)));
        match outcome.unwrap_or_else(|_| Err(anyhow::anyhow!("panicked, see above"))) {
            Ok(worst) => println!("ok {name}: largest relative error {worst:.1e}"),
            Err(error) => {
                failed += 1;
                println!("FAILED {name}: {error:#}");
            }
        }
    }
    println!("{} passed, {failed} failed", cases.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The largest relative error over all calls of a case.
fn run(case: &Path) -> anyhow::Result<f64> {
    let text = std::fs::read_to_string(case.join("case.json")).context("cannot read case.json")?;
    let family: Family = serde_json::from_str(&text).context("case.json")?;
    match (family.peer.as_str(), family.class.as_str()) {
        ("huggingface/diffusers", "UNet2DModel") => {
            let unet = UNet::from_diffusers(&DiffusersFolder::open(case)?)?;
            run_calls(case, |io, call| run_unet(&unet, io, call))
        }
        ("openai/guided-diffusion" | "openai/improved-diffusion", "UNetModel") => {
            let config = AdmConfig::from_values(values(case)?)?;
            let unet = UNet::from_weights(&config, weights(case)?)?;
            run_calls(case, |io, call| run_unet(&unet, io, call))
        }
        ("openai/guided-diffusion", "EncoderUNetModel") => {
            let config = AdmEncoderConfig::from_values(values(case)?)?;
            let unet = UNet::from_weights(&config, weights(case)?)?;
            run_calls(case, |io, call| run_unet(&unet, io, call))
        }
        ("yang-song/score_sde_pytorch", "ncsnpp" | "ddpm") => {
            let config = ScoreSdeConfig::from_values(values(case)?)?;
            run_labelled(case, &UNet::from_weights(&config, weights(case)?)?)
        }
        ("ermongroup/ncsnv2", "NCSNv2" | "NCSNv2Deeper" | "NCSNv2Deepest") => {
            let mut values = values(case)?;
            values.insert("class".to_owned(), family.class.into());
            let config = NcsnV2Config::from_values(values)?;
            run_labelled(case, &UNet::from_weights(&config, weights(case)?)?)
        }
        (peer, class) => bail!("no network of the family {peer} {class} is implemented"),
    }
}

/// The entries of a case's `config.json`.
fn values(case: &Path) -> anyhow::Result<Map<String, Value>> {
    let text =
        std::fs::read_to_string(case.join("config.json")).context("cannot read config.json")?;
    serde_json::from_str(&text).context("config.json")
}

/// The tensors of a case's `model.safetensors`.
fn weights(case: &Path) -> anyhow::Result<Vec<(String, Tensor)>> {
    Ok(read_tensors(&TensorFile::open(&case.join("model.safetensors"))?)?)
}

/// Runs the calls of a network that takes its times as `labels`.
fn run_labelled(case: &Path, unet: &UNet) -> anyhow::Result<f64> {
    run_calls(case, |io, call| {
        let sample = read_tensor(io, &format!("{call}.sample"))?;
        let labels = read_tensor(io, &format!("{call}.labels"))?;
        Ok(tch::no_grad(|| unet.forward(&sample, &labels, None, false))?)
    })
}

/// Runs every recorded call and compares; fails with all calls that are off.
fn run_calls(
    case: &Path,
    network: impl Fn(&TensorFile, usize) -> anyhow::Result<Tensor>,
) -> anyhow::Result<f64> {
    let io = TensorFile::open(&case.join("io.safetensors"))?;
    let (mut worst, mut faults) = (0.0f64, Vec::new());
    let calls = (0..).take_while(|call| io.contains(&format!("{call}.output"))).count();
    ensure!(calls > 0, "io.safetensors holds no `0.output`");
    for call in 0..calls {
        let got = network(&io, call).with_context(|| format!("call {call}"))?;
        let want = read_tensor(&io, &format!("{call}.output"))?;
        let error = relative_error(&got, &want).with_context(|| format!("call {call}"))?;
        worst = worst.max(error);
        // Not a number counts as off.
        if error.is_nan() || error > TOLERANCE {
            faults.push(format!("call {call} is off by {error:.1e}"));
        }
    }
    ensure!(faults.is_empty(), "{}, at most {TOLERANCE:.0e} is allowed", faults.join(", "));
    Ok(worst)
}

fn relative_error(got: &Tensor, want: &Tensor) -> anyhow::Result<f64> {
    ensure!(got.size() == want.size(), "output {:?}, expected {:?}", got.size(), want.size());
    let (got, want) = (got.to_kind(Kind::Double), want.to_kind(Kind::Double));
    let largest = |t: &Tensor| t.abs().max().double_value(&[]);
    Ok(largest(&(got - &want)) / largest(&want))
}

fn run_unet(unet: &UNet, io: &TensorFile, call: usize) -> anyhow::Result<Tensor> {
    let sample = read_tensor(io, &format!("{call}.sample"))?;
    let time = read_tensor(io, &format!("{call}.timestep"))?;
    let name = format!("{call}.class_labels");
    let labels = if io.contains(&name) { Some(read_tensor(io, &name)?) } else { None };
    Ok(tch::no_grad(|| unet.forward(&sample, &time, labels.as_ref(), false))?)
}
