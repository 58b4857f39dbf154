//! Checkpoints of other programs: every command takes them, and runs go there and back.

use std::path::{Path, PathBuf};

use crate::program::{Program, TINY, values_in};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A folder as diffusers saves it: google/ddpm-cifar10-32, narrow and 16x16.
fn diffusers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../training/tests/data/pipelines/ddpm-cifar10-32")
        .canonicalize()
        .unwrap()
}

/// The same with exploding noise: google/ncsnpp-celebahq-256, narrow and 64x64.
fn exploding() -> PathBuf {
    diffusers().with_file_name("ncsnpp-celebahq-256")
}

/// A run on the digits, trained for a moment.
fn run(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    Program::train(folder, TINY, &run, &[]).expect_success();
    run
}

fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// How far the values of two arrays of floats are apart, by the largest of them.
fn far(one: &[u8], other: &[u8]) -> f32 {
    let (one, other) = (values_in(one), values_in(other));
    let largest = other.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let apart = one.iter().zip(&other).map(|(one, other)| (one - other).abs());
    apart.fold(0.0, f32::max) / largest
}

/// Pictures of 16x16 in colour, to train on.
fn pictures(folder: &Path) -> PathBuf {
    let pictures = folder.join("pictures");
    std::fs::create_dir(&pictures).unwrap();
    for number in 0..12_u8 {
        let colour = |x: u32, y: u32| image::Rgb([number * 20, (x * 16) as u8, (y * 16) as u8]);
        image::RgbImage::from_fn(16, 16, colour)
            .save(pictures.join(format!("{number}.png")))
            .unwrap();
    }
    pictures
}

#[test]
fn commands_take_a_folder_of_diffusers() {
    let folder = tempfile::tempdir().unwrap();
    let (model, at) = (diffusers(), |name: &str| folder.path().join(name));
    let images = at("images.npy");
    let sample = ["sample", text(&model), "--count", "2", "--steps", "3", "--out", text(&images)];
    let output = Program::run(&sample).expect_success();
    assert!(output.contains("2 images"), "{output}");
    let flow = ["--rtol", "0.1", "--atol", "0.1", "--limit", "1"];
    let (latents, decoded) = (at("latents.npy"), at("decoded.npy"));
    let data = ["--data", text(&images)];
    let encode = [&["encode", text(&model), "--out", text(&latents)], &data[..], &flow].concat();
    Program::run(&encode).expect_success();
    let decode = ["decode", text(&model), text(&latents), "--out", text(&decoded), "--rtol", "0.1"];
    Program::run(&decode).expect_success();
    let plan = ["plan", "--run", text(&model), "--sampler", "ddim", "--steps", "4", "--json"];
    assert!(Program::run(&plan).expect_success().contains("\"evaluations\":4"));
    // nothing was written into it
    assert_eq!(std::fs::read_dir(&model).unwrap().count(), 5);
}

#[test]
fn a_model_whose_program_clips_has_no_exact_likelihood_but_that_of_its_own_estimates() {
    let folder = tempfile::tempdir().unwrap();
    let (model, images) = (diffusers(), folder.path().join("images.npy"));
    let sample = ["sample", text(&model), "--count", "1", "--steps", "2", "--out", text(&images)];
    Program::run(&sample).expect_success();
    let data = ["--data", text(&images), "--rtol", "0.1", "--atol", "0.1"];
    let out = folder.path().join("report.json");
    let flow = ["likelihood", text(&model), "--method", "flow", "--levels", "256"];
    let flow = [&flow[..], &["--out", text(&out)], &data].concat();
    let message = Program::run(&flow).expect_refusal();
    assert!(message.contains("no exact likelihood") && message.contains("--no-clip"), "{message}");
    assert!(!out.exists());
    let lines = Program::run(&[&flow[..], &["--no-clip"]].concat()).expect_success();
    assert!(lines.contains("which its program holds within -1 to 1"), "{lines}");
    let report: serde_json::Value = serde_json::from_slice(&bytes(&out)).unwrap();
    assert_eq!(report["clipped_by_its_program_to"], serde_json::json!([-1.0, 1.0]));
    assert_eq!(report["clip"], false);
    let latents = folder.path().join("latents.npy");
    let encode = ["encode", text(&model), "--no-round-trip", "--out", text(&latents)];
    let said = Program::run(&[&encode[..], &data].concat()).expect_warning();
    assert!(said.contains("within -1 to 1"), "{said}");
}

#[test]
fn a_dynamic_threshold_counts_as_clipping_and_conversions_remember_both() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (thresholded, pictures) = (at("thresholded"), pictures(folder.path()));
    let report = at("report.json");
    Program::run(&["convert", text(&diffusers()), text(&thresholded)]).expect_success();
    let thresholding =
        r#"{"_class_name": "DDPMScheduler", "clip_sample": false, "thresholding": true}"#;
    std::fs::write(thresholded.join("scheduler_config.json"), thresholding).unwrap();
    for (model, name) in [(thresholded, "of-threshold"), (diffusers(), "of-clipping")] {
        let run = at(name);
        let convert = ["convert", text(&model), text(&run), "--to", "tweedie", "--levels", "256"];
        Program::run(&[&convert[..], &["--data", text(&pictures)]].concat()).expect_success();
        for (model, levels) in [(&model, &["--levels", "256"][..]), (&run, &[])] {
            let flow = ["likelihood", text(model), "--method", "flow", "--data", text(&pictures)];
            let out = ["--out", text(&report)];
            let message = Program::run(&[&flow[..], &out, levels].concat()).expect_refusal();
            assert!(message.contains("within -1 to 1"), "{}: {message}", model.display());
        }
    }
}

#[test]
fn what_a_checkpoint_does_not_say_is_asked_for_by_option() {
    let folder = tempfile::tempdir().unwrap();
    let (model, images) = (diffusers(), folder.path().join("images.npy"));
    let sample = ["sample", text(&model), "--count", "1", "--steps", "1", "--out", text(&images)];
    Program::run(&sample).expect_success();
    let out = folder.path().join("report.json");
    let flow = ["likelihood", text(&model), "--method", "flow", "--no-clip", "--out", text(&out)];
    let evaluate = ["evaluate", text(&model), "--count", "2"];
    let converted = folder.path().join("converted");
    let convert = ["convert", text(&model), text(&converted), "--to", "tweedie"];
    for (arguments, says) in [
        ([&flow[..], &["--data", text(&images)]].concat(), "--levels"),
        (flow.to_vec(), "--source"),
        (evaluate.to_vec(), "--data"),
        (convert.to_vec(), "--data"),
        ([&convert[..], &["--data", "somewhere"]].concat(), "--levels"),
        ([&sample[..], &["--checkpoint", "best"]].concat(), "--checkpoint"),
        ([&sample[..], &["--classes", "3"]].concat(), "--classes is 3"),
        ([&sample[..], &["--size", "15x16"]].concat(), "8 must divide"),
    ] {
        let message = Program::run(&arguments).expect_refusal();
        assert!(message.contains(says), "{arguments:?}: `{says}` is not in: {message}");
    }
    assert!(!out.exists() && !converted.exists());
    let run = run(folder.path());
    let message = Program::run(&["sample", text(&run), "--levels", "4"]).expect_refusal();
    assert!(message.contains("--levels") && message.contains("run"), "{message}");
}

#[test]
fn a_run_becomes_a_folder_of_diffusers_that_draws_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (run, at) = (run(folder.path()), |name: &str| folder.path().join(name));
    let (there, again) = (at("there"), at("again"));
    let said = Program::run(&["convert", text(&run), text(&there)]).expect_warning();
    assert!(said.contains("row 10 of its table stands for no class"), "{said}");
    assert!(!there.join("model_index.json").exists());
    let back = ["convert", text(&there), text(&again), "--to", "tweedie"];
    let said = ["--data", "digits", "--levels", "17"];
    Program::run(&[&back[..], &said].concat()).expect_success();
    let drawn = |model: &Path, more: &[&str]| {
        let out = at("drawn.npy");
        let sample = ["sample", text(model), "-n", "2", "--class", "3", "--steps", "5", "--out"];
        Program::run(&[&sample[..], &[text(&out)], more].concat()).expect_success();
        bytes(&out)
    };
    // a converted run keeps all that the folder says
    assert_eq!(drawn(&again, &[]), drawn(&there, &[]));
    let guided = ["--guidance", "2"];
    assert_eq!(drawn(&again, &guided), drawn(&there, &guided));
    assert_eq!(drawn(&there, &["--classes", "10"]), drawn(&there, &[]));
    assert!(
        Program::run(&["model", "info", text(&there)])
            .expect_success()
            .contains("classes              10")
    );
    // diffusers clips in another way, so that a run draws the same without
    let alike = ["--no-clip", "--guidance", "2"];
    let far = far(&drawn(&there, &alike), &drawn(&run, &alike));
    assert!(far < 1e-6, "{far}");
    // what is there stays
    let message = Program::run(&["convert", text(&run), text(&there)]).expect_refusal();
    assert!(message.contains("exists already"), "{message}");
}

#[test]
fn what_diffusers_cannot_say_is_refused_by_name_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (run, out) = (folder.path().join("run"), folder.path().join("out"));
    let ve = ["--set", "schedule.kind=ve", "--set", "training.steps=1"];
    Program::train(folder.path(), TINY, &run, &ve).expect_success();
    let message = Program::run(&["convert", text(&run), text(&out)]).expect_refusal();
    assert!(message.contains("objective.input_scaling"), "{message}");
    let (run, vp) = (folder.path().join("vp"), ["--set", "schedule.kind=vp_linear"]);
    Program::train(folder.path(), TINY, &run, &vp).expect_success();
    let message = Program::run(&["convert", text(&run), text(&out)]).expect_refusal();
    let says = "diffusers has no scheduler for a variance-preserving SDE with a network that predicts the \
                noise, is told 999 t and takes data from -1 to 1";
    assert!(message.contains(says), "{message}");
    assert_eq!(message.matches(text(&out)).count(), 1, "{message}");
    assert!(!out.exists());
}

#[test]
fn a_checkpoint_is_trained_on_and_the_run_is_whole_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, at) = (pictures(folder.path()), |name: &str| folder.path().join(name));
    let model = at("model");
    Program::run(&["convert", text(&diffusers()), text(&model)]).expect_success();
    let source = format!("data.source={}", text(&pictures));
    let tiny = "[data]\nsize = [16, 16]\n[training]\nsteps = 2\nbatch_size = 2\nthreads = 1\n\
                label_dropout = 0.0\n[samples]\nevery = 0\n";
    let fine_tune = |run: &Path, steps: &str| {
        let more = ["--from", text(&model), "--set", &source, "--set", steps];
        Program::train(folder.path(), tiny, run, &more)
    };
    let said = fine_tune(&at("untouched"), "training.learning_rate=1e-30").expect_warning();
    assert!(!said.contains("is not read"), "{said}");
    fine_tune(&at("tuned"), "training.learning_rate=1e-3").expect_success();
    std::fs::remove_dir_all(&model).unwrap();
    let config = String::from_utf8(bytes(&at("tuned/config.toml"))).unwrap();
    for says in ["family = \"diffusers\"", "beta_end = 0.02", "attention_head_dim = \"null\""] {
        assert!(config.contains(says), "{config}");
    }
    let drawn = |model: &Path| {
        let out = at("drawn.npy");
        let sample = ["sample", text(model), "-n", "1", "--steps", "2", "--out", text(&out)];
        // what diffusers does in another way is left out
        let alike = ["--no-clip", "--spacing", "trailing"];
        Program::run(&[&sample[..], &alike].concat()).expect_success();
        bytes(&out)
    };
    let far_off = far(&drawn(&at("untouched")), &drawn(&diffusers()));
    // the noisiest step divides by alpha = 0.006, and with it the rounding of the two ways to the same numbers
    assert!(far_off < 5e-5, "{far_off}");
    assert!(far(&drawn(&at("tuned")), &drawn(&diffusers())) > 1e-3);
}

#[test]
fn weights_that_do_not_fit_the_networks_table_are_all_named() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let run = Program::train(folder.path(), TINY, &out, &["--from", text(&diffusers())]);
    let message = run.expect_refusal();
    for says in [
        "unexpected: ",
        "of another shape: ",
        "conv_in.weight [16, 3, 3, 3], expected [8, 1, 3, 3]",
    ] {
        assert!(message.contains(says), "`{says}` is not in: {message}");
    }
    assert!(!out.join("config.toml").exists());
}

#[test]
fn information_names_family_parameters_and_conventions() {
    let info = Program::run(&["model", "info", text(&exploding())]).expect_success();
    for says in ["diffusers", "sigma 0.01 to 1348", "0 to 1", "sigma", "score", "conv_in"] {
        assert!(info.contains(says), "`{says}` is not in: {info}");
    }
    let json = Program::run(&["model", "info", text(&diffusers()), "--json"]).expect_success();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["family"], "diffusers");
    assert_eq!(json["image"], serde_json::json!([3, 16, 16]));
    assert!(json["layers"].as_array().unwrap().len() > 20);
}

#[test]
fn a_damaged_folder_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    std::fs::create_dir_all(copy.join("unet")).unwrap();
    let from = diffusers().join("unet");
    let weights = bytes(&from.join("diffusion_pytorch_model.safetensors"));
    std::fs::copy(from.join("config.json"), copy.join("unet/config.json")).unwrap();
    let write = |bytes: &[u8]| {
        std::fs::write(copy.join("unet/diffusion_pytorch_model.safetensors"), bytes).unwrap();
        Program::run(&["sample", text(&copy)]).expect_refusal()
    };
    assert!(write(&weights[..weights.len() / 2]).contains("diffusion_pytorch_model.safetensors"));
    assert!(write(&weights).contains("scheduler_config.json"));
    let info = Program::run(&["model", "info", text(&copy)]);
    assert!(info.expect_success().contains("network alone"));
    assert!(!info.expect_warning().contains("scheduler_config.json"), "it is said once");
    std::fs::write(copy.join("unet/config.json"), "{\"layers_per_block\": -1}").unwrap();
    assert!(write(&weights).contains("layers_per_block"));
}

/// What is said to a sample of a pipeline whose network's configuration was changed.
fn refused_with(pipeline: &Path, change: impl Fn(&mut serde_json::Value)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for name in ["unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"] {
        let copy = folder.path().join(name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::copy(pipeline.join(name), copy).unwrap();
    }
    let config = bytes(&pipeline.join("unet/config.json"));
    let mut config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    change(&mut config);
    std::fs::write(folder.path().join("unet/config.json"), config.to_string()).unwrap();
    Program::run(&["sample", text(folder.path())]).expect_refusal()
}

#[test]
fn weights_of_another_width_are_listed_also_where_they_tell_the_time() {
    let message = refused_with(&exploding(), |config| config["block_out_channels"][0] = 16.into());
    for says in ["time_proj.weight", "[8]", "[16]", "conv_in.weight"] {
        assert!(message.contains(says), "`{says}` is not in: {message}");
    }
}

#[test]
fn a_network_that_is_told_more_than_classes_is_refused_by_the_key_that_says_so() {
    for kind in ["timestep", "identity"] {
        let message = refused_with(&diffusers(), |config| config["class_embed_type"] = kind.into());
        assert!(message.contains("class_embed_type is"), "{message}");
    }
}

#[test]
fn a_checkpoint_that_says_no_noise_takes_that_of_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let (pictures, at) = (pictures(folder.path()), |name: &str| folder.path().join(name));
    let (model, noise, images) = (at("model"), at("noise.toml"), at("images.npy"));
    std::fs::create_dir(&model).unwrap();
    for name in ["config.json", "diffusion_pytorch_model.safetensors"] {
        std::fs::copy(diffusers().join("unet").join(name), model.join(name)).unwrap();
    }
    let sample = ["sample", text(&model), "-n", "1", "--steps", "2", "--out", text(&images)];
    let with_noise = [&sample[..], &["--noise", text(&noise)]].concat();
    let message = Program::run(&sample).expect_refusal();
    assert!(message.contains("--noise") && message.contains("scheduler_config.json"), "{message}");
    std::fs::write(&noise, "[training]\nsteps = 3\n").unwrap();
    let message = Program::run(&with_noise).expect_refusal();
    assert!(message.contains("noise.toml has no [schedule]"), "{message}");
    std::fs::write(&noise, "[schedule]\nkind = \"linear\"\nsteps = 1000\n").unwrap();
    Program::run(&with_noise).expect_success();
    let converted = at("converted");
    let convert = ["convert", text(&model), text(&converted), "--noise", text(&noise)];
    Program::run(&convert).expect_success();
    // nothing says that its program clips, neither before it is converted nor afterwards
    let own = at("own");
    let convert = ["convert", text(&model), text(&own), "--to", "tweedie", "--levels", "256"];
    let more = ["--noise", text(&noise), "--data", text(&pictures)];
    Program::run(&[&convert[..], &more].concat()).expect_success();
    let (report, loose) = (at("report.json"), ["--limit", "1", "--rtol", "0.1", "--atol", "0.1"]);
    let said = ["--levels", "256", "--noise", text(&noise)];
    for (model, said) in [(&model, &said[..]), (&own, &[])] {
        let flow = ["likelihood", text(model), "--method", "flow", "--data", text(&pictures)];
        let flow = [&flow[..], &loose, &["--out", text(&report)], said].concat();
        assert!(!Program::run(&flow).expect_success().contains("its program"));
    }
    let noise = String::from_utf8(bytes(&converted.join("scheduler_config.json"))).unwrap();
    assert!(noise.contains("\"beta_end\": 0.02"), "{noise}");
    let tiny = "[data]\nsize = [16, 16]\n[schedule]\nkind = \"cosine\"\nsteps = 50\n\
                [training]\nsteps = 1\nbatch_size = 2\nthreads = 1\n[samples]\nevery = 0\n";
    let source = format!("data.source={}", text(&pictures));
    let more = ["--from", text(&model), "--set", &source];
    let run = at("run");
    Program::train(folder.path(), tiny, &run, &more).expect_success();
    assert!(Program::run(&["model", "info", text(&run)]).expect_success().contains("50 betas"));
}

#[test]
fn data_that_the_network_does_not_go_with_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (model, out) = (diffusers(), folder.path().join("run"));
    let convert = ["convert", text(&model), text(&out), "--to", "tweedie", "--levels", "17"];
    let message = Program::run(&[&convert[..], &["--data", "digits"]].concat()).expect_refusal();
    let says = "data.source is digits, whose images are 1x8x8, expected images of 3x16x16";
    assert!(message.contains(says), "{message}");
    let train = Program::train(
        folder.path(),
        "[training]\nsteps = 1\n",
        &out,
        &["--from", text(&diffusers())],
    );
    let message = train.expect_refusal();
    assert!(message.contains("network is one that takes 3 channels"), "{message}");
    assert!(!out.exists());
}

#[test]
fn what_lies_where_nobody_said_to_write_stays() {
    let folder = tempfile::tempdir().unwrap();
    let sample = |more: &[&str]| {
        let mut command = Program::command();
        command.current_dir(folder.path()).args(["sample", text(&diffusers())]);
        Program::of(command.args(["-n", "1", "--steps", "1"]).args(more))
    };
    let drawn = || bytes(&folder.path().join("samples.png"));
    sample(&[]).expect_success();
    let first = drawn();
    let message = sample(&["--seed", "7"]).expect_refusal();
    assert!(message.contains("samples.png exists already"), "{message}");
    assert_eq!(drawn(), first);
    sample(&["--seed", "7", "--overwrite"]).expect_success();
    let second = drawn();
    assert_ne!(second, first);
    sample(&["--out", "samples.png"]).expect_success();
    assert_eq!(drawn(), first);
}

#[test]
fn what_is_said_of_sampling_in_vain_is_named_and_what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    Program::run(&["convert", text(&diffusers()), text(&model)]).expect_success();
    let (path, out) = (model.join("scheduler_config.json"), folder.path().join("drawn.npy"));
    let written: serde_json::Value = serde_json::from_slice(&bytes(&path)).unwrap();
    let sample = ["sample", text(&model), "-n", "1", "--steps", "1", "--out", text(&out)];
    let with = |key: &str, value: serde_json::Value| {
        let mut changed = written.clone();
        changed[key] = value;
        std::fs::write(&path, changed.to_string()).unwrap();
        Program::run(&sample)
    };
    let said = with("clip_smaple", true.into()).expect_warning();
    assert!(said.contains("no scheduler knows clip_smaple"), "{said}");
    let said = with("use_karras_sigmas", true.into()).expect_warning();
    assert!(said.contains("use_karras_sigmas true"), "{said}");
    let said = with("timestep_spacing", "zigzag".into()).expect_refusal();
    assert!(said.contains("timestep_spacing is \"zigzag\", expected leading"), "{said}");
    let said = with("trained_betas", vec![0.1, 0.2].into()).expect_refusal();
    assert!(said.contains("trained_betas is a list of 2"), "{said}");
}
