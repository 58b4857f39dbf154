//! Whole runs of a tiny network.

mod classifier;
mod damaged;
mod from_model;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;
use crate::observer::Event;
use crate::{Choice, TrainedModel, read_metrics};

const TINY: &str = r#"
[network]
channels = 8
multipliers = [1]
blocks = 1
attention = []
groups = 4
[training]
steps = 12
batch_size = 8
warmup = 2
threads = 1
device = "cpu"
[logging]
every = 1
held_out_every = 0
tensorboard = false
[checkpoints]
every = 3
best_by = "train_loss"
[samples]
every = 0
"#;

/// Dropout draws from a generator that libtorch keeps for the whole process, which trains one run;
/// so the tests of this process take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config(overrides: &[&str]) -> RunConfig {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    RunConfig::parse(TINY, &overrides).unwrap()
}

/// A new run in a folder that goes with the test.
fn trainer(overrides: &[&str]) -> (tempfile::TempDir, Trainer) {
    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::new(config(overrides), &folder.path().join("run")).unwrap();
    (folder, trainer)
}

fn run(trainer: &mut Trainer) -> Result<Outcome, TrainError> {
    trainer.run(&mut (), &AtomicBool::new(false))
}

/// The sums of weights, averaged weights and optimizer state as they would be saved now.
fn sums(trainer: &Trainer) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let store = CheckpointStore::create(folder.path()).unwrap();
    let saved = trainer.setup.state.save(&store, None).unwrap();
    saved.state().files.values().map(|file| file.sha256.clone()).collect()
}

#[test]
fn a_run_leaves_what_it_promises() {
    let _alone = alone();
    let changes = ["samples.every=6", "samples.rows=2", "samples.columns=3", "samples.steps=2"];
    let more = ["logging.held_out_every=4", "logging.tensorboard=true"];
    let (_folder, mut trainer) = trainer(&[&changes[..], &more[..]].concat());
    let Outcome::Finished(summary) = run(&mut trainer).unwrap() else { panic!("not finished") };
    let folder = trainer.folder();
    assert_eq!(Summary::read(&folder.summary()).unwrap(), summary);
    assert_eq!((summary.steps, summary.skipped, summary.threads), (12, 0, 1));
    assert_eq!(summary.parameters, trainer.setup.state.unet.parameters().element_count() as u64);
    assert!(folder.samples(6).is_file() && folder.samples(12).is_file());
    let lines = read_metrics(&folder.metrics()).unwrap();
    assert_eq!(
        lines.iter().map(|line| line.step).collect::<Vec<_>>(),
        (1..=12).collect::<Vec<_>>()
    );
    assert!(lines.iter().all(|line| line.held_out_loss.is_some() == (line.step % 4 == 0)));
    assert_eq!(std::fs::read_dir(folder.tensorboard()).unwrap().count(), 1);
    let steps: Vec<_> = trainer.store.list().unwrap().into_iter().map(|(step, _)| step).collect();
    assert!(steps.ends_with(&[9, 12]), "{steps:?}");
    let (_, kept) = RunFolder::open(folder.root()).unwrap();
    assert_eq!(&kept, trainer.config());
}

#[test]
fn a_checkpoint_is_scored_by_what_was_measured_of_its_own_weights() {
    let _alone = alone();
    let changes = ["checkpoints.best_by=held_out_loss", "checkpoints.keep_last=9"];
    let (folder, mut trainer) = trainer(&[&changes[..], &["logging.held_out_every=4"]].concat());
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event<'_>| {
        if matches!(event, Event::Step { step: 10, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    trainer.run(&mut observer, &stop).unwrap();
    drop(trainer);
    let mut trainer = Trainer::resume(&folder.path().join("run")).unwrap();
    let Outcome::Finished(summary) = run(&mut trainer).unwrap() else { panic!("not finished") };
    let lines = read_metrics(&trainer.folder().metrics()).unwrap();
    let mut scores = Vec::new();
    for (step, _) in trainer.store.list().unwrap() {
        let score = trainer.store.open(step).unwrap().state().score;
        assert_eq!(score, lines[step as usize - 1].held_out_loss, "step {step}");
        scores.push((step, score));
    }
    // Where the run was stopped nothing was measured.
    let steps: Vec<_> = scores.iter().map(|(step, score)| (*step, score.is_some())).collect();
    assert_eq!(steps, [(3, true), (6, true), (9, true), (10, false), (12, true)]);
    let lowest = scores.iter().filter_map(|(step, score)| score.map(|score| (score, *step)));
    let best = lowest.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, step)| step);
    assert_eq!(summary.best_step, best);
}

#[test]
fn a_picture_shows_images_without_their_padding_and_in_more_than_one_part() {
    let _alone = alone();
    let changes = ["data.pad=[12, 12]", "samples.rows=10", "samples.columns=7", "samples.steps=2"];
    let (_folder, trainer) = trainer(&changes);
    let Setup { schedule, plan, state, .. } = &trainer.setup;
    let path = trainer.folder.samples(0);
    let drawing = crate::picture::Drawing {
        network: plan.conventions.network(&state.ema),
        schedule,
        form: &state.progress.images,
        config: &trainer.config.samples,
        dequantized: false,
        data_range: crate::DataRange::Symmetric,
    };
    let picture = drawing.draw(&path, &AtomicBool::new(false)).unwrap().unwrap();
    // Digits of 8x8 pixels enlarged 8 times, 2 pixels between.
    assert_eq!(picture.size, [10 * 66 + 2, 7 * 66 + 2]);
    assert_eq!(std::fs::read(&path).unwrap(), picture.png);
    // The least of 17 levels is -1 bare, and filled with noise all that lies in [-1, -15/17).
    let values = [-1.0, -0.9, 0.9, 1.0];
    assert_eq!(drawing.pixels(&values), [0, 13, 242, 255]);
    let dequantized = crate::picture::Drawing { dequantized: true, ..drawing };
    assert_eq!(dequantized.pixels(&values), [0, 0, 255, 255]);
}

#[test]
fn runs_in_continuous_time_train_draw_and_load() {
    let _alone = alone();
    for kind in ["vp_linear", "vp_cosine", "sub_vp", "ve", "edm"] {
        let schedule = format!("schedule.kind={kind}");
        let prediction = if kind == "edm" { "edm" } else { "noise" };
        let prediction = format!("objective.prediction={prediction}");
        let changes = ["training.steps=3", "samples.every=3", "samples.steps=3", "samples.rows=2"];
        let (_folder, mut trainer) =
            trainer(&[&changes[..], &[&schedule, &prediction, "data.dequantize=true"]].concat());
        run(&mut trainer).unwrap();
        assert!(trainer.folder.samples(3).is_file(), "{kind}");
        let lines = read_metrics(&trainer.folder.metrics()).unwrap();
        assert!(lines.iter().all(|line| line.loss.is_some_and(|loss| loss < 10.0)), "{kind}");
        let root = trainer.folder.root();
        let model = TrainedModel::load(root, Choice::Latest, tch::Device::Cpu).unwrap();
        assert_eq!(model.schedule, trainer.setup.schedule, "{kind}");
        assert!(model.schedule.table().is_none());
    }
}

#[test]
fn every_objective_trains_and_is_measured() {
    let _alone = alone();
    for objective in [
        &["objective.kind=hybrid", "schedule.steps=20"][..],
        &["objective.kind=vlb", "objective.variance=fixed_large", "objective.vlb_weight=0.1"],
        &["objective.kind=vlb", "objective.variance=learned", "training.accumulation=2"],
        &["objective.kind=implicit", "schedule.kind=vp_linear"],
        &["objective.kind=sliced", "objective.projections=2", "training.accumulation=2"],
        &["objective.kind=sliced_vr", "objective.projection=gaussian", "schedule.kind=ve"],
        &["objective.weighting=likelihood", "schedule.kind=sub_vp", "objective.reduction=half_sum"],
        &["objective.weighting=min_snr", "objective.loss=huber"],
        &["objective.weighting=edm", "objective.prediction=velocity"],
    ] {
        let changes =
            ["training.steps=2", "logging.held_out_every=2", "logging.held_out_images=48"];
        let (_folder, mut trainer) = trainer(&[&changes[..], objective].concat());
        let Outcome::Finished(summary) = run(&mut trainer).unwrap() else { panic!("not finished") };
        assert_eq!(summary.skipped, 0, "{objective:?}");
        let numbers = std::fs::read_to_string(trainer.folder.losses(2)).unwrap();
        let measured: crate::LossesByLevel = serde_json::from_str(&numbers).unwrap();
        assert_eq!(measured.levels.len(), 24, "{objective:?}");
        assert!(measured.levels.iter().all(|level| level.loss.is_some()), "{objective:?}");
        assert!(trainer.folder.losses_picture(2).is_file());
    }
}

#[test]
fn a_learned_variance_is_what_the_second_half_of_the_channels_says() {
    use tweedie_score::{ScoreFn, Times};
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&["objective.kind=hybrid", "training.steps=2"]);
    run(&mut trainer).unwrap();
    let root = trainer.folder.root();
    let model = TrainedModel::load(root, Choice::Latest, tch::Device::Cpu).unwrap();
    let x = tch::Tensor::zeros([2, 1, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
    let at = Times::Shared(model.schedule.table().unwrap().node(500).unwrap());
    let (prediction, values) = model.score().predict_with_variance(&x, at).unwrap();
    assert_eq!((prediction.size(), values.unwrap().size()), (x.size(), x.size()));
    assert!(model.score().predict(&x, at).unwrap().equal(&prediction));
}

#[test]
fn what_the_law_of_times_learnt_goes_on_with_the_run() {
    let _alone = alone();
    let changes = ["training.time_sampling=loss_second_moment", "schedule.steps=4"];
    let (_a, mut whole) = trainer(&changes);
    run(&mut whole).unwrap();
    assert_eq!(whole.setup.state.times.state().rows.len(), 4);
    let (folder, mut stopped) = trainer(&changes);
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event<'_>| {
        if matches!(event, Event::Step { step: 8, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    stopped.run(&mut observer, &stop).unwrap();
    drop(stopped);
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    run(&mut resumed).unwrap();
    assert_eq!(resumed.setup.state.times.state(), whole.setup.state.times.state());
    assert_eq!(sums(&resumed), sums(&whole));
}

#[test]
fn measurements_and_pictures_do_not_change_what_is_learned() {
    let _alone = alone();
    let (_a, mut quiet) = trainer(&["network.dropout=0.3"]);
    let watched = ["network.dropout=0.3", "logging.held_out_every=2", "samples.every=3"];
    let (_b, mut busy) =
        trainer(&[&watched[..], &["samples.steps=2", "samples.columns=2"]].concat());
    run(&mut quiet).unwrap();
    run(&mut busy).unwrap();
    assert_eq!(sums(&quiet), sums(&busy));
}

#[test]
fn a_stopped_run_goes_on_where_it_was() {
    let _alone = alone();
    let (_a, mut whole) = trainer(&["network.dropout=0.3"]);
    run(&mut whole).unwrap();
    let (folder, mut stopped) = trainer(&["network.dropout=0.3"]);
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event<'_>| {
        if matches!(event, Event::Step { step: 5, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = stopped.run(&mut observer, &stop).unwrap();
    assert_eq!(outcome, Outcome::Stopped { step: 5, total: 12 });
    drop(stopped);
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    assert_eq!(resumed.step(), 5);
    run(&mut resumed).unwrap();
    assert_eq!(sums(&resumed), sums(&whole));
    // A run that is done stays as it is.
    drop(resumed);
    let mut done = Trainer::resume(&folder.path().join("run")).unwrap();
    assert!(matches!(run(&mut done).unwrap(), Outcome::Finished(_)));
    assert_eq!(sums(&done), sums(&whole));
}

#[test]
fn a_step_that_is_not_finite_changes_nothing_and_is_counted() {
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&["training.steps=6"]);
    trainer.poisoned = 3..4;
    let stop = AtomicBool::new(false);
    let mut skipped = Vec::new();
    let mut observer = |event: &Event<'_>| {
        if let Event::Skipped { step, in_a_row, .. } = event {
            skipped.push((*step, *in_a_row));
        }
    };
    trainer.run(&mut observer, &stop).unwrap();
    assert_eq!(skipped, [(4, 1)]);
    assert_eq!(trainer.setup.state.optimizer.updates(), 5);
    let lines = read_metrics(&trainer.folder().metrics()).unwrap();
    assert_eq!((lines[3].loss, lines[3].skipped, lines[5].skipped), (None, 1, 1));
    assert!(trainer.setup.state.is_finite().unwrap());
}

#[test]
fn a_spoiled_step_touches_neither_weights_nor_average_nor_moments() {
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&[]);
    run(&mut trainer).unwrap();
    let before = sums(&trainer);
    let options = batch_options(&trainer.config);
    let set = Arc::clone(&trainer.setup.data.train);
    let mut batch = tweedie_datasets::BatchMaker::new(set, options).unwrap().make(12);
    batch.images[5] = f32::INFINITY;
    let Setup { plan, state, .. } = &mut trainer.setup;
    let outcome = plan.take(state, &batch, &trainer.config).unwrap();
    assert!(!outcome.updated);
    assert_eq!(sums(&trainer), before);
}

#[test]
fn too_many_bad_steps_in_a_row_stop_the_run_and_keep_the_last_checkpoint() {
    let _alone = alone();
    let (folder, mut trainer) = trainer(&["training.max_bad_steps=3"]);
    trainer.poisoned = 4..100;
    let error = run(&mut trainer).unwrap_err();
    assert!(
        matches!(error, TrainError::TooManyBadSteps { step: 7, in_a_row: 3, kept: Some(6), .. }),
        "{error}"
    );
    assert!(error.to_string().contains("the checkpoint of step 6 is kept"), "{error}");
    drop(trainer);
    // The cause removed, the run goes on.
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    assert_eq!(resumed.step(), 6);
    run(&mut resumed).unwrap();
}

#[test]
fn a_learning_rate_that_overflows_stops_the_run_with_finite_weights_on_the_disk() {
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&["training.max_bad_steps=3", "training.warmup=0"]);
    // More than a configuration may say.
    trainer.config.training.learning_rate = 1e38;
    let error = run(&mut trainer).unwrap_err();
    assert!(matches!(error, TrainError::TooManyBadSteps { .. }), "{error}");
    assert!(error.to_string().contains("learning_rate"), "{error}");
    for (step, _) in trainer.store.list().unwrap() {
        let run = trainer.folder.root();
        let saved = TrainedModel::load_raw(run, Choice::Step(step), tch::Device::Cpu).unwrap();
        let weights = saved.unet.parameters().tensors();
        assert!(crate::network::all_finite(&weights).unwrap(), "step {step}");
    }
}

#[test]
fn accumulation_changes_neither_images_nor_noise() {
    let _alone = alone();
    let first_loss = |accumulation: &str| {
        let (_folder, mut trainer) = trainer(&["training.steps=1", accumulation]);
        run(&mut trainer).unwrap();
        read_metrics(&trainer.folder().metrics()).unwrap().remove(0)
    };
    let whole = first_loss("training.accumulation=1");
    let parts = first_loss("training.accumulation=4");
    // The sums differ in their order only: a few units in the last of 24 bits.
    let close = |a: Option<f64>, b: Option<f64>| (a.unwrap() / b.unwrap() - 1.0).abs() < 1e-5;
    assert!(close(whole.loss, parts.loss), "{whole:?} {parts:?}");
    assert!(close(whole.gradient_norm, parts.gradient_norm), "{whole:?} {parts:?}");
}

/// Stops a run once it says that `at` is done, and goes on with it.
fn stopped_and_resumed(
    overrides: &[&str],
    at: fn(&Event<'_>) -> bool,
) -> (tempfile::TempDir, Trainer) {
    let (folder, mut stopped) = trainer(overrides);
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event<'_>| {
        if at(event) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let outcome = stopped.run(&mut observer, &stop).unwrap();
    assert!(matches!(outcome, Outcome::Stopped { .. }), "{outcome:?}");
    drop(stopped);
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    run(&mut resumed).unwrap();
    (folder, resumed)
}

/// What a run measured beside its steps.
#[derive(Debug, PartialEq)]
struct Measured {
    held_out_losses: Vec<(u64, f64)>,
    /// Of the checkpoints that stand at every third step.
    scores: Vec<(u64, Option<f64>)>,
    /// Whether a step has a picture, for the first twelve.
    pictures: Vec<bool>,
}

fn measured(trainer: &Trainer) -> Measured {
    let lines = read_metrics(&trainer.folder().metrics()).unwrap();
    let held_out = lines.iter().filter_map(|line| Some((line.step, line.held_out_loss?)));
    let steps = trainer.store.list().unwrap().into_iter().map(|(step, _)| step);
    let score = |step| (step, trainer.store.open(step).unwrap().state().score);
    Measured {
        held_out_losses: held_out.collect(),
        scores: steps.filter(|step| step % 3 == 0).map(score).collect(),
        pictures: (1..=12).map(|step| trainer.folder().samples(step).exists()).collect(),
    }
}

#[test]
fn measurements_and_pictures_that_a_stop_cuts_short_are_made_up_for() {
    let _alone = alone();
    let changes = [
        "logging.every=5",
        "logging.held_out_every=4",
        "checkpoints.best_by=held_out_loss",
        "checkpoints.keep_last=9",
        "samples.every=6",
        "samples.rows=2",
        "samples.columns=2",
        "samples.steps=3",
    ];
    let (_whole_folder, mut whole) = trainer(&changes);
    run(&mut whole).unwrap();
    // the step is reported before what is due after it: a measurement, a picture, the last of both
    let steps: [fn(&Event<'_>) -> bool; 4] = [
        |event| matches!(event, Event::Step { step: 4, .. }),
        |event| matches!(event, Event::Step { step: 6, .. }),
        |event| matches!(event, Event::HeldOut { step: 6, .. }),
        |event| matches!(event, Event::Step { step: 12, .. }),
    ];
    for at in steps {
        let (_folder, resumed) = stopped_and_resumed(&changes, at);
        assert_eq!(measured(&resumed), measured(&whole));
        assert_eq!(sums(&resumed), sums(&whole));
    }
}

#[test]
fn computing_in_bf16_keeps_the_weights_in_f32() {
    let _alone = alone();
    let (folder, mut trainer) = trainer(&["training.precision=bf16", "training.steps=3"]);
    run(&mut trainer).unwrap();
    let root = folder.path().join("run");
    let model = TrainedModel::load(&root, Choice::Latest, tch::Device::Cpu).unwrap();
    assert!(model.unet.parameters().iter().all(|(_, tensor)| tensor.kind() == tch::Kind::Float));
    assert_eq!(model.step, 3);
    assert_eq!(model.images.classes, Some(10));
}

#[test]
fn the_loss_falls() {
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&["training.steps=60", "training.batch_size=32"]);
    run(&mut trainer).unwrap();
    let lines = read_metrics(&trainer.folder().metrics()).unwrap();
    let mean = |lines: &[crate::Metrics]| {
        lines.iter().filter_map(|line| line.loss).sum::<f64>() / lines.len() as f64
    };
    let (early, late) = (mean(&lines[..10]), mean(&lines[50..]));
    assert!(late < 0.8 * early, "{early} {late}");
}

#[test]
fn another_seed_learns_something_else() {
    let _alone = alone();
    let weights = |seed: &str| {
        let (_folder, mut trainer) = trainer(&["training.steps=2", seed]);
        run(&mut trainer).unwrap();
        sums(&trainer)
    };
    assert_eq!(weights("training.seed=1"), weights("training.seed=1"));
    assert_ne!(weights("training.seed=1"), weights("training.seed=2"));
}
