//! Folders that diffusers saved, drawn from as its pipelines draw from them: by the options of the command
//! line and all that follows from them, with every draw of the pipeline replayed.
//!
//! `make.py` beside the folders made them and recorded the runs: the noise of the beginning, every later draw,
//! and the last sample before it is clamped. `PIPELINES_DIR` names a folder with more of them, such as those
//! of the published widths that `make.py OUT --full` makes.

use super::*;
use crate::device::Computation;
use crate::guide::Guidance;
use crate::run::Weights;
use clap::Parser;
use std::path::{Path, PathBuf};
use tweedie_checkpoints::TensorFile;
use tweedie_score::Replay;
use tweedie_training::{Model, ModelOptions};
use tweedie_unet::read_tensor;

/// Of the largest value of the last sample before it is clamped.
const TOLERANCE: f64 = 1e-4;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    method: Method,
    #[command(flatten)]
    guidance: Guidance,
    #[command(flatten)]
    weights: Weights,
    #[command(flatten)]
    computation: Computation,
}

#[derive(serde::Deserialize)]
struct Recorded {
    method: String,
    steps: usize,
    eta: f64,
}

impl Recorded {
    fn of(folder: &Path) -> Self {
        let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// What is said on the command line. DDIM is not: it is what is taken where nothing is said.
    fn words(&self) -> String {
        let Self { method, steps, eta } = self;
        match method.as_str() {
            "ddim" => format!("--steps {steps} --eta {eta}"),
            "ddpm" => format!("--sampler ddpm --steps {steps}"),
            "pc" => format!("--sampler reverse-diffusion --corrector langevin --steps {steps}"),
            other => panic!("{other}"),
        }
    }
}

fn own() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../training/tests/data/pipelines")
}

fn folders() -> Vec<PathBuf> {
    let more = std::env::var_os("PIPELINES_DIR").map(PathBuf::from);
    let inside = |folder: PathBuf| {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.join("run.json").is_file()).collect::<Vec<_>>()
    };
    let mut folders: Vec<_> = [own()].into_iter().chain(more).flat_map(inside).collect();
    folders.sort();
    folders
}

fn read(folder: &Path, name: &str) -> Tensor {
    let file = TensorFile::open(&folder.join("run.safetensors")).unwrap();
    read_tensor(&file, name).unwrap().to_kind(Kind::Float)
}

/// The draws in order, the first of which is the noise of the beginning.
fn draws(folder: &Path) -> Vec<Tensor> {
    let file = TensorFile::open(&folder.join("run.safetensors")).unwrap();
    let count = file.names().filter(|name| name.starts_with("draw.")).count();
    (0..count).map(|index| read(folder, &format!("draw.{index}"))).collect()
}

/// The last sample of a model by these words, with the draws recorded in a folder.
fn drawn(model: &Path, words: &str, folder: &Path) -> Tensor {
    let Line { method, guidance, weights, computation } =
        Line::parse_from(["x"].into_iter().chain(words.split_whitespace()));
    let run = Run::open(model, &weights, &computation).unwrap();
    let draws = draws(folder);
    let classes = vec![None; draws[0].size()[0] as usize];
    let guide = guidance.open(&run).unwrap();
    let request =
        Request { classes: &classes, batch_size: 1, seed: 0, method: &method, guide: &guide };
    let generation = request.planned(&run).unwrap();
    let values = |draw: &Tensor| Vec::<f64>::try_from(draw.to_kind(Kind::Double).flatten(0, -1));
    let mut noise = Replay::new(draws.iter().map(|draw| values(draw).unwrap()));
    generation.batch(&classes, &mut noise, &ProgressBar::hidden(), &mut |_, _| ()).unwrap()
}

/// How far two samples are apart, by the largest value of the second.
fn apart(drawn: &Tensor, last: &Tensor) -> f64 {
    let largest = last.abs().max().double_value(&[]);
    (drawn - last).abs().max().double_value(&[]) / largest
}

#[test]
fn a_pipeline_runs_as_in_diffusers() {
    let folders = folders();
    assert!(folders.len() >= 16, "{folders:?}");
    for folder in folders {
        let words = Recorded::of(&folder).words();
        let apart = apart(&drawn(&folder, &words, &folder), &read(&folder, "final"));
        println!("{}: {apart:.1e}", folder.display());
        assert!(apart < TOLERANCE, "{}: {apart:e}", folder.display());
    }
}

#[test]
fn what_the_file_says_can_be_overruled() {
    let folder = own().join("ddim-threshold");
    let (words, last) = (Recorded::of(&folder).words(), read(&folder, "final"));
    for other in ["--no-clip", "--clip", "--threshold 0.5", "--spacing trailing"] {
        let drawn = drawn(&folder, &format!("{words} {other}"), &folder);
        assert!(apart(&drawn, &last) > TOLERANCE, "{other}");
    }
}

#[test]
fn the_noise_of_a_last_step_is_left_out_by_asking_for_the_spacing_that_it_has() {
    for name in ["ddpm-large-trailing", "ddpm-learned-trailing"] {
        let folder = own().join(name);
        let (words, last) = (Recorded::of(&folder).words(), read(&folder, "final"));
        let same_steps = drawn(&folder, &format!("{words} --spacing trailing"), &folder);
        let noise = draws(&folder).pop().unwrap();
        let added = &last - &same_steps;
        let turned = (&added * &noise).sum(Kind::Double) / added.norm() / noise.norm();
        let deviation = added.std(true).double_value(&[]);
        assert!(deviation > 0.1 && turned.double_value(&[]) > 0.9, "{name}: {deviation} {turned}");
    }
}

#[test]
fn a_run_that_was_converted_draws_as_what_it_was_converted_from() {
    for name in
        ["ddim-threshold", "ddpm-large", "ncsnpp-celebahq-256", "ddpm-learned-value", "ddim-pndm"]
    {
        let folder = own().join(name);
        let out = tempfile::tempdir().unwrap();
        let (run, again) = (out.path().join("run"), out.path().join("again"));
        let options = ModelOptions { levels: Some(256), ..ModelOptions::default() };
        let model = Model::open(&folder, &options).unwrap();
        model.write_run(&run, model.description().clone()).unwrap();
        Model::open(&run, &ModelOptions::default()).unwrap().write_diffusers(&again).unwrap();
        let (words, last) = (Recorded::of(&folder).words(), read(&folder, "final"));
        for written in [&run, &again] {
            let apart = apart(&drawn(written, &words, &folder), &last);
            assert!(apart < TOLERANCE, "{}: {apart:e}", folder.display());
        }
        let sampling = |path: PathBuf| -> serde_json::Value {
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
        };
        let written = sampling(again.join("scheduler_config.json"));
        assert_eq!(written, sampling(folder.join("scheduler/scheduler_config.json")));
    }
}
