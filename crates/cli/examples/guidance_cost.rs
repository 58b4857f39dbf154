//! What guidance costs beside the network:
//! `cargo run --release -p tweedie-cli --example guidance_cost -- runs/digits runs/digits-classifier`.
//!
//! Seconds of one evaluation for a batch, the least of many: of the model, of the classifier's gradient, of the
//! model guided by the classifier, of the model for a batch twice as large, and of guidance without a classifier.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use tweedie_guidance::{ClassifierFree, ClassifierGuided};
use tweedie_schedules::NoiseSchedule;
use tweedie_score::{
    ConditionGradient, Conditioned, NoiseSource, ScoreError, ScoreFn, Seeded, Times,
};
use tweedie_training::{Classifier, Model, ModelOptions};
use tweedie_unet::ClassGradient;

const BATCH: usize = 64;
const REPEATS: usize = 60;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (run, classifier) = arguments.next().zip(arguments.next()).context("expected two runs")?;
    tweedie_torch_ext::set_threads(1)?;
    let model = Model::open(Path::new(&run), &ModelOptions::default())?;
    let classifier = Classifier::open(Path::new(&classifier), &ModelOptions::default())?;
    classifier.check_steers(&model)?;
    let (x, twice) = (noise(&model, BATCH)?, noise(&model, 2 * BATCH)?);
    let classes: Vec<_> = (0..BATCH).map(|image| image % classifier.classes()).collect();
    let told: Vec<_> = classes.iter().copied().map(Some).collect();
    let gradient = ClassGradient { classifier: classifier.network(), classes };
    let point = model.schedule.point(model.schedule.time_range().1);
    let at = Times::Shared(point);
    let plain = Conditioned { network: model.score(), conditions: told.clone() };
    let doubled = Conditioned { network: model.score(), conditions: told.repeat(2) };
    let guided = ClassifierGuided::new(&plain, &gradient, 2.0)?;
    let free = ClassifierFree::new(model.score(), told, 2.0)?;
    let seconds = least([
        &|| plain.predict(&x, at),
        &|| gradient.log_gradient(&x, at),
        &|| guided.predict(&x, at),
        &|| doubled.predict(&twice, at),
        &|| free.predict(&x, at),
    ])?;
    let names = [
        "the model",
        "the classifier, forward and backward",
        "the model guided by the classifier",
        "the model for a batch twice as large",
        "guidance without a classifier",
    ];
    println!("| one evaluation for {BATCH} images, one thread | ms |\n| --- | --- |");
    for (name, seconds) in names.into_iter().zip(seconds) {
        println!("| {name} | {:.2} |", 1e3 * seconds);
    }
    Ok(())
}

/// Normal states of the model's shape.
fn noise(model: &Model, count: usize) -> Result<Tensor> {
    let [channels, height, width] = model.images().shape.map(|side| side as i64);
    let like = Tensor::zeros([count as i64, channels, height, width], (Kind::Float, Device::Cpu));
    Ok(Seeded::new(0).normal_like(&like)?)
}

/// The least seconds of each, measured in turn so that a busy machine slows none more than another.
fn least<const N: usize>(calls: [&dyn Fn() -> Result<Tensor, ScoreError>; N]) -> Result<[f64; N]> {
    let mut seconds = [f64::INFINITY; N];
    for _ in 0..REPEATS {
        for (call, least) in calls.iter().zip(&mut seconds) {
            let begin = Instant::now();
            drop(call()?);
            *least = least.min(begin.elapsed().as_secs_f64());
        }
    }
    Ok(seconds)
}
