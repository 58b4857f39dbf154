//! The moments behind the analytic variance, estimated from train images.

use super::measurement::{Keeping, Subject};
use crate::drawing::{Drawing, batches};
use crate::inputs::Inputs;
use crate::progress;
use crate::run::Run;
use anyhow::Result;
use tweedie_samplers::{EstimatedMoments, MomentEstimator, NoiseMoments};
use tweedie_schedules::{TimeGrid, TimePoint};
use tweedie_score::{Conditioned, PerSample};

/// The moments of a run at the levels where a grid asks the network; estimated, unless they are kept
/// beside the report already. With them goes the number of forward passes that they take.
///
/// # Errors
/// When the train images are not there, the network fails, or the moments cannot be kept.
pub(super) fn at(
    subject: Subject<'_>,
    grid: &TimeGrid,
    count: usize,
    keeping: Keeping<'_>,
) -> Result<(NoiseMoments, usize)> {
    let points: Vec<TimePoint> = grid.intervals().iter().rev().map(|step| step.from).collect();
    let Subject { run, inputs, drawing: Drawing { seed, batch_size } } = subject;
    let train = inputs.of_train(run, count, seed)?;
    let passes = points.len() * train.len().div_ceil(batch_size);
    let name = identity(run, &train, seed)?;
    let path = keeping.out.with_extension("moments.json");
    if !keeping.fresh
        && let Ok(kept) = EstimatedMoments::load(&path, &name, &points)
    {
        eprintln!("moments of the noise prediction: {}", path.display());
        return Ok((kept.moments()?, passes));
    }
    let estimated = estimate(run, &train, points, subject.drawing)?.estimates(name)?;
    estimated.save(&path)?;
    Ok((estimated.moments()?, passes))
}

/// All that decides what the moments are, besides the levels.
fn identity(run: &Run, train: &Inputs, seed: u64) -> Result<String> {
    // the checksum is that of the images with the classes that the network is told
    Ok(format!(
        "{} in {}, {} images {}, noise of seed {seed}",
        run.weights_identity()?,
        run.precision().name(),
        train.len(),
        train.checksum()
    ))
}

fn estimate(
    run: &Run,
    train: &Inputs,
    points: Vec<TimePoint>,
    Drawing { seed, batch_size }: Drawing,
) -> Result<MomentEstimator> {
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
