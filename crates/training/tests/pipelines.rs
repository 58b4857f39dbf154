//! Folders that diffusers saved, run as its pipelines run them.
//!
//! `data/pipelines/make.py` made the folders and recorded the runs: the noise of the beginning, every later
//! draw, and the last sample before it is clamped. `PIPELINES_DIR` names a folder with more of them, such as
//! those of the published widths that `make.py OUT --full` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use tch::Tensor;
use tweedie_checkpoints::TensorFile;
use tweedie_samplers::{
    Ddim, KeepingNoise, Langevin, MeanAtEnd, OneStep, PredictorCorrector, ReverseDiffusion, Solver,
    sample,
};
use tweedie_schedules::{Interval, NoiseLevel, NoiseSchedule, Spacing, TimeGrid, TimePoint};
use tweedie_score::{Clip, DataMap, Replay, Times};
use tweedie_sde::{Sde, SongTable, song_grid};
use tweedie_training::{DataRange, Model, ModelOptions, RunSchedule};
use tweedie_unet::read_tensor;

/// Of the largest value of the last sample before it is clamped.
const TOLERANCE: f64 = 1e-4;
/// Langevin's ratio of these checkpoints, which their scheduler says.
const SNR: f64 = 0.15;

#[derive(serde::Deserialize)]
struct Recorded {
    method: String,
    steps: usize,
    eta: f64,
}

fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pipelines");
    let more = std::env::var_os("PIPELINES_DIR").map(PathBuf::from);
    let inside = |folder: PathBuf| {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.join("run.json").is_file()).collect::<Vec<_>>()
    };
    let mut folders: Vec<_> = [own].into_iter().chain(more).flat_map(inside).collect();
    folders.sort();
    folders
}

#[test]
fn a_pipeline_runs_as_in_diffusers() {
    let folders = folders();
    assert!(folders.len() >= 3, "{folders:?}");
    for folder in folders {
        let model = Model::open(&folder, &ModelOptions::default()).unwrap();
        let (drawn, last) = (run(&folder, &model), read(&folder, "final"));
        let largest = last.abs().max().double_value(&[]);
        let apart = (drawn - last).abs().max().double_value(&[]) / largest;
        println!("{}: {apart:.1e} of {largest:.3e}", folder.display());
        assert!(apart < TOLERANCE, "{}: {apart:e} of {largest}", folder.display());
    }
}

fn file(folder: &Path) -> TensorFile {
    TensorFile::open(&folder.join("run.safetensors")).unwrap()
}

fn read(folder: &Path, name: &str) -> Tensor {
    read_tensor(&file(folder), name).unwrap().to_kind(tch::Kind::Float)
}

/// The draws in order, the first of which is the noise of the beginning.
fn draws(folder: &Path) -> Vec<Tensor> {
    let count = file(folder).names().filter(|name| name.starts_with("draw.")).count();
    (0..count).map(|index| read(folder, &format!("draw.{index}"))).collect()
}

fn replay(draws: &[Tensor]) -> Replay {
    let values =
        |draw: &Tensor| Vec::<f64>::try_from(draw.to_kind(tch::Kind::Double).flatten(0, -1));
    Replay::new(draws.iter().map(|draw| values(draw).unwrap()))
}

/// The last sample of the recorded run.
fn run(folder: &Path, model: &Model) -> Tensor {
    let text = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let recorded: Recorded = serde_json::from_str(&text).unwrap();
    let draws = draws(folder);
    let (grid, start, solver) = match recorded.method.as_str() {
        "ddim" => ddim(model, &recorded),
        "pc" => predictor_corrector(model, &recorded),
        other => panic!("{other}"),
    };
    let x = &draws[0] * start;
    sample(&*solver, &model.score(), &grid, x, &mut replay(&draws[1..])).unwrap()
}

/// The times of a run, the deviation with which it begins, and its method.
type Walk = (TimeGrid, f64, Box<dyn Solver<Tensor>>);

/// The steps of `DDIMScheduler`: each goes down by as many entries of the table, the last one to the data.
fn ddim(model: &Model, recorded: &Recorded) -> Walk {
    assert_eq!(model.data_range(), DataRange::Symmetric);
    let table = model.schedule.table().unwrap();
    let stride = table.len() / recorded.steps;
    let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
    let end = |index: usize| index.checked_sub(stride).map_or(clean, |at| table.node(at).unwrap());
    let step = |index| Interval { from: table.node(index).unwrap(), to: end(index) };
    let visited = Spacing::Leading.indices(table.len(), recorded.steps).unwrap();
    let grid = TimeGrid::from_intervals(visited.into_iter().map(step).collect()).unwrap();
    let (low, high) = model.habits().clip.unwrap();
    let clip = Clip { low, high };
    // the noise stays as the network has it
    let map = move |data: Tensor, at: Times<'_>| clip.map(data, at);
    let solver = KeepingNoise { predictor: Ddim::new(recorded.eta).unwrap(), map };
    (grid, 1.0, Box::new(solver))
}

/// `ScoreSdeVePipeline`: a Langevin move at each level, and a step of reverse diffusion between the entries of
/// the published table.
fn predictor_corrector(model: &Model, recorded: &Recorded) -> Walk {
    assert_eq!((model.data_range(), model.habits().clip), (DataRange::Unit, None));
    let RunSchedule::Ve(schedule) = &model.schedule else { panic!("{:?}", model.schedule) };
    let (smallest, largest) = (schedule.level(0.0).sigma, schedule.prior_std());
    let chain = SongTable::variance_exploding(smallest, largest, recorded.steps).unwrap();
    let grid = song_grid(schedule, recorded.steps, schedule.time_range().0).unwrap();
    let predictor = MeanAtEnd(OneStep(ReverseDiffusion::new(chain, 1.0).unwrap()));
    let solver = PredictorCorrector::new(predictor, Langevin::new(SNR, 1).unwrap());
    (grid, largest, Box::new(solver))
}

/// A Python that imports diffusers: `TWEEDIE_PYTHON`, or `python3`.
fn python() -> Option<String> {
    let named = std::env::var("TWEEDIE_PYTHON").ok();
    named.into_iter().chain(["python3".to_owned()]).find(|python| {
        let imports = Command::new(python).args(["-c", "import diffusers, torch"]).output();
        imports.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_folder_written_here_runs_in_diffusers_as_the_one_it_was_read_from() {
    let Some(python) = python() else {
        eprintln!("left out: no Python with diffusers; TWEEDIE_PYTHON may name one");
        return;
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pipelines");
    for name in ["ddpm-cifar10-32", "ncsnpp-celebahq-256"] {
        let (folder, written) = (tempfile::tempdir().unwrap(), "written");
        let written = folder.path().join(written);
        let model = Model::open(&own.join(name), &ModelOptions::default()).unwrap();
        model.write_diffusers(&written).unwrap();
        let script = [own.join("make.py"), "--check".into(), written, own.join(name)];
        let output = Command::new(&python).args(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("apart "), "{name}: {said}{why}");
    }
}
