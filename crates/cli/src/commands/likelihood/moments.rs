//! The moments behind the analytic variance, estimated from train images.

use super::measurement::Subject;
use crate::drawing::{Drawing, batches};
use crate::progress;
use anyhow::Result;
use std::path::Path;
use tweedie_samplers::{EstimatedMoments, MomentEstimator, NoiseMoments};
use tweedie_schedules::{TimeGrid, TimePoint};
use tweedie_score::{Conditioned, PerSample};

/// The moments of a run at the levels where a grid asks the network; estimated, unless they are kept
/// beside `out` already.
///
/// # Errors
/// When the train images are not there, the network fails, or the moments cannot be kept.
pub(super) fn at(
    subject: Subject<'_>,
    grid: &TimeGrid,
    count: usize,
    out: &Path,
) -> Result<NoiseMoments> {
    let points: Vec<TimePoint> = grid.intervals().iter().rev().map(|step| step.from).collect();
    let (identity, seed) = (subject.run.weights_identity(), subject.drawing.seed);
    let name = format!("{identity}, {count} images of seed {seed}");
    let path = out.with_extension("moments.json");
    if let Ok(kept) = EstimatedMoments::load(&path, &name, &points) {
        eprintln!("moments of the noise prediction: {}", path.display());
        return Ok(kept.moments()?);
    }
    let estimated = estimate(subject, points, count)?.estimates(name)?;
    estimated.save(&path)?;
    Ok(estimated.moments()?)
}

fn estimate(subject: Subject<'_>, points: Vec<TimePoint>, count: usize) -> Result<MomentEstimator> {
    let Subject { run, inputs, drawing: Drawing { seed, batch_size } } = subject;
    let train = inputs.of_train(run, count, seed)?;
    let bar = progress::bar(train.len() as u64, "{bar:32} {pos}/{len} images for the variance");
    let mut estimator = MomentEstimator::new(points)?;
    for range in batches(train.len(), batch_size) {
        let x0 = train.scaled(range.clone()).to_device(run.device());
        let conditions = train.classes(range.clone());
        let score = Conditioned { network: run.network(), conditions };
        let mut noise = PerSample::new(seed, range.start, range.len());
        estimator.observe(&x0, &score, &mut noise)?;
        bar.inc(range.len() as u64);
    }
    bar.finish_and_clear();
    Ok(estimator)
}
