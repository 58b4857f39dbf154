//! Drawing images from a run: batches of a size of one's own, noise that belongs to the image.

use crate::registry::Method;
use crate::run::Run;
use anyhow::Result;
use indicatif::ProgressBar;
use std::sync::Arc;
use tch::{Kind, Tensor};
use tweedie_samplers::{Solver, sample_observed};
use tweedie_schedules::{NoiseSchedule, Prediction, TimeGrid};
use tweedie_score::{Conditioned, NoiseSource, PerSample, ScoreError, ScoreFn, Times};

/// What to draw.
pub(crate) struct Request<'a> {
    /// One class an image; `None` is the null class.
    pub(crate) classes: &'a [Option<usize>],
    /// Images a network call.
    pub(crate) batch_size: usize,
    /// Image `k` of a seed gets the same noise whatever the batch size and count.
    pub(crate) seed: u64,
    /// Sampler and steps.
    pub(crate) method: &'a Method,
}

impl Request<'_> {
    /// The solver and the times it visits.
    pub(crate) fn planned(&self, run: &Run) -> Result<(Box<dyn Solver<Tensor>>, TimeGrid)> {
        let schedule: Arc<dyn NoiseSchedule> = Arc::new(run.schedule().clone());
        Ok((self.method.solver(&schedule)?, self.method.grid(run.schedule(), run.table())?))
    }

    /// Network calls the request takes in all: the length of its progress bar.
    pub(crate) fn calls(&self, run: &Run) -> Result<u64> {
        let (solver, grid) = self.planned(run)?;
        let schedule: Arc<dyn NoiseSchedule> = Arc::new(run.schedule().clone());
        if let Some(warning) = self.method.warning(&schedule, &grid)? {
            eprintln!("warning: {warning}");
        }
        let per_batch = solver.evaluations(&grid)?;
        Ok((per_batch * self.classes.len().div_ceil(self.batch_size)) as u64)
    }
}

/// Draws `[n, c, h, w]` in the units of the data, `[-1, 1]`, on the CPU.
pub(crate) fn images(run: &Run, request: &Request<'_>, bar: &ProgressBar) -> Result<Tensor> {
    let parts = batches(run, request, bar, &mut |_, _| ())?;
    Ok(Tensor::cat(&parts, 0))
}

/// Draws images and keeps their states after given numbers of steps: one `[n, c, h, w]` for each.
pub(crate) fn at_steps(
    run: &Run,
    request: &Request<'_>,
    steps: &[usize],
    bar: &ProgressBar,
) -> Result<Vec<Tensor>> {
    let mut kept: Vec<Vec<Tensor>> = steps.iter().map(|_| Vec::new()).collect();
    batches(run, request, bar, &mut |taken, state| {
        if let Some(place) = steps.iter().position(|step| *step == taken) {
            kept[place].push(state.to_device(tch::Device::Cpu));
        }
    })?;
    Ok(kept.iter().map(|states| Tensor::cat(states, 0)).collect())
}

/// Runs the sampler batch by batch, showing each state as `(steps taken, state)`.
fn batches(
    run: &Run,
    request: &Request<'_>,
    bar: &ProgressBar,
    observe: &mut dyn FnMut(usize, &Tensor),
) -> Result<Vec<Tensor>> {
    let (solver, grid) = request.planned(run)?;
    let mut parts = Vec::new();
    for (index, classes) in request.classes.chunks(request.batch_size).enumerate() {
        let first = index * request.batch_size;
        let mut noise = PerSample::new(request.seed, first, classes.len());
        let [c, h, w] = run.shape().map(|side| side as i64);
        let like = Tensor::zeros([classes.len() as i64, c, h, w], (Kind::Float, run.device()));
        // Pure noise at the level where the grid starts (sigma of a table is 1 but for rounding).
        let x = noise.normal_like(&like)? * grid.start().level.sigma;
        observe(0, &x);
        let score = Conditioned { network: run.network(), conditions: classes.to_vec() };
        let counted = Counted { inner: &score, bar };
        let score = request.method.held_in_range(&counted)?;
        let mut after = |step: usize, state: &Tensor| observe(step + 1, state);
        let x = sample_observed(&*solver, &*score, &grid, x, &mut noise, &mut after)?;
        parts.push(x.to_device(tch::Device::Cpu));
    }
    Ok(parts)
}

/// A network that moves the progress bar on with each call.
struct Counted<'a, F> {
    inner: F,
    bar: &'a ProgressBar,
}

impl<F: ScoreFn<Tensor>> ScoreFn<Tensor> for Counted<'_, F> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        self.bar.inc(1);
        self.inner.predict(x, at)
    }
}
