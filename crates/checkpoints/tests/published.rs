//! Checkpoints of other programs, recognised by what they hold and read with what lies beside them.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tweedie_checkpoints::{
    BetaShape, CheckpointError, CheckpointSource, DataRange, NetworkFamily, PublishedCheckpoint,
    PublishedOptions, TrainedNoise, TrainedPrediction, TrainedTime, TrainedVariance, WeightChoice,
    WeightKind,
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The message of an error with those of its sources.
fn chain(error: &dyn Error) -> String {
    let rest = error.source().map_or_else(String::new, |source| format!(": {}", chain(source)));
    format!("{error}{rest}")
}

/// A folder with a copy of one weight file, under another name, and what lies beside it.
struct Beside {
    folder: tempfile::TempDir,
    weights: PathBuf,
}

impl Beside {
    fn new(weights: &str, name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::copy(data(weights), &path).unwrap();
        Self { folder, weights: path }
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.path().join(name), text).unwrap();
        self
    }

    #[track_caller]
    fn open(&self) -> PublishedCheckpoint {
        PublishedCheckpoint::open(&self.weights).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    #[track_caller]
    fn check_refused(&self, says: &str) {
        let opened = PublishedCheckpoint::open(&self.weights);
        let error = opened.and_then(|checkpoint| checkpoint.conventions()).expect_err(says);
        let message = chain(&error);
        assert!(message.contains(says), "{message}");
        let folder = self.folder.path().to_str().unwrap();
        assert!(message.contains(folder), "does not name the file: {message}");
    }
}

/// The part of a configuration of `score_sde` that matters here.
fn score_config(sde: &str, continuous: bool) -> String {
    json!({
        "training": {"sde": sde, "continuous": continuous, "batch_size": 128},
        "data": {"image_size": 8, "num_channels": 3, "centered": sde != "vesde"},
        "model": {"name": "ncsnpp", "nf": 8, "num_scales": 500, "beta_min": 0.2, "beta_max": 10,
                  "sigma_min": 0.02, "sigma_max": 90},
        "sampling": {"method": "pc", "snr": 0.16},
    })
    .to_string()
}

#[test]
fn a_training_state_of_score_sde_gives_its_average_under_the_names_of_the_network() {
    let place = Beside::new("network.pth", "checkpoint_8.pth");
    let place = place.with("checkpoint_8.json", &score_config("vesde", true));
    let averaged = place.open();
    assert_eq!(averaged.source(), CheckpointSource::ScoreSde);
    assert_eq!(averaged.family(), NetworkFamily::ScoreSde);
    assert_eq!(averaged.image_shape(), Some([3, 8, 8]));
    let kind = WeightKind::Averaged { decay: Some(0.9999), updates: Some(5) };
    assert_eq!(averaged.weight_kind(), kind);
    let options = PublishedOptions { weights: WeightChoice::Raw, ..Default::default() };
    let raw = PublishedCheckpoint::open_with(&place.weights, &options).unwrap();
    assert_eq!(raw.weight_kind(), WeightKind::Raw);
    let (averaged, raw) = (averaged.weights(), raw.weights());
    assert!(averaged.names().eq(raw.names()));
    // in the file the average is everywhere 1 more than the weights
    for name in raw.names().filter(|name| !["sigmas", "all_modules.0.W"].contains(name)) {
        let (averaged, raw) = (averaged.read_f32(name).unwrap(), raw.read_f32(name).unwrap());
        let differ = averaged.iter().zip(&raw).all(|(a, r)| (a - r - 1.0).abs() < 1e-6);
        assert!(differ && averaged.len() == raw.len(), "{name}: {averaged:?} {raw:?}");
    }
    assert_eq!(averaged.read_f64("sigmas").unwrap(), [50.0, 0.01]);
    assert_eq!(averaged.read_f32("all_modules.0.W").unwrap(), [16.0, -16.0]);
}

#[test]
fn a_training_state_without_an_average_gives_its_weights() {
    let place = Beside::new("no-average.pth", "a.pth").with("a.json", &score_config("vpsde", true));
    let checkpoint = place.open();
    assert_eq!(checkpoint.weight_kind(), WeightKind::Raw);
    assert!(checkpoint.weights().contains("all_modules.3.NIN_0.W"));
}

#[test]
fn an_average_that_does_not_fit_its_model_is_refused_by_name() {
    let config = score_config("vpsde", true);
    let short = Beside::new("average-too-short.pth", "a.pth").with("a.json", &config);
    short.check_refused("the running average holds 7 tensors, the model has 8 trained parameters");
    let other = Beside::new("average-of-another.pth", "a.pth").with("a.json", &config);
    other.check_refused(
        "tensor 0 of the running average has shape [3, 3], its parameter `module.all_modules.1.weight` has [2, 4]",
    );
}

#[test]
fn the_noise_of_score_sde_stands_in_its_configuration() {
    let conventions = |sde: &str, continuous: bool| {
        let place = Beside::new("network.pth", "checkpoint.pth");
        place.with("config.json", &score_config(sde, continuous)).open().conventions().unwrap()
    };
    let vp = conventions("vpsde", true);
    let betas = TrainedNoise::VariancePreserving { beta_min: 0.2, beta_max: 10.0, steps: 500 };
    assert_eq!(vp.noise, betas);
    assert_eq!(vp.prediction, TrainedPrediction::Noise);
    assert_eq!(vp.time, TrainedTime::Time { scale: 999.0 });
    assert_eq!(vp.data_range, DataRange::Symmetric);
    let chain = conventions("vpsde", false);
    assert!(
        matches!(chain.noise, TrainedNoise::Betas { shape: BetaShape::Linear, start, end, steps: 500, .. }
            if start == 0.2 / 500.0 && end == 10.0 / 500.0)
    );
    assert_eq!(chain.time, TrainedTime::Index { steps: 500, scale: 1.0 });
    let sub = conventions("subvpsde", false);
    assert!(matches!(sub.noise, TrainedNoise::SubVariancePreserving { steps: 500, .. }));
    assert_eq!(sub.time, TrainedTime::Time { scale: 999.0 });
    let ve = conventions("vesde", true);
    let sigmas = TrainedNoise::Exploding { sigma_min: 0.02, sigma_max: 90.0, steps: 500 };
    assert_eq!((ve.noise, ve.time), (sigmas, TrainedTime::Sigma));
    assert_eq!((ve.prediction, ve.data_range), (TrainedPrediction::Score, DataRange::Unit));
    assert_eq!(conventions("vesde", false).time, TrainedTime::DescendingIndex { steps: 500 });
}

#[test]
fn names_with_dots_are_groups() {
    let config = r#"{"model.nf": 8, "model.name": "ncsnpp", "data.image_size": 8, "data": {"centered": true},
        "training.sde": "VPSDE", "training.continuous": true, "seed": 42}"#;
    let checkpoint = Beside::new("network.pth", "a.pth").with("config.json", config).open();
    let expected = json!({"model": {"nf": 8, "name": "ncsnpp"}, "data": {"image_size": 8, "centered": true},
        "training": {"sde": "VPSDE", "continuous": true}});
    assert_eq!(json!(checkpoint.config()), expected);
    assert_eq!(checkpoint.conventions().unwrap().data_range, DataRange::Symmetric);
}

#[test]
fn a_configuration_that_is_missing_or_wrong_is_asked_for() {
    let alone = Beside::new("network.pth", "a.pth");
    alone.check_refused("how their network is built must be said by");
    alone.check_refused("embedding_type fourier, num_scales 2");
    Beside::new("network.pth", "a.pth").with("a.json", r#"{"nf": 8}"#).check_refused("groups");
    let no_noise = r#"{"model": {"nf": 8}}"#;
    Beside::new("network.pth", "a.pth").with("a.json", no_noise).check_refused("`sde` (vpsde,");
    let wrong_in = |group: &str, key: &str, value: serde_json::Value| {
        let mut config: serde_json::Value =
            serde_json::from_str(&score_config("vesde", true)).unwrap();
        config[group][key] = value;
        Beside::new("network.pth", "a.pth").with("a.json", &config.to_string())
    };
    let wrong = |key: &str, value| wrong_in("model", key, value);
    wrong_in("training", "sde", json!(3)).check_refused("training.sde is 3, expected a text");
    wrong_in("training", "continuous", json!("yes"))
        .check_refused("training.continuous is \"yes\", expected true or false");
    wrong_in("data", "centered", json!(1)).check_refused("data.centered is 1, expected true");
    wrong("num_scales", json!(0)).check_refused("num_scales is 0, expected");
    wrong("num_scales", json!(1e12)).check_refused("num_scales is 1000000000000.0, expected");
    wrong("sigma_min", json!(-1)).check_refused("sigma_min is -1, expected a positive number");
    wrong("sigma_max", json!(0.001))
        .check_refused("sigma_max is 0.001, expected more than sigma_min");
    let other = score_config("flow", true);
    Beside::new("network.pth", "a.pth")
        .with("a.json", &other)
        .check_refused("training.sde is flow");
    Beside::new("network.pth", "a.pth").with("a.json", "[]").check_refused("is not valid");
}

const FLAGS: &str = "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 \
    --dropout 0.1 --image_size 64 --learn_sigma True --noise_schedule cosine --num_channels 192 \
    --num_head_channels 64 --num_res_blocks=3 --resblock_updown True --use_new_attention_order True \
    --use_fp16 True --use_scale_shift_norm True --batch_size 4";

#[test]
fn the_flags_of_guided_diffusion_become_the_arguments_of_its_constructor() {
    let expected = json!({
        "image_size": 64, "in_channels": 3, "model_channels": 192, "out_channels": 6,
        "num_res_blocks": 3, "attention_resolutions": [2, 4, 8], "dropout": 0.1,
        "channel_mult": [1, 2, 3, 4], "conv_resample": true, "dims": 2, "num_classes": 1000,
        "use_checkpoint": false, "use_fp16": true, "num_heads": 4, "num_head_channels": 64,
        "num_heads_upsample": -1, "use_scale_shift_norm": true, "resblock_updown": true,
        "use_new_attention_order": true,
    });
    let text = Beside::new("adm.pt", "model.pt").with("model.txt", FLAGS).open();
    assert_eq!(json!(text.config()), expected);
    for end in [" \\\n    ", "\\\n  ", " \\\r\n"] {
        let lines = format!("\\\n{}", FLAGS.replace(" --", &format!("{end}--")));
        let lines = Beside::new("adm.pt", "model.pt").with("model.txt", &lines).open();
        assert_eq!(json!(lines.config()), expected);
    }
    assert_eq!(
        (text.source(), text.family()),
        (CheckpointSource::GuidedDiffusion, NetworkFamily::Adm)
    );
    assert_eq!(text.image_shape(), Some([3, 64, 64]));
    let values = json!({"attention_resolutions": [32, 16, 8], "class_cond": true, "dropout": 0.1,
        "image_size": 64, "learn_sigma": "True", "noise_schedule": "cosine", "num_channels": "192",
        "num_head_channels": 64, "num_res_blocks": 3, "resblock_updown": true,
        "use_new_attention_order": true, "use_fp16": 1});
    let json_file =
        Beside::new("adm.pt", "model.pt").with("model.json", &values.to_string()).open();
    assert_eq!(json!(json_file.config()), expected);
    // by its name, and as the constructor's own arguments
    let known = Beside::new("adm.pt", "64x64_diffusion.pt").open();
    assert_eq!(json!(known.config()), expected);
    assert!(known.notes()[0].contains("published for 64x64_diffusion.pt"), "{:?}", known.notes());
    let own = Beside::new("adm.pt", "model.pt").with("config.json", &expected.to_string()).open();
    assert_eq!(json!(own.config()), expected);
    assert!(own.notes()[0].contains("1000 steps of the linear schedule"), "{:?}", own.notes());
    for checkpoint in [text, known, json_file] {
        let conventions = checkpoint.conventions().unwrap();
        assert!(matches!(
            conventions.noise,
            TrainedNoise::Betas { shape: BetaShape::SquaredCosine, steps: 1000, .. }
        ));
        assert_eq!(conventions.variance, Some(TrainedVariance::LearnedRange));
        assert_eq!(conventions.time, TrainedTime::Index { steps: 1000, scale: 1.0 });
    }
}

#[test]
fn flags_left_out_have_the_defaults_of_the_scripts() {
    let checkpoint = Beside::new("adm.pt", "model.pt").with("flags.txt", "--image_size 256").open();
    let config = json!(checkpoint.config());
    assert_eq!(config["channel_mult"], json!([1, 1, 2, 2, 4, 4]));
    assert_eq!(config["attention_resolutions"], json!([16, 32]));
    assert_eq!(
        (config["model_channels"].as_i64(), config["num_heads"].as_i64()),
        (Some(128), Some(4))
    );
    assert_eq!((config["out_channels"].as_i64(), config["num_classes"].as_i64()), (Some(3), None));
    let conventions = checkpoint.conventions().unwrap();
    assert_eq!(conventions.variance, Some(TrainedVariance::FixedLarge));
    assert_eq!(conventions.prediction, TrainedPrediction::Noise);
    assert!(matches!(conventions.noise, TrainedNoise::Betas { start: 1e-4, end: 0.02, .. }));
    let tiny = Beside::new("adm.pt", "model.pt").with(
        "flags.txt",
        "--image_size 16 --channel_mult 1,2 --attention_resolutions 32,8 --timestep_respacing ddim25",
    );
    let tiny = tiny.open();
    assert_eq!(tiny.config()["attention_resolutions"], json!([2]));
    assert!(tiny.notes()[0].contains("timestep_respacing ddim25"), "{:?}", tiny.notes());
    let small =
        "--sigma_small True --predict_xstart True --diffusion_steps 500 --resblock_updown False";
    let conventions =
        Beside::new("adm.pt", "model.pt").with("flags.txt", small).open().conventions();
    let conventions = conventions.unwrap();
    assert_eq!(conventions.variance, Some(TrainedVariance::FixedSmall));
    assert_eq!(conventions.prediction, TrainedPrediction::Data);
    assert!(matches!(
        conventions.noise,
        TrainedNoise::Betas { start: 2e-4, end: 0.04, steps: 500, .. }
    ));
}

#[test]
fn what_improved_diffusion_does_by_default_is_asked_for_where_it_matters() {
    let flags = "--image_size 32 --num_channels 128 --diffusion_steps 4000 --noise_schedule cosine";
    let place = Beside::new("adm.pt", "model.pt").with("model.txt", flags);
    place.check_refused("rescale_timesteps is not given, expected True");
    let source = Some(CheckpointSource::ImprovedDiffusion);
    let options = PublishedOptions { source, ..Default::default() };
    let improved = PublishedCheckpoint::open_with(&place.weights, &options).unwrap();
    let time = improved.conventions().unwrap().time;
    assert_eq!(time, TrainedTime::Index { steps: 4000, scale: 0.25 });
    let known = Beside::new("adm.pt", "cifar10_uncond_50M_500K.pt").open();
    assert_eq!(known.source(), CheckpointSource::ImprovedDiffusion);
    assert_eq!(known.conventions().unwrap().time, time);
    assert_eq!(known.config()["channel_mult"], json!([1, 2, 2, 2]));
}

#[test]
fn flags_that_are_unknown_or_out_of_range_are_refused() {
    let refused = |flags: &str, says: &str| {
        Beside::new("adm.pt", "model.pt").with("model.txt", flags).check_refused(says);
    };
    refused(
        "--num_chanels 128",
        "`num_chanels` is not known, expected one of image_size, num_channels",
    );
    refused("--image_size 48", "image_size is 48, expected 32, 64");
    refused("--image_size 0", "image_size is 0, expected an integer from 1");
    refused("--attention_resolutions 16,0", "attention_resolutions is 16,0, expected positive");
    refused("--learn_sigma maybe", "learn_sigma is maybe, expected True or False");
    refused("--dropout 1.5", "dropout is 1.5, expected a number from 0 to below 1");
    refused("--noise_schedule sigmoid", "noise_schedule is sigmoid, expected linear or cosine");
    refused("--diffusion_steps 10 --use_fp16 1", "diffusion_steps is 10, expected more than 20");
    refused("--learn_sigma", "a flag is --learn_sigma, expected a value after it");
    refused("--learn_sigma True stray", "a flag is stray, expected --NAME VALUE");
    Beside::new("adm.pt", "model.pt")
        .check_refused("names and shapes say \"--num_channels 32 --learn_sigma True");
}

#[test]
fn an_upsampler_is_refused_by_what_it_takes() {
    let place = Beside::new("adm.pt", "model.pt");
    let config = json!({"image_size": 64, "model_channels": 32, "in_channels": 6}).to_string();
    place
        .with("config.json", &config)
        .check_refused("in_channels is 6, expected 3 as in the weights");
}

#[test]
fn networks_of_every_source_alone_are_told_by_their_names() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/nets");
    let cases = std::env::var_os("NETS_DIR").map_or(own, PathBuf::from);
    let mut found = 0;
    for case in fs::read_dir(cases).unwrap() {
        let path = case.unwrap().path();
        let about = fs::read(path.join("case.json")).unwrap_or_default();
        let Ok(about) = serde_json::from_slice::<serde_json::Value>(&about) else { continue };
        let family = match about["class"].as_str().unwrap() {
            "UNet2DModel" => NetworkFamily::UNet2DModel,
            "UNetModel" => NetworkFamily::Adm,
            "EncoderUNetModel" => NetworkFamily::AdmEncoder,
            "NCSNv2" => NetworkFamily::Ncsnv2,
            "ncsnpp" | "ddpm" => NetworkFamily::ScoreSde,
            _ => continue,
        };
        let opened = PublishedCheckpoint::open(&path).unwrap_or_else(|e| panic!("{}", chain(&e)));
        assert_eq!(opened.family(), family, "{}", path.display());
        let [_, height, _] = opened.image_shape().expect("a size");
        assert!(height > 0, "{}", path.display());
        found += 1;
    }
    assert!(found > 0, "no network was looked at");
}

#[test]
fn weights_of_a_variant_are_read_with_a_note_that_names_their_file() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("config.json"), r#"{"_class_name": "UNet2DModel"}"#).unwrap();
    let variant = folder.path().join("diffusion_pytorch_model.fp16.bin");
    fs::copy(data("weights.bin"), &variant).unwrap();
    let opened = PublishedCheckpoint::open(folder.path()).unwrap();
    assert_eq!(opened.family(), NetworkFamily::UNet2DModel);
    assert_eq!(opened.weights().read_f32("conv_in.bias").unwrap(), [2.0]);
    let [note] = opened.notes() else { panic!("{:?}", opened.notes()) };
    assert!(note.contains(variant.to_str().unwrap()) && note.contains("`fp16`"), "{note}");
    fs::copy(&variant, folder.path().join("diffusion_pytorch_model.bin")).unwrap();
    assert!(PublishedCheckpoint::open(folder.path()).unwrap().notes().is_empty());
    fs::remove_file(folder.path().join("diffusion_pytorch_model.bin")).unwrap();
    fs::copy(&variant, folder.path().join("diffusion_pytorch_model.ema.bin")).unwrap();
    let message = chain(&PublishedCheckpoint::open(folder.path()).unwrap_err());
    assert!(message.contains("several variants"), "{message}");
}

#[test]
fn what_is_no_checkpoint_is_said_to_be_none() {
    let refused = |path: &Path, says: &str| {
        let message = chain(&PublishedCheckpoint::open(path).unwrap_err());
        assert!(message.contains(says) && message.contains(path.to_str().unwrap()), "{message}");
    };
    refused(&data("zip-4.pt"), "it is a dict of [tensors, base");
    refused(&data("weights.bin"), "1 tensors, such as [conv_in.bias]");
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), "a folder without weights");
    for name in ["a.pt", "b.pt"] {
        fs::copy(data("adm.pt"), folder.path().join(name)).unwrap();
    }
    refused(folder.path(), "several weight files (a.pt, b.pt): name one");
    refused(&folder.path().join("no.pth"), "cannot open");
    let harmful = PublishedCheckpoint::open(&data("harmful.pt")).unwrap_err();
    assert!(matches!(harmful, CheckpointError::Pickle { .. }), "{harmful}");
}
