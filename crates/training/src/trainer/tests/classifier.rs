//! Classifiers of noisy images: any schedule, any number of classes, and all that other runs do.

use tweedie_score::{ConditionGradient, Times};
use tweedie_unet::ClassGradient;

use super::*;
use crate::{Accuracy, Classifier, LossesByLevel, Model, ModelOptions};

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
dropout = 0.2
[objective]
kind = "classifier"
[training]
steps = 8
batch_size = 16
accumulation = 2
learning_rate = 1e-3
warmup = 0
decay = "linear"
ema_decay = 0.5
threads = 1
device = "cpu"
[logging]
every = 1
held_out_every = 4
held_out_images = 48
tensorboard = true
[checkpoints]
every = 4
"#;

fn trainer(overrides: &[&str]) -> Result<(tempfile::TempDir, Trainer), TrainError> {
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    let folder = tempfile::tempdir().unwrap();
    let config = RunConfig::parse(CLASSIFIER, &overrides)?;
    let trainer = Trainer::new(config, &folder.path().join("run"))?;
    Ok((folder, trainer))
}

#[track_caller]
fn refusal(overrides: &[&str]) -> String {
    crate::error::chain(&trainer(overrides).unwrap_err())
}

#[test]
fn a_classifier_leaves_what_other_runs_leave_and_its_accuracy() {
    let _alone = alone();
    let (_folder, mut trainer) = trainer(&[]).unwrap();
    let Outcome::Finished(summary) = run(&mut trainer).unwrap() else { panic!("not finished") };
    let lines = read_metrics(&trainer.folder().metrics()).unwrap();
    assert!(lines.iter().all(|line| line.accuracy.is_some()));
    let held_out: Vec<_> = lines.iter().filter_map(|line| line.held_out_accuracy).collect();
    assert_eq!((held_out.len(), held_out.last().copied()), (2, summary.held_out_accuracy));
    let by_level = std::fs::read(trainer.folder().losses(8)).unwrap();
    let by_level: LossesByLevel = serde_json::from_slice(&by_level).unwrap();
    assert_eq!(by_level.accuracy, summary.held_out_accuracy);
    let of = |share: fn(&Accuracy) -> f64| {
        let levels = by_level.levels.iter().map(|level| share(&level.accuracy.unwrap()));
        levels.sum::<f64>() / by_level.levels.len() as f64
    };
    // groups of equal size, so that the shares over all are the means of theirs
    assert!((of(|a| a.top_1) - held_out[1].top_1).abs() < 1e-12);
    assert!((of(|a| a.top_5) - held_out[1].top_5).abs() < 1e-12);
    assert!(held_out[1].top_5 >= held_out[1].top_1);
    assert!(trainer.folder().losses_picture(8).is_file());
    assert!(!trainer.folder().samples(8).exists());
    let rates: Vec<_> = lines.iter().map(|line| line.learning_rate).collect();
    assert!((rates[0] - 1e-3).abs() < 1e-15 && (rates[4] - 0.5e-3).abs() < 1e-15, "{rates:?}");
}

#[test]
fn a_classifier_learns_by_every_schedule_and_in_both_precisions() {
    let _alone = alone();
    for changes in [
        &["schedule.kind=vp_linear"][..],
        &["schedule.kind=sub_vp", "data.dequantize=true"],
        &["schedule.kind=ve", "data.centered=false"],
        &["schedule.kind=edm", "training.time_sampling=log_normal"],
        &["schedule.kind=linear", "training.time_sampling=loss_second_moment"],
        &["training.precision=bf16"],
    ] {
        let more = [
            "network.pool=spatial",
            "network.dropout=0.0",
            "training.steps=60",
            "training.batch_size=32",
            "training.learning_rate=1e-2",
            "logging.held_out_every=60",
            "logging.held_out_images=180",
        ];
        let (_folder, mut trainer) = trainer(&[changes, &more[..]].concat()).unwrap();
        let Outcome::Finished(summary) = run(&mut trainer).unwrap() else { panic!("not finished") };
        // the cross entropy of one who knows nothing of ten classes is ln 10
        let loss = summary.held_out_loss.unwrap();
        assert!(loss < 10_f64.ln() - 0.01, "{changes:?}: {loss}");
        assert_eq!(summary.skipped, 0);
    }
}

#[test]
fn a_resumed_classifier_ends_with_the_same_bytes() {
    let _alone = alone();
    let (_folder, mut whole) = trainer(&[]).unwrap();
    run(&mut whole).unwrap();
    let (folder, mut first) = trainer(&[]).unwrap();
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event<'_>| {
        if matches!(event, Event::Step { step: 3, .. }) {
            stop.store(true, Ordering::Relaxed);
        }
    };
    first.run(&mut observer, &stop).unwrap();
    drop(first);
    let mut resumed = Trainer::resume(&folder.path().join("run")).unwrap();
    run(&mut resumed).unwrap();
    assert_eq!(sums(&resumed), sums(&whole));
}

#[test]
fn a_classifier_is_opened_as_one_and_steers_only_what_was_trained_alike() {
    let _alone = alone();
    let (folder, mut trainer) = trainer(&[]).unwrap();
    run(&mut trainer).unwrap();
    drop(trainer);
    let path = folder.path().join("run");
    let error = Model::open(&path, &ModelOptions::default()).unwrap_err().to_string();
    assert!(error.contains("is a classifier"), "{error}");
    let classifier = Classifier::open(&path, &ModelOptions::default()).unwrap();
    assert_eq!(classifier.classes(), 10);
    let x = tch::Tensor::zeros([2, 1, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
    let asked = ClassGradient { classifier: classifier.network(), classes: vec![3, 4] };
    let at = tweedie_schedules::NoiseSchedule::point(&classifier.schedule, 0.5);
    let gradient = asked.log_gradient(&x, Times::Shared(at)).unwrap();
    assert!(gradient.abs().max().double_value(&[]) > 0.0);
    for (changes, says) in [
        (&[][..], None),
        (&["schedule.kind=linear"], Some("noise schedule")),
        (&["schedule.steps=500"], Some("noise schedule")),
        (&["data.pad=[12, 12]"], Some("image is 1x8x8, expected 1x12x12")),
        (&["data.centered=false"], Some("range of the data is -1 to 1, expected 0 to 1")),
    ] {
        let (folder, mut trainer) = super::trainer(&[changes, &["training.steps=1"]].concat());
        run(&mut trainer).unwrap();
        drop(trainer);
        let path = folder.path().join("run");
        let model = Model::open(&path, &ModelOptions::default()).unwrap();
        let outcome = classifier.check_steers(&model).map_err(|error| error.to_string());
        match says {
            None => assert_eq!(outcome, Ok(())),
            Some(says) => assert!(outcome.as_ref().unwrap_err().contains(says), "{outcome:?}"),
        }
        let error = Classifier::open(&path, &ModelOptions::default()).unwrap_err().to_string();
        assert!(error.contains("is no classifier"), "{error}");
    }
}

#[test]
fn a_network_that_does_not_fit_the_data_is_refused_before_anything_is_written() {
    let _alone = alone();
    for (change, says) in [
        ("network.out_channels=9", ["network.out_channels is 9", "10, the classes of the data"]),
        ("network.in_channels=3", ["network.in_channels is 3", "expected 1"]),
        ("network.image_size=16", ["8x8", "256"]),
    ] {
        let message = refusal(&[change]);
        assert!(says.iter().all(|part| message.contains(part)), "{change}: {message}");
    }
}
