//! What happens between steps: reports, measurements, pictures, checkpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tweedie_datasets::BatchMaker;

use super::{Outcome, Setup, Trainer};
use crate::TrainError;
use crate::clock::Clock;
use crate::config::BestBy;
use crate::data::held_out_options;
use crate::losses_by_level::{self, LossAt, LossesByLevel};
use crate::metrics::HeldOut;
use crate::network::device_name;
use crate::observer::{Event, Observer};
use crate::picture::Drawing;
use crate::records::Records;
use crate::step::StepOutcome;
use crate::summary::Summary;

impl Trainer {
    /// Tells the observer where the run stands before the loop.
    pub(super) fn announce(&self, observer: &mut dyn Observer) {
        for (path, error) in &self.damaged {
            observer.observe(&Event::Damaged { path, error });
        }
        observer.observe(&Event::Started {
            step: self.step(),
            total: self.config.training.steps,
            parameters: self.parameters(),
            device: &device_name(self.setup.device),
            threads: self.config.training.threads,
        });
    }

    /// Everything that may be due after a step. What `stop` cuts short is left for
    /// [`catch_up`](Self::catch_up).
    pub(super) fn after_step(
        &mut self,
        outcome: &StepOutcome,
        records: &mut Records,
        clock: &mut Clock,
        (observer, stop): (&mut dyn Observer, &AtomicBool),
    ) -> Result<(), TrainError> {
        let step = self.step();
        self.count(outcome, clock, observer);
        let held_out = self.measure_if_due(records, observer, stop)?;
        let measured = held_out.is_some() || self.is_measurement_due();
        let logged = is_due(step, self.config.logging.every) || self.is_last() || measured;
        if logged || !outcome.updated {
            records.step(step, outcome, &self.setup.state.progress, held_out)?;
        }
        self.check_streak()?;
        if is_due(step, self.config.samples.every) {
            self.draw(records, observer, stop)?;
        }
        if is_due(step, self.config.checkpoints.every) {
            self.save(records, clock, observer)?;
        }
        Ok(())
    }

    /// What was due after the last step done, and a stop cut short: a resumed run leaves the same records
    /// as one that was never interrupted.
    pub(super) fn catch_up(
        &mut self,
        records: &mut Records,
        clock: &Clock,
        (observer, stop): (&mut dyn Observer, &AtomicBool),
    ) -> Result<(), TrainError> {
        let step = self.step();
        if step == 0 {
            return Ok(());
        }
        if let Some(held_out) = self.measure_if_due(records, observer, stop)? {
            records.held_out(step, held_out)?;
            self.save(records, clock, observer)?; // now with its score
        }
        if is_due(step, self.config.samples.every) && !self.folder.samples(step).exists() {
            self.draw(records, observer, stop)?;
        }
        Ok(())
    }

    /// Whether the weights of this step are to be measured on held-out images, and have not been: every so
    /// often, and where a checkpoint is to be scored by it.
    pub(super) fn is_measurement_due(&self) -> bool {
        let step = self.step();
        let scored = self.config.checkpoints.best_by == BestBy::HeldOutLoss
            && (is_due(step, self.config.checkpoints.every) || self.is_last());
        let due = scored || is_due(step, self.config.logging.held_out_every);
        let measured = self.setup.state.progress.held_out_step == Some(step);
        due && !measured && self.setup.data.held_out.is_some()
    }

    /// Takes the step into the running figures and reports it.
    fn count(&mut self, outcome: &StepOutcome, clock: &mut Clock, observer: &mut dyn Observer) {
        let StepOutcome { loss, gradient_norm, learning_rate, updated, .. } = *outcome;
        let (step, total) = (self.step(), self.config.training.steps);
        let progress = &mut self.setup.state.progress;
        if updated {
            progress.good(loss);
        } else {
            progress.bad();
            let (in_a_row, skipped) = (progress.bad_in_a_row, progress.skipped);
            observer.observe(&Event::Skipped { step, loss, gradient_norm, in_a_row, skipped });
        }
        let smoothed_loss = progress.smoothed_loss.unwrap_or(f64::NAN);
        let images_per_second = self.config.training.batch_size as f64 / clock.lap();
        observer.observe(&Event::Step {
            step,
            total,
            loss,
            smoothed_loss,
            images_per_second,
            learning_rate,
        });
    }

    /// Stops the run when too many steps in a row were not finite.
    fn check_streak(&self) -> Result<(), TrainError> {
        let in_a_row = self.setup.state.progress.bad_in_a_row;
        let allowed = self.config.training.max_bad_steps;
        if in_a_row < allowed {
            return Ok(());
        }
        let (step, kept) = (self.step(), self.saved);
        Err(TrainError::TooManyBadSteps { step, in_a_row, allowed, kept })
    }

    /// The loss of the averaged weights on held-out images, always the same ones with the same
    /// noise, where it is due; none where `stop` is set, which is looked at between batches.
    fn measure_if_due(
        &mut self,
        records: &mut Records,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Option<HeldOut>, TrainError> {
        let due = self.is_measurement_due();
        let Some(images) = self.setup.data.held_out.as_ref().filter(|_| due) else {
            return Ok(None);
        };
        let step = self.step();
        let count = images.len().min(self.config.logging.held_out_images);
        let batches = count.div_ceil(self.config.training.batch_size);
        let options = held_out_options(&self.config, count.div_ceil(batches));
        let mut maker = BatchMaker::new(Arc::clone(images), options)?;
        let mut losses = Vec::with_capacity(count);
        for index in 0..batches as u64 {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            losses.extend(self.setup.plan.measure(&self.setup.state.ema, &maker.make(index))?);
        }
        let loss = losses_by_level::mean(&losses);
        let mut accuracy = losses_by_level::accuracy(&losses);
        if is_due(step, self.config.logging.held_out_every) || self.is_last() {
            if accuracy.is_some() {
                // a share of few images says little: every image at every level
                let Some(all) = self.at_every_level(&mut maker, batches as u64, stop)? else {
                    return Ok(None);
                };
                accuracy = losses_by_level::accuracy(&all);
                losses = all;
            }
            records.losses_by_level(&self.folder, &LossesByLevel::new(step, losses))?;
        }
        let progress = &mut self.setup.state.progress;
        progress.held_out_loss = loss.is_finite().then_some(loss);
        (progress.held_out_step, progress.held_out_accuracy) = (Some(step), accuracy);
        observer.observe(&Event::HeldOut { step, loss, accuracy });
        Ok(Some(HeldOut { loss, accuracy }))
    }

    /// The losses of the averaged weights on all held-out images at each of some levels, unless `stop` is set.
    fn at_every_level(
        &self,
        maker: &mut BatchMaker,
        batches: u64,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<LossAt>>, TrainError> {
        let Setup { plan, state, .. } = &self.setup;
        let mut losses = Vec::new();
        for index in 0..batches {
            let batch = maker.make(index);
            for level in plan.levels(losses_by_level::GROUPS) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(None);
                }
                losses.extend(plan.measure_at(&state.ema, &batch, level)?);
            }
        }
        Ok(Some(losses))
    }

    /// Draws a picture of samples, unless `stop` is set.
    fn draw(
        &self,
        records: &mut Records,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<(), TrainError> {
        let step = self.step();
        let path = self.folder.samples(step);
        let Setup { schedule, plan, state, .. } = &self.setup;
        let drawing = Drawing {
            network: plan.conventions.network(&state.ema),
            schedule,
            form: &state.progress.images,
            config: &self.config.samples,
            dequantized: self.config.data.dequantize,
            data_range: self.config.data_range(),
        };
        let Some(picture) = drawing.draw(&path, stop)? else { return Ok(()) };
        records.picture(step, picture)?;
        observer.observe(&Event::Drawn { step, path: &path });
        Ok(())
    }

    /// Writes a checkpoint, unless the weights are not finite, and removes old ones.
    fn save(
        &mut self,
        records: &Records,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let step = self.step();
        if !self.setup.state.is_finite()? {
            observer.observe(&Event::NotSaved { step });
            return Ok(());
        }
        records.sync()?;
        self.setup.state.progress.training_seconds = clock.seconds();
        let stored = self.setup.state.save(&self.store, self.score())?;
        self.saved = Some(step);
        self.store.prune(self.config.checkpoints.keep_last)?;
        observer.observe(&Event::Saved { step, path: stored.path() });
        Ok(())
    }

    /// Saves the present step if that has not been done.
    pub(super) fn save_if_new(
        &mut self,
        records: &Records,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<(), TrainError> {
        let step = self.step();
        if self.saved == Some(step) {
            return Ok(());
        }
        self.save(records, clock, observer)?;
        if self.saved == Some(step) {
            return Ok(());
        }
        Err(TrainError::WeightsNotFinite { step, kept: self.saved })
    }

    /// The figure by which the best checkpoint is told; none where the loss on held-out images was
    /// not measured for these very weights, as when the run was asked to stop.
    fn score(&self) -> Option<f64> {
        let progress = &self.setup.state.progress;
        match self.config.checkpoints.best_by {
            BestBy::HeldOutLoss if self.setup.data.held_out.is_some() => {
                progress.held_out_loss.filter(|_| progress.held_out_step == Some(self.step()))
            }
            BestBy::HeldOutLoss | BestBy::TrainLoss => progress.smoothed_loss,
        }
    }

    /// The last picture and the summary, or what a stop leaves.
    pub(super) fn finish(
        &mut self,
        clock: &Clock,
        records: &mut Records,
        (observer, stop): (&mut dyn Observer, &AtomicBool),
    ) -> Result<Outcome, TrainError> {
        let (step, training_seconds) = (self.step(), clock.seconds());
        let undrawn = || self.config.samples.every > 0 && !self.folder.samples(step).exists();
        if undrawn() {
            self.draw(records, observer, stop)?;
        }
        if undrawn() || self.is_measurement_due() {
            return Ok(Outcome::Stopped { step, total: self.config.training.steps });
        }
        let progress = &self.setup.state.progress;
        let summary = Summary {
            steps: step,
            skipped: progress.skipped,
            final_loss: progress.loss,
            smoothed_loss: progress.smoothed_loss,
            held_out_loss: progress.held_out_loss,
            held_out_accuracy: progress.held_out_accuracy,
            best_step: self.store.best()?.map(|(step, _)| step),
            training_seconds,
            parameters: self.parameters(),
            precision: self.config.training.precision,
            threads: self.config.training.threads,
            device: device_name(self.setup.device),
            libtorch: tweedie_torch_ext::libtorch_version().to_owned(),
        };
        summary.write(&self.folder.summary())?;
        observer.observe(&Event::Finished { step, training_seconds });
        Ok(Outcome::Finished(summary))
    }

    fn is_last(&self) -> bool {
        self.step() == self.config.training.steps
    }

    fn parameters(&self) -> u64 {
        self.setup.state.unet.parameters().element_count() as u64
    }
}

/// Whether something that happens every `every` steps is due; never where `every` is 0.
fn is_due(step: u64, every: u64) -> bool {
    every > 0 && step.is_multiple_of(every)
}
