//! Folders written here, run by the pipelines of diffusers where Python has them.
//!
//! `data/pipelines/make.py` made the folders that they are written from and recorded how those run.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::{NetworkFamily, WeightChoice, parse_network_config};
use tweedie_schedules::NoiseSchedule;
use tweedie_score::{Learned, ScoreFn, Times};
use tweedie_training::{Event, Model, ModelOptions, RunConfig, RunSchedule, Trainer};
use tweedie_unet::{ArchitectureConfig, UNet};

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
    for name in [
        "ddpm-cifar10-32",
        "ncsnpp-celebahq-256",
        "ddim-offset",
        "ddpm-learned",
        "ddpm-learned-value",
    ] {
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

/// A network of this program, as short as can be.
const TINY: &str = r#"
[network]
channels = 8
multipliers = [1, 2]
blocks = 1
attention = [4]
class_conditional = false
groups = 4
[schedule]
steps = 40
[training]
steps = 1
batch_size = 4
learning_rate = 0.05
warmup = 0
threads = 1
[samples]
every = 0
"#;

fn trained(folder: &Path, overrides: &[&str]) -> Model {
    let overrides: Vec<String> = overrides.iter().map(|word| (*word).to_owned()).collect();
    let config = RunConfig::parse(TINY, &overrides).unwrap();
    Trainer::new(config, folder)
        .unwrap()
        .run(&mut |_: &Event<'_>| {}, &AtomicBool::new(false))
        .unwrap();
    // the average has hardly moved from a last layer of zeros
    let raw = ModelOptions { weights: WeightChoice::Raw, ..ModelOptions::default() };
    Model::open(folder, &raw).unwrap()
}

/// NCSN++ with weights that hide nothing, as a `.safetensors` of `score_sde`.
fn ncsnpp(folder: &Path) -> Model {
    let text = r#"{
        "training": {"sde": "vesde", "continuous": true},
        "data": {"image_size": 16, "centered": false, "num_channels": 3},
        "model": {
            "name": "ncsnpp", "nf": 32, "ch_mult": [1, 4, 2], "num_res_blocks": 1, "attn_resolutions": [8],
            "resblock_type": "biggan", "fir": true, "skip_rescale": true, "progressive": "output_skip",
            "progressive_input": "input_skip", "progressive_combine": "sum",
            "embedding_type": "fourier", "fourier_scale": 16, "scale_by_sigma": true, "conditional": true,
            "dropout": 0.0, "resamp_with_conv": true, "nonlinearity": "swish", "fir_kernel": [1, 3, 3, 1],
            "init_scale": 0.0, "sigma_min": 0.01, "sigma_max": 50, "num_scales": 100
        }
    }"#;
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), text).unwrap();
    let file = Path::new("config.json");
    let values = parse_network_config(file, NetworkFamily::ScoreSde, text.as_bytes()).unwrap();
    let mut values = values.clone();
    values.insert("family".to_owned(), "score-sde".into());
    let unet = UNet::new(&ArchitectureConfig::from_values(values).unwrap(), 3).unwrap();
    tch::manual_seed(5);
    let weights: Vec<(String, Tensor)> = unet
        .weights()
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), (tensor + tensor.randn_like() * 0.05).contiguous()))
        .collect();
    Tensor::write_safetensors(&weights, folder.join("model.safetensors")).unwrap();
    Model::open(folder, &ModelOptions::default()).unwrap()
}

/// What a model says of the data in a noisy image.
fn write_estimate(model: &Model, path: &Path) {
    let [channels, height, width] = model.images().shape.map(|side| side as i64);
    tch::manual_seed(1);
    let x = Tensor::randn([1, channels, height, width], (Kind::Float, Device::Cpu));
    let (point, at) = match &model.schedule {
        RunSchedule::Table(table) => (table.node(30).unwrap(), 30.0),
        continuous => {
            let (clean, noisy) = continuous.time_range();
            let point = continuous.point(0.3 * clean + 0.7 * noisy);
            (point, point.level.sigma)
        }
    };
    let x = &x * point.level.sigma;
    let data = model.score().predict_data(&x, Times::Shared(point)).unwrap();
    let ends = [0.0, 1.0].map(|t| model.schedule.level(t).sigma);
    let recorded = [
        ("x", x),
        ("data", data),
        ("at", Tensor::from(at).to_kind(Kind::Float)),
        ("ends", Tensor::from_slice(&ends)),
    ];
    Tensor::write_safetensors(&recorded, path).unwrap();
}

#[test]
fn every_kind_of_model_that_is_written_says_the_same_of_the_data_in_diffusers() {
    let Some(python) = python() else {
        eprintln!("left out: no Python with diffusers; TWEEDIE_PYTHON may name one");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let ve = [
        "schedule.kind=ve",
        "objective.prediction=score",
        "objective.time_input=sigma",
        "objective.input_scaling=none",
        "data.centered=false",
    ];
    let edm =
        ["schedule.kind=edm", "objective.prediction=edm", "objective.time_input=quarter_log_sigma"];
    let runs: [(&str, &[&str]); 7] = [
        ("linear", &[]),
        ("cosine", &["schedule.kind=cosine", "objective.prediction=velocity"]),
        ("zero-snr", &["schedule.zero_terminal_snr=true", "objective.prediction=velocity"]),
        ("data", &["objective.prediction=data"]),
        ("learned", &["objective.kind=hybrid"]),
        ("ve", &ve),
        ("edm", &edm),
    ];
    let run = |(name, overrides): (&str, &[&str])| {
        (name.to_owned(), trained(&root.path().join(name), overrides))
    };
    let mut models: Vec<_> = runs.into_iter().map(run).collect();
    models.push(("ncsnpp".to_owned(), ncsnpp(&root.path().join("ncsnpp"))));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/data_estimate.py");
    let mut folders = Vec::new();
    for (name, model) in &models {
        let written = root.path().join(format!("{name}-out"));
        model.write_diffusers(&written).unwrap();
        write_estimate(model, &written.with_extension("safetensors"));
        folders.push(written);
    }
    let output = Command::new(&python).arg(&script).args(&folders).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    assert!(output.status.success(), "{said}{why}");
    assert_eq!(said.matches(": apart ").count(), models.len(), "{said}");
}

#[test]
fn motions_that_diffusers_lacks_are_refused_by_name_and_nothing_is_written() {
    let root = tempfile::tempdir().unwrap();
    let log = ["objective.prediction=edm", "objective.time_input=log_sigma"];
    let cases: [(&str, &[&str], &str); 5] = [
        ("vp_linear", &[], "a variance-preserving SDE"),
        ("sub_vp", &[], "a sub-variance-preserving SDE"),
        ("vp_cosine", &[], "vp_cosine"),
        ("ve", &[], "objective.input_scaling"),
        ("edm", &log, "250 ln sigma"),
    ];
    for (kind, more, says) in cases {
        let (run, out) = (root.path().join(kind), root.path().join("out"));
        let kind = format!("schedule.kind={kind}");
        let overrides = [&[kind.as_str()], more].concat();
        let error = trained(&run, &overrides).write_diffusers(&out).unwrap_err();
        let text = format!("{error:?} {error}");
        assert!(text.contains(says), "{kind}: {text}");
        assert!(!out.exists());
    }
}

#[test]
fn a_variance_that_diffusers_reads_in_another_way_is_refused_and_its_own_is_kept() {
    let root = tempfile::tempdir().unwrap();
    let (run, out) = (root.path().join("run"), root.path().join("out"));
    let logarithm = ["objective.kind=hybrid", "objective.variance=learned"];
    let model = trained(&run, &logarithm);
    assert_eq!(model.learned_variance(), Some(Learned::LogVariance));
    let error = model.write_diffusers(&out).unwrap_err().to_string();
    for says in ["the logarithm of its variance", "objective.variance", "learned_range"] {
        assert!(error.contains(says), "{error}");
    }
    assert!(!out.exists());
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pipelines/ddpm-learned-value");
    let options = ModelOptions { levels: Some(256), ..ModelOptions::default() };
    let model = Model::open(&own, &options).unwrap();
    let again = root.path().join("again");
    model.write_run(&again, model.description().clone()).unwrap();
    for folder in [&own, &again] {
        let model = Model::open(folder, &ModelOptions::default()).unwrap();
        assert_eq!(model.learned_variance(), Some(Learned::Variance));
    }
    Model::open(&again, &ModelOptions::default()).unwrap().write_diffusers(&out).unwrap();
    let written = std::fs::read_to_string(out.join("scheduler_config.json")).unwrap();
    assert!(written.contains(r#""variance_type": "learned""#), "{written}");
}
