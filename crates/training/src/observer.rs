//! What a run tells whoever watches it.

use std::path::Path;

use crate::Accuracy;

/// Something that happened in a run. Steps are counted from 1 as they are finished.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The loop is about to begin, or to go on after `step` steps.
    Started {
        /// Steps done before.
        step: u64,
        /// Steps of the whole run.
        total: u64,
        /// Trainable parameters of the network.
        parameters: u64,
        /// Where it computes: "CPU" or "CUDA 0".
        device: &'a str,
        /// Threads of the CPU.
        threads: usize,
    },
    /// A step is done.
    Step {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        total: u64,
        /// Loss of this step; not finite where the step was skipped.
        loss: f64,
        /// Running mean of the loss.
        smoothed_loss: f64,
        /// Images a second since the last step.
        images_per_second: f64,
        /// Learning rate of this step.
        learning_rate: f64,
    },
    /// A step changed nothing because its loss or gradient is not finite.
    Skipped {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of its gradient.
        gradient_norm: f64,
        /// Such steps in a row, with this one.
        in_a_row: u64,
        /// Such steps in the whole run.
        skipped: u64,
    },
    /// The loss on held-out images was measured, with the averaged weights.
    HeldOut {
        /// Steps done.
        step: u64,
        /// The loss.
        loss: f64,
        /// How often a classifier was right.
        accuracy: Option<Accuracy>,
    },
    /// A checkpoint is on the disk.
    Saved {
        /// Its step.
        step: u64,
        /// Its folder.
        path: &'a Path,
    },
    /// A checkpoint was due, but the weights are not finite; the last good one stays.
    NotSaved {
        /// The step.
        step: u64,
    },
    /// A picture of samples is on the disk.
    Drawn {
        /// Steps done.
        step: u64,
        /// The picture.
        path: &'a Path,
    },
    /// At resume, a damaged checkpoint was passed over; it is kept under another name.
    Damaged {
        /// Its folder, under the name it has now.
        path: &'a Path,
        /// What is wrong with it.
        error: &'a tweedie_checkpoints::CheckpointError,
    },
    /// The run has done all its steps.
    Finished {
        /// Steps of the whole run.
        step: u64,
        /// Seconds of training, over all resumptions.
        training_seconds: f64,
    },
}

/// Watches a run: a progress bar, a log, a test.
pub trait Observer {
    /// Called as things happen, between steps.
    fn observe(&mut self, event: &Event<'_>);
}

/// Watches nothing.
impl Observer for () {
    fn observe(&mut self, _: &Event<'_>) {}
}

impl<F: FnMut(&Event<'_>)> Observer for F {
    fn observe(&mut self, event: &Event<'_>) {
        self(event);
    }
}
