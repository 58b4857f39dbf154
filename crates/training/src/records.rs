//! What a run writes down as it goes: metrics, `TensorBoard` events.

use std::time::Instant;

use tweedie_checkpoints::write_atomically;

use crate::losses_by_level::LossesByLevel;
use crate::metrics::{HeldOut, Metrics, MetricsFile};
use crate::picture::Picture;
use crate::state::Progress;
use crate::step::StepOutcome;
use crate::tensorboard::EventWriter;
use crate::{Accuracy, RunConfig, RunFolder, TrainError};

/// The open files of a run's records.
#[derive(Debug)]
pub(crate) struct Records {
    metrics: MetricsFile,
    events: Option<EventWriter>,
    /// When the last line was written, and at which step.
    since: (Instant, u64),
    batch_size: usize,
}

impl Records {
    /// Opens the records for the steps after `step`; what stands there of later steps is dropped.
    pub(crate) fn open(
        folder: &RunFolder,
        config: &RunConfig,
        step: u64,
    ) -> Result<Self, TrainError> {
        let metrics = MetricsFile::open(&folder.metrics(), step)?;
        let events = config.logging.tensorboard;
        let events = events.then(|| EventWriter::open(&folder.tensorboard(), step)).transpose()?;
        let since = (Instant::now(), step);
        Ok(Self { metrics, events, since, batch_size: config.training.batch_size })
    }

    /// Writes down one step.
    pub(crate) fn step(
        &mut self,
        step: u64,
        outcome: &StepOutcome,
        progress: &Progress,
        held_out: Option<HeldOut>,
    ) -> Result<(), TrainError> {
        let (then, from) = std::mem::replace(&mut self.since, (Instant::now(), step));
        let images = (step - from) as f64 * self.batch_size as f64;
        let line = Metrics {
            step,
            loss: finite(outcome.loss),
            smoothed_loss: progress.smoothed_loss,
            learning_rate: outcome.learning_rate,
            gradient_norm: finite(outcome.gradient_norm),
            images_per_s: images / then.elapsed().as_secs_f64().max(f64::MIN_POSITIVE),
            skipped: progress.skipped,
            accuracy: outcome.accuracy,
            held_out_loss: held_out.map(|held_out| held_out.loss),
            held_out_accuracy: held_out.and_then(|held_out| held_out.accuracy),
        };
        self.metrics.append(&line)?;
        let Some(events) = &mut self.events else { return Ok(()) };
        let mut scalars = vec![
            ("train/loss", outcome.loss),
            ("train/learning_rate", line.learning_rate),
            ("train/gradient_norm", outcome.gradient_norm),
            ("train/images_per_s", line.images_per_s),
            ("train/skipped", line.skipped as f64),
        ];
        scalars.extend(line.smoothed_loss.map(|loss| ("train/smoothed_loss", loss)));
        scalars.extend(shares(outcome.accuracy, ["train/top_1", "train/top_5"]));
        scalars.extend(held_out.into_iter().flat_map(scalars_of));
        events.scalars(step, &scalars)
    }

    /// Writes down a measurement of a step that has been written down before.
    pub(crate) fn held_out(&mut self, step: u64, held_out: HeldOut) -> Result<(), TrainError> {
        self.metrics.add_held_out(step, held_out)?;
        match &mut self.events {
            Some(events) => events.scalars(step, &scalars_of(held_out)),
            None => Ok(()),
        }
    }

    /// Writes down a picture.
    pub(crate) fn picture(&mut self, step: u64, picture: Picture) -> Result<(), TrainError> {
        match &mut self.events {
            Some(events) => events.picture(step, "samples", picture.size, picture.png),
            None => Ok(()),
        }
    }

    /// Writes down a measurement by noise level, as numbers and as a picture.
    pub(crate) fn losses_by_level(
        &mut self,
        folder: &RunFolder,
        losses: &LossesByLevel,
    ) -> Result<(), TrainError> {
        let (numbers, path) = (folder.losses(losses.step), folder.losses_picture(losses.step));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(TrainError::io("create", parent))?;
        }
        let json = serde_json::to_vec_pretty(losses)
            .map_err(|source| TrainError::Encode { path: numbers.clone(), source })?;
        write_atomically(&numbers, &json)?;
        let png = losses.png()?;
        write_atomically(&path, &png)?;
        match &mut self.events {
            Some(events) => events.png(losses.step, "held_out/loss_by_level", png),
            None => Ok(()),
        }
    }

    /// Flushes to the disk.
    pub(crate) fn sync(&self) -> Result<(), TrainError> {
        self.metrics.sync()
    }
}

/// A measurement by the names of its figures.
fn scalars_of(held_out: HeldOut) -> Vec<(&'static str, f64)> {
    let shares = shares(held_out.accuracy, ["held_out/top_1", "held_out/top_5"]);
    [("held_out/loss", held_out.loss)].into_iter().chain(shares).collect()
}

fn shares(
    accuracy: Option<Accuracy>,
    [top_1, top_5]: [&'static str; 2],
) -> Vec<(&'static str, f64)> {
    accuracy.map_or_else(Vec::new, |shares| vec![(top_1, shares.top_1), (top_5, shares.top_5)])
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
