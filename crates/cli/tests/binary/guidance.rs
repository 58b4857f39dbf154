//! Guidance through the binary: a classifier trained, what it steers, and what is refused.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::program::{Program, TINY, values};

/// A classifier that goes with [`TINY`].
const CLASSIFIER: &str = r#"
[network]
family = "adm-encoder"
image_size = 8
in_channels = 1
out_channels = 10
model_channels = 32
num_res_blocks = 1
channel_mult = [1]
attention_resolutions = []
num_head_channels = 32
pool = "attention"

[schedule]
kind = "cosine"
steps = 100

[objective]
kind = "classifier"

[training]
steps = 12
batch_size = 16
threads = 2

[logging]
held_out_every = 6

[checkpoints]
every = 6
"#;

struct Runs {
    _folder: tempfile::TempDir,
    model: PathBuf,
    unconditional: PathBuf,
    classifier: PathBuf,
}

/// Tiny finished runs that the tests of this file share.
fn runs() -> &'static Runs {
    static RUNS: OnceLock<Runs> = OnceLock::new();
    RUNS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let train = |name: &str, config: &str, more: &[&str]| {
            let out = folder.path().join(name);
            Program::train(folder.path(), config, &out, more).expect_success();
            out
        };
        let told = "network.class_conditional=false";
        Runs {
            model: train("model", TINY, &[]),
            unconditional: train("unconditional", TINY, &["--set", told]),
            classifier: train("classifier", CLASSIFIER, &[]),
            _folder: folder,
        }
    })
}

fn sample(run: &Path, out: &Path, more: &[&str]) -> Program {
    let mut arguments = vec!["sample", run.to_str().unwrap(), "--steps", "4", "--count", "4"];
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(more);
    Program::run(&arguments)
}

#[test]
fn a_classifier_steers_a_model_by_every_method_and_in_both_forms() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let classifier = runs.classifier.to_str().unwrap();
    let plain = folder.path().join("plain.npy");
    let guided = folder.path().join("guided.npy");
    for method in [
        &["--sampler", "ddim"][..],
        &["--sampler", "dpm-solver++"],
        &["--sampler", "ddpm"],
        &["--sampler", "ddpm", "--guidance-form", "mean"],
        &["--sampler", "ddpm", "--guidance-form", "mean", "--corrector", "langevin"],
    ] {
        let steered = [&["--class", "3", "--classifier", classifier], method].concat();
        let none = [&steered[..], &["--guidance", "0"]].concat();
        let strong = [&steered[..], &["--guidance", "50"]].concat();
        sample(&runs.unconditional, &plain, &none).expect_success();
        sample(&runs.unconditional, &guided, &strong).expect_success();
        assert_ne!(values(&plain), values(&guided), "{method:?}");
        // at no noise level there is nothing to guide
        let nowhere = [&strong[..], &["--guidance-interval", "1e9,inf"]].concat();
        sample(&runs.unconditional, &guided, &nowhere).expect_success();
        assert_eq!(values(&plain), values(&guided), "{method:?}");
    }
}

#[test]
fn a_model_guides_itself_from_no_class_to_a_class_and_away_from_another() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let drawn = |more: &[&str]| {
        let out = folder.path().join("x.npy");
        sample(&runs.model, &out, &[&["--class", "3"], more].concat()).expect_success();
        values(&out)
    };
    let told = drawn(&[]);
    assert_eq!(drawn(&["--guidance", "1"]), told);
    let guided = drawn(&["--guidance", "8"]);
    assert_ne!(guided, told);
    assert_ne!(drawn(&["--guidance", "8", "--guidance-rescale", "0.7"]), guided);
    assert_ne!(drawn(&["--guidance", "8", "--negative-class", "4"]), guided);
    assert_eq!(drawn(&["--guidance", "8", "--guidance-interval", "1e9,inf"]), told);
    // where guidance does not act the class is asked for, whatever the scale
    let nowhere = |more: &[&str]| drawn(&[more, &["--guidance-interval", "1e9,inf"]].concat());
    assert_eq!(nowhere(&["--guidance", "0"]), told);
    assert_eq!(nowhere(&["--guidance", "-1.2", "--negative-class", "4"]), told);
}

#[test]
fn guidance_is_evaluated_with_the_share_of_the_class_and_the_diversity() {
    let runs = runs();
    let classifier = runs.classifier.to_str().unwrap();
    let arguments =
        ["evaluate", runs.unconditional.to_str().unwrap(), "--count", "40", "--steps", "2"];
    let guided = ["--json", "--classifier", classifier, "--guidance", "2"];
    let text = Program::run(&[&arguments[..], &guided].concat()).expect_success();
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(report["class_agreement"].is_f64() && report["diversity"].is_f64(), "{text}");
    assert!(report["guidance"].as_str().unwrap().contains("scale 2"), "{text}");
}

#[test]
fn what_cannot_be_guided_is_refused_before_any_network_runs() {
    let (runs, folder) = (runs(), tempfile::tempdir().unwrap());
    let out = folder.path().join("x.png");
    let Runs { model, unconditional, classifier, .. } = runs;
    let steering = classifier.to_str().unwrap();
    let other = folder.path().join("other");
    let schedule = ["--set", "schedule.kind=linear"];
    Program::train(folder.path(), CLASSIFIER, &other, &schedule).expect_success();
    let other = other.to_str().unwrap();
    let always_told = folder.path().join("told");
    let dropout = ["--set", "training.label_dropout=0"];
    Program::train(folder.path(), TINY, &always_told, &dropout).expect_success();
    for (run, more, says) in [
        (unconditional, &["--classifier", steering][..], "--class says which"),
        (
            unconditional,
            &["--class", "10", "--classifier", steering],
            "--class is 10, expected 0 to 9",
        ),
        (unconditional, &["--class", "3"], "trained without classes"),
        (unconditional, &["--guidance", "2"], "trained without"),
        (&always_told, &["--class", "3", "--guidance", "2"], "label_dropout is 0"),
        (model, &["--class", "3", "--classifier", other], "noise schedule"),
        (model, &["--class", "3", "--classifier", model.to_str().unwrap()], "is no classifier"),
        (classifier, &["--class", "3"], "is a classifier of noisy images"),
        (model, &["--class", "3", "--guidance", "inf"], "from -1e6 to 1e6"),
        (model, &["--class", "3", "--guidance", "1e39"], "from -1e6 to 1e6"),
        (
            model,
            &["--class", "3", "--guidance", "2", "--negative-class", "10"],
            "--negative-class is 10, expected 0 to 9",
        ),
        (model, &["--class", "3", "--guidance-interval", "0,1"], "goes with --guidance"),
        (model, &["--class", "3", "--guidance", "2", "--guidance-rescale", "2"], "[0, 1]"),
        (
            model,
            &["--class", "3", "--classifier", steering, "--guidance-form", "mean"],
            "--sampler ddpm",
        ),
    ] {
        let message = sample(run, &out, more).expect_refusal();
        assert!(message.contains(says), "`{says}` is not in: {message}");
        assert!(!out.exists());
    }
    let inpaint = ["inpaint", always_told.to_str().unwrap(), "--index", "0", "--right-half"];
    let inpaint = [&inpaint[..], &["--steps", "2", "--out", out.to_str().unwrap()]].concat();
    let message = Program::run(&inpaint).expect_refusal();
    assert!(message.contains("label_dropout is 0") && !out.exists(), "{message}");
    Program::run(&[&inpaint[..], &["--class", "3"]].concat()).expect_success();
    let (handed, told) = (folder.path().join("handed"), always_told.to_str().unwrap());
    Program::run(&["convert", told, handed.to_str().unwrap()]).expect_success();
    let back = folder.path().join("back");
    let convert = ["convert", handed.to_str().unwrap(), back.to_str().unwrap(), "--to", "tweedie"];
    let data = ["--data", "digits", "--levels", "17"];
    Program::run(&[&convert[..], &data].concat()).expect_success();
    for model in [&handed, &back] {
        let shown = Program::run(&["model", "info", model.to_str().unwrap()]).expect_success();
        for says in ["classes              10\n", "null class           no\n"] {
            assert!(shown.contains(says), "`{says}` is not in: {shown}");
        }
        let message = sample(model, &out, &["--class", "10"]).expect_refusal();
        assert!(message.contains("--class is 10, expected 0 to 9"), "{message}");
        let message = sample(model, &out, &["--class", "3", "--guidance", "2"]).expect_refusal();
        assert!(message.contains("needs a model with a null class"), "{message}");
    }
    let again = ["--from", handed.to_str().unwrap(), dropout[0], dropout[1]];
    Program::train(folder.path(), TINY, &folder.path().join("again"), &again).expect_success();
    let evaluate = ["evaluate", steering];
    assert!(Program::run(&evaluate).expect_refusal().contains("is a classifier"));
    let likelihood = ["likelihood", steering, "--method", "bound"];
    assert!(Program::run(&likelihood).expect_refusal().contains("is a classifier"));
}

#[test]
fn a_classifier_is_shown_and_trained_on_but_neither_converted_nor_made_a_model_of() {
    let (classifier, folder) = (runs().classifier.to_str().unwrap(), tempfile::tempdir().unwrap());
    let out = folder.path().join("out");
    let shown = Program::run(&["model", "info", classifier]).expect_success();
    for says in ["adm-encoder", "tells classes        10"] {
        assert!(shown.contains(says), "`{says}` is not in: {shown}");
    }
    for to in ["diffusers", "tweedie"] {
        let convert = ["convert", classifier, out.to_str().unwrap(), "--to", to];
        let message = Program::run(&convert).expect_refusal();
        assert!(message.contains("is a classifier of noisy images"), "{message}");
        assert!(!out.exists());
    }
    let on = |config: &str, out: &Path| {
        Program::train(folder.path(), config, out, &["--from", classifier])
    };
    let message = on("[objective]\nkind = \"denoising\"\n", &out).expect_refusal();
    assert!(message.contains("neither can begin with the weights of the other"), "{message}");
    assert!(!out.exists());
    let model = runs().model.to_str().unwrap();
    let message = Program::train(folder.path(), CLASSIFIER, &out, &["--from", model]);
    let message = message.expect_refusal();
    assert!(message.contains("neither can begin with the weights of the other"), "{message}");
    // what else does not fit in such a configuration is not what is wrong
    let short = "[data]\nsource = \"digits\"\n[objective]\nkind = \"classifier\"\n";
    let message = Program::train(folder.path(), short, &out, &["--from", model]).expect_refusal();
    assert!(
        message.contains("it describes a classifier of noisy images, and the weights"),
        "{message}"
    );
    // the kind is not named, but a classifier predicts nothing and has a network of its own
    for text in ["[objective]\nprediction = \"noise\"\n", "[network]\nchannels = 8\n"] {
        let message = on(text, &out).expect_refusal();
        assert!(message.contains("it describes a model of images, and the weights"), "{message}");
    }
    on("[training]\nsteps = 1\nbatch_size = 4\nthreads = 1\n", &out).expect_success();
    let trained = std::fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(trained.contains("kind = \"classifier\""), "{trained}");
}
