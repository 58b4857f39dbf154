//! Drawing restorations: batches of a size of one's own, noise that belongs to the restoration.

use super::degradation::Degradation;
use super::subjects::Subjects;
use crate::counted::Counted;
use crate::drawing::{Drawing, batches};
use crate::guide::Guide;
use crate::output::check_finite;
use crate::progress;
use crate::registry::{Method, Plan, Way};
use crate::run::Run;
use anyhow::{Result, bail};
use std::cell::Cell;
use std::ops::Range;
use tch::{Device, Tensor};
use tweedie_guidance::Measurement;
use tweedie_samplers::Solver;
use tweedie_schedules::NoiseLevel;
use tweedie_score::{Conditioned, MapData, PerSample, ScoreError, ScoreFn, Silent};

/// What is to be restored, and how.
pub(super) struct Restoring<'a> {
    pub(super) run: &'a Run,
    pub(super) degradation: &'a Degradation,
    pub(super) subjects: &'a Subjects,
    /// Standard deviation of the noise in the measurements.
    pub(super) deviation: f64,
    /// One an image; `None` is the null class.
    pub(super) classes: &'a [Option<usize>],
    pub(super) guide: &'a Guide,
    pub(super) way: &'a Way,
    pub(super) method: &'a Method,
    pub(super) drawing: Drawing,
    /// Restorations of each image.
    pub(super) count: usize,
}

impl<'a> Restoring<'a> {
    /// Number of restorations.
    pub(super) fn all(&self) -> usize {
        self.subjects.names.len() * self.count
    }

    /// Checks everything that can be before the network runs.
    ///
    /// # Errors
    /// When an option is out of range or not meant for the method or the model, or the measurement knows nothing
    /// or everything.
    pub(super) fn planned(&'a self) -> Result<Planned<'a>> {
        let Self { run, method, guide, way, .. } = self;
        guide.check(run, self.classes)?;
        if way.differentiates() && guide.describe().is_some() {
            bail!("--by posterior goes without guidance");
        }
        method.check_tolerances(run.precision())?;
        let plan = method.plan(run.schedule(), run.learned_variance())?;
        if let Some(warning) = method.warning(run.schedule())? {
            eprintln!("warning: {warning}");
        }
        if let Some(note) = method.note_of_clipping(run.schedule()) {
            eprintln!("note: {note}");
        }
        let measurement = self.degradation.measurement(&self.subjects.y, self.deviation)?;
        let asked = plan.steps();
        let plan = way.plan(plan, run, &measurement)?;
        let added = plan.steps().zip(asked).map_or(0, |(steps, asked)| steps - asked);
        let evaluations = match (way.solver((method, &plan), run, &measurement)?, &plan) {
            (Some(solver), Plan::Steps { grid, .. }) => {
                solver.plan(grid)?;
                Some(solver.evaluations(grid)?)
            }
            _ => plan.evaluations()?,
        };
        if way.differentiates() {
            way.posterior(run.network(), &measurement)?; // its options
        }
        let evaluations = evaluations.filter(|_| !way.differentiates());
        Ok(Planned { restoring: self, plan, added, evaluations, calls: Cell::new(0) })
    }
}

/// Restorations whose options have been checked.
pub(super) struct Planned<'a> {
    restoring: &'a Restoring<'a>,
    plan: Plan,
    /// Steps of it that the measurement's noise made necessary.
    added: usize,
    /// Network evaluations of a batch, where they are known.
    evaluations: Option<usize>,
    /// Passes of the network so far.
    calls: Cell<u64>,
}

impl Planned<'_> {
    /// Way and method in words, for reports.
    pub(super) fn describe(&self) -> String {
        let Restoring { way, method, run, .. } = self.restoring;
        let words = way.describe(method, run);
        match self.added {
            0 => words,
            added => format!("{words}, {added} more to stop at the measurement's noise"),
        }
    }

    /// Passes of the network for a batch, as measured.
    pub(super) fn calls_of_batch(&self) -> f64 {
        self.calls.get() as f64 / self.batches() as f64
    }

    fn batches(&self) -> usize {
        self.restoring.all().div_ceil(self.restoring.drawing.batch_size)
    }

    /// Draws all restorations, those of an image one after the other: `[n * count, c, h, w]` in the range of the
    /// model's data, on the CPU.
    ///
    /// # Errors
    /// When the network or the noise fails, or a restoration is not finite.
    pub(super) fn states(&self) -> Result<Tensor> {
        let calls = self.evaluations.map(|calls| (calls * self.batches()) as u64);
        let bar = progress::calls(calls);
        let note = |passes: u64| {
            self.calls.set(self.calls.get() + passes);
            bar.inc(passes);
            Ok(())
        };
        let places = batches(self.restoring.all(), self.restoring.drawing.batch_size);
        let parts: Result<Vec<_>> = places.map(|places| self.batch(places, &note)).collect();
        bar.finish_and_clear();
        let states = Tensor::cat(&parts?, 0);
        check_finite(&states)?;
        Ok(states)
    }

    fn batch(
        &self,
        places: Range<usize>,
        note: &dyn Fn(u64) -> Result<(), ScoreError>,
    ) -> Result<Tensor> {
        let Restoring { run, way, guide, method, .. } = *self.restoring;
        let images: Vec<usize> = places.clone().map(|place| place / self.restoring.count).collect();
        let classes: Vec<_> = images.iter().map(|image| self.restoring.classes[*image]).collect();
        let measurement = self.measurement(&images)?;
        let mut noise = PerSample::new(self.restoring.drawing.seed, places.start, places.len());
        if way.differentiates() {
            let network = Conditioned { network: run.network(), conditions: classes };
            let score = way.posterior(Counted::new(network, note), &measurement)?;
            // where there is hardly any signal, the gradient may leave the range of the data by far
            let held = way.held(method, run, &score)?;
            return self.walk(&*held, &measurement, &mut noise);
        }
        let score = guide.score(run, &classes)?;
        let counted = Counted::new(&*score, note);
        let held = way.held(method, run, &counted)?;
        if way.projects() {
            let score = MapData { inner: &*held, map: &measurement };
            return self.walk(&score, &measurement, &mut noise);
        }
        self.walk(&*held, &measurement, &mut noise)
    }

    /// The measurement of each of these images.
    fn measurement(&self, images: &[usize]) -> Result<Measurement<Tensor>> {
        let Restoring { degradation, subjects, deviation, .. } = self.restoring;
        let rows: Vec<i64> = images.iter().map(|image| *image as i64).collect();
        let rows = Tensor::from_slice(&rows).to_device(subjects.y.device());
        Ok(degradation.measurement(&subjects.y.index_select(0, &rows), *deviation)?)
    }

    /// From noise to a batch of restorations, which agree with a measurement without noise to rounding.
    fn walk(
        &self,
        score: &dyn ScoreFn<Tensor>,
        measurement: &Measurement<Tensor>,
        noise: &mut PerSample,
    ) -> Result<Tensor> {
        let Restoring { run, way, method, deviation, .. } = *self.restoring;
        let start = self.plan.start();
        let deviation_there = method.start_deviation(run.schedule(), start);
        let x = measurement.start(start.level, deviation_there, noise)?;
        let solver = way.solver((method, &self.plan), run, measurement)?;
        let x = match &solver {
            Some(solver) => self.plan.run_by(&**solver, score, (x, noise), &mut |_, _| ())?,
            None => self.plan.run(score, x, noise, &mut |_, _| ())?,
        };
        let x = match deviation {
            0.0 => measurement.impose(&x, NoiseLevel::CLEAN, &mut Silent)?,
            _ => x,
        };
        Ok(x.to_device(Device::Cpu))
    }
}
