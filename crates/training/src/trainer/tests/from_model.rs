//! Runs that begin with the weights of a model.

use super::*;
use crate::{Model, ModelOptions};

/// The model of a finished run.
fn model() -> Model {
    let (folder, mut first) = trainer(&["training.seed=7"]);
    run(&mut first).unwrap();
    Model::open(&folder.path().join("run"), &ModelOptions::default()).unwrap()
}

fn begun(model: &Model, overrides: &[&str]) -> (tempfile::TempDir, Trainer) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(overrides);
    config.training.from = Some("a model".to_owned());
    let trainer = Trainer::from_network(config, &folder.path().join("run"), &model.unet).unwrap();
    (folder, trainer)
}

#[test]
fn weights_and_average_begin_as_the_models_own() {
    let _alone = alone();
    let model = model();
    let (_folder, trainer) = begun(&model, &[]);
    let state = &trainer.setup.state;
    for unet in [&state.unet, &state.ema] {
        for ((name, tensor), (_, own)) in unet.weights().into_iter().zip(model.unet.weights()) {
            assert!(tensor.equal(own), "{name}");
        }
    }
}

#[test]
fn a_run_that_dies_before_its_first_step_resumes_with_the_same_bytes() {
    let _alone = alone();
    let model = model();
    let (_whole, mut whole) = begun(&model, &[]);
    run(&mut whole).unwrap();
    let (folder, killed) = begun(&model, &[]);
    drop(killed);
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    run(&mut resumed).unwrap();
    assert_eq!(sums(&resumed), sums(&whole));
    let (_plain, mut plain) = trainer(&[]);
    run(&mut plain).unwrap();
    assert_ne!(sums(&plain), sums(&whole));
}

#[test]
fn a_run_whose_first_weights_are_lost_does_not_begin_with_others() {
    let _alone = alone();
    let (folder, begun) = begun(&model(), &[]);
    drop(begun);
    let root = folder.path().join("run");
    std::fs::remove_dir_all(root.join("checkpoints/step-0000000")).unwrap();
    let error = Trainer::resume(&root).unwrap_err();
    assert!(matches!(error, TrainError::NoCheckpoint { .. }), "{error}");
}

#[test]
fn a_network_that_says_no_variance_yet_does_not_begin_with_one_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&["objective.kind=hybrid", "objective.variance=learned_value"]);
    let error = Trainer::new(config, &folder.path().join("run")).unwrap_err().to_string();
    assert!(error.contains("objective.variance") && error.contains("--from"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn weights_that_do_not_fit_are_listed_and_nothing_is_written() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let other = config(&["network.channels=16"]);
    let error =
        Trainer::from_network(other, &folder.path().join("run"), &model().unet).unwrap_err();
    let message = crate::error::chain(&error);
    assert!(message.contains("conv_in.weight [8, 1, 3, 3], expected [16, 1, 3, 3]"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_a_configuration_leaves_out_is_the_models() {
    let described = RunConfig::parse(
        "[network]\nfamily = \"diffusers\"\nin_channels = 1\nattention_head_dim = \"null\"\n\
         [schedule]\nkind = \"ve\"\nsigma_max = 90.0\n[data]\ncentered = false\n\
         [objective]\nprediction = \"score\"\ntime_input = \"sigma\"\ninput_scaling = \"none\"",
        &[],
    )
    .unwrap();
    let own = RunConfig::parse_over("[training]\nsteps = 3", &[], &described).unwrap();
    assert_eq!(own.training.steps, 3);
    assert_eq!((&own.network, &own.schedule), (&described.network, &described.schedule));
    assert_eq!((&own.objective, &own.data), (&described.objective, &described.data));
    let text = "[schedule]\nkind = \"vp_linear\"\n[objective]\nprediction = \"noise\"";
    let own = RunConfig::parse_over(text, &[], &described).unwrap();
    assert_eq!(own.schedule.sigma_max, None);
    assert_eq!(own.prediction(), tweedie_schedules::Prediction::Noise);
    assert_eq!(RunConfig::parse(&own.to_toml().unwrap(), &[]).unwrap(), own);
}
