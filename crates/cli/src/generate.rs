//! Drawing images from a run: batches of a size of one's own, noise that belongs to the image.

use crate::counted::Counted;
use crate::guide::Guide;
use crate::progress;
use crate::registry::{Method, Plan};
use crate::run::Run;
use anyhow::Result;
use indicatif::ProgressBar;
use tch::{Kind, Tensor};
use tweedie_score::{NoiseSource, PerSample, ScoreFn};

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
    /// What steers towards the classes.
    pub(crate) guide: &'a Guide,
}

impl<'a> Request<'a> {
    /// Checks the request against the run and says on standard error what it should know.
    ///
    /// # Errors
    /// When an option is out of range, or not meant for the method or the model.
    pub(crate) fn planned(self, run: &'a Run) -> Result<Generation<'a>> {
        self.guide.check(run, self.classes)?;
        if self.guide.moves_the_mean() {
            self.method.check_has_a_mean(run.schedule())?;
        }
        self.method.check_tolerances(run.precision())?;
        let method = self.method.suited_to(run);
        let plan = method.plan(run.schedule(), run.learned_variance())?;
        if let Some(warning) = method.warning(run.schedule())? {
            eprintln!("warning: {warning}");
        }
        for note in method.notes(run.schedule())? {
            eprintln!("note: {note}");
        }
        let per_batch = plan.evaluations()?;
        Ok(Generation { run, request: self, method, plan, per_batch })
    }
}

/// A request whose options have been checked.
pub(crate) struct Generation<'a> {
    run: &'a Run,
    request: Request<'a>,
    /// The method asked for, and for the rest what the model's program does.
    method: Method,
    plan: Plan,
    per_batch: Option<usize>,
}

impl Generation<'_> {
    /// A bar over the network calls of all batches.
    pub(crate) fn bar(&self) -> ProgressBar {
        let batches = self.request.classes.len().div_ceil(self.request.batch_size);
        progress::calls(self.per_batch.map(|calls| (calls * batches) as u64))
    }

    /// Steps of the sampler, where they are known before it runs.
    pub(crate) fn steps(&self) -> Option<usize> {
        self.plan.steps()
    }

    /// Draws `[n, c, h, w]` in the range of the model's data, on the CPU.
    pub(crate) fn images(&self, bar: &ProgressBar) -> Result<Tensor> {
        Ok(Tensor::cat(&self.batches(bar, &mut |_, _| ())?, 0))
    }

    /// Draws images and keeps their states after given numbers of steps: one `[n, c, h, w]` for each.
    pub(crate) fn at_steps(&self, steps: &[usize], bar: &ProgressBar) -> Result<Vec<Tensor>> {
        let mut kept: Vec<Vec<Tensor>> = steps.iter().map(|_| Vec::new()).collect();
        self.batches(bar, &mut |taken, state| {
            if let Some(place) = steps.iter().position(|step| *step == taken) {
                kept[place].push(state.to_device(tch::Device::Cpu));
            }
        })?;
        Ok(kept.iter().map(|states| Tensor::cat(states, 0)).collect())
    }

    /// Runs the sampler batch by batch, showing each state as `(steps taken, state)`.
    fn batches(
        &self,
        bar: &ProgressBar,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Vec<Tensor>> {
        let Request { classes, batch_size, seed, .. } = self.request;
        let mut parts = Vec::new();
        for (index, classes) in classes.chunks(batch_size).enumerate() {
            let mut noise = PerSample::new(seed, index * batch_size, classes.len());
            let x = self.batch(classes, &mut noise, bar, observe)?;
            parts.push(x.to_device(tch::Device::Cpu));
        }
        Ok(parts)
    }

    /// Runs the sampler on one batch, an image for each class, all draws out of `noise`.
    fn batch(
        &self,
        classes: &[Option<usize>],
        noise: &mut dyn NoiseSource<Tensor>,
        bar: &ProgressBar,
        observe: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let (schedule, [c, h, w]) = (self.run.schedule(), self.run.shape().map(|side| side as i64));
        let form = (Kind::Float, self.run.device());
        let like = Tensor::zeros([classes.len() as i64, c, h, w], form);
        let start = self.method.start_deviation(schedule, self.plan.start());
        let x = noise.normal_like(&like)? * start;
        observe(0, &x);
        let score = self.request.guide.score(self.run, classes)?;
        let counted = Counted::new(&*score, |calls| {
            bar.inc(calls);
            Ok(())
        });
        let score = self.method.held_in_range(schedule, &counted)?;
        let mut after = |step: usize, state: &Tensor| observe(step + 1, state);
        self.carry(&*score, classes, (x, noise), &mut after)
    }

    /// Carries the noise of a batch to images of these classes.
    fn carry(
        &self,
        score: &dyn ScoreFn<Tensor>,
        classes: &[Option<usize>],
        (x, noise): (Tensor, &mut dyn NoiseSource<Tensor>),
        after: &mut dyn FnMut(usize, &Tensor),
    ) -> Result<Tensor> {
        let Some(shift) = self.request.guide.mean_shift(classes) else {
            return Ok(self.plan.run(score, x, noise, after)?);
        };
        let solver = self.method.mean_guided(shift, self.run.learned_variance())?;
        Ok(self.plan.run_by(&*solver, score, (x, noise), after)?)
    }
}

#[cfg(test)]
mod tests;
