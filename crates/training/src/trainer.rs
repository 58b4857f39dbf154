//! The training loop.

mod fit;
mod milestones;
mod setup;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use setup::Setup;
use tweedie_checkpoints::{CheckpointError, CheckpointStore};
use tweedie_datasets::BatchStream;
use tweedie_unet::UNet;

use crate::clock::Clock;
use crate::config::VarianceKind;
use crate::data::batch_options;
use crate::lock::RunLock;
use crate::observer::Observer;
use crate::records::Records;
use crate::summary::Summary;
use crate::{ConfigError, RunConfig, RunFolder, TrainError, state};

/// How [`Trainer::run`] came to an end.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// All steps are done; `summary.json` is written.
    Finished(Summary),
    /// The run was asked to stop, and has saved its state.
    Stopped {
        /// Steps done.
        step: u64,
        /// Steps of the whole run.
        total: u64,
    },
}

/// A run that can be trained.
#[derive(Debug)]
pub struct Trainer {
    config: RunConfig,
    folder: RunFolder,
    store: CheckpointStore,
    setup: Setup,
    /// Step of the newest checkpoint on the disk.
    saved: Option<u64>,
    /// Checkpoints that were passed over at resume.
    damaged: Vec<(PathBuf, CheckpointError)>,
    /// Held as long as this process trains in the folder.
    _lock: RunLock,
    /// Steps whose batch is spoiled, to see what a step that is not finite does.
    #[cfg(test)]
    poisoned: std::ops::Range<u64>,
}

impl Trainer {
    /// Begins a new run in the folder `run`, which must not hold one yet.
    ///
    /// The configuration kept in the folder has the number of threads filled in, so that the run
    /// goes on with as many wherever it is resumed.
    ///
    /// # Errors
    /// When there is a run already or parts of one, the data cannot be used, or the network cannot
    /// be built. Nothing is written then.
    pub fn new(config: RunConfig, run: &Path) -> Result<Self, TrainError> {
        Self::begin(config, run, None)
    }

    /// Begins a new run as [`new`](Self::new) does, with the weights of `network`, a model's or a
    /// classifier's, for weights and average. They are the checkpoint of step 0, so that the run needs nothing outside its folder.
    ///
    /// # Errors
    /// As for [`new`](Self::new), and when the weights do not fit the network of the run; all that do
    /// not are listed.
    pub fn from_network(config: RunConfig, run: &Path, network: &UNet) -> Result<Self, TrainError> {
        Self::begin(config, run, Some(network))
    }

    fn begin(config: RunConfig, run: &Path, from: Option<&UNet>) -> Result<Self, TrainError> {
        RunFolder::check_free(run)?;
        // A configuration made in code is held to the same bounds as one from a file.
        let mut config = RunConfig::parse(&config.to_toml()?, &[])?;
        if config.training.threads == 0 {
            config.training.threads =
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        }
        if from.is_none() {
            check_begins(&config)?;
        }
        let mut setup = Setup::new(&config)?;
        if let Some(network) = from {
            setup.state.start_from(network)?;
        }
        std::fs::create_dir_all(run).map_err(TrainError::io("create", run))?;
        let lock = RunLock::take(run)?;
        let folder = RunFolder::at(run);
        if from.is_some() {
            // before the configuration, without which the folder is no run that could be resumed
            setup.state.save(&folder.make_checkpoints()?, None)?;
        }
        folder.write_config(&config)?;
        folder.remove_leftovers()?;
        let mut trainer = Self::assemble(config, folder, setup, lock)?;
        trainer.saved = from.map(|_| 0);
        Ok(trainer)
    }

    /// Takes a run up again at its newest whole checkpoint, or at its beginning where it has none.
    /// What interrupted writes left behind is removed, and damaged checkpoints that were passed over
    /// are renamed to `step-N.damaged`.
    ///
    /// # Errors
    /// When `run` is not a run, another process trains in it, its data cannot be used, it has
    /// checkpoints of which none can be read, or its checkpoint does not fit its network. The run
    /// stays as it is then.
    pub fn resume(run: &Path) -> Result<Self, TrainError> {
        let (folder, config) = RunFolder::open(run)?;
        let lock = RunLock::take(run)?;
        let setup = Setup::new(&config)?;
        let mut trainer = Self::assemble(config, folder, setup, lock)?;
        let found = trainer.store.latest_with(state::check)?;
        if let Some(checkpoint) = found.checkpoint {
            trainer.setup.state.load(&checkpoint)?;
            trainer.saved = Some(trainer.step());
        } else if trainer.config.training.from.is_some() {
            // its beginning is lost, and another would be another run
            return Err(TrainError::NoCheckpoint { run: run.to_path_buf(), step: None });
        }
        // Only now, with everything read, is anything changed.
        trainer.folder.remove_leftovers()?;
        for (path, error) in found.damaged {
            trainer.damaged.push((trainer.store.keep_damaged(&path)?, error));
        }
        Ok(trainer)
    }

    fn assemble(
        config: RunConfig,
        folder: RunFolder,
        setup: Setup,
        lock: RunLock,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            _lock: lock,
            store: folder.make_checkpoints()?,
            config,
            folder,
            setup,
            saved: None,
            damaged: Vec::new(),
            #[cfg(test)]
            poisoned: 0..0,
        })
    }

    /// The configuration, as the run's folder keeps it.
    #[must_use]
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The run's folder.
    #[must_use]
    pub fn folder(&self) -> &RunFolder {
        &self.folder
    }

    /// Steps done.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.setup.state.step
    }

    /// Trains until all steps are done or `stop` is set, which is looked at between steps, between batches
    /// of held-out images and between the steps of a picture's samples.
    ///
    /// # Errors
    /// When a file cannot be written, libtorch fails, or too many steps in a row are not finite; the
    /// last good checkpoint is kept then.
    pub fn run(
        &mut self,
        observer: &mut dyn Observer,
        stop: &AtomicBool,
    ) -> Result<Outcome, TrainError> {
        let total = self.config.training.steps;
        let mut clock = Clock::resume(self.setup.state.progress.training_seconds);
        let mut records = Records::open(&self.folder, &self.config, self.step())?;
        self.announce(observer);
        self.catch_up(&mut records, &clock, (observer, stop))?;
        let train = Arc::clone(&self.setup.data.train);
        let batches = BatchStream::new(train, batch_options(&self.config), self.step())?;
        for batch in batches.take(total.saturating_sub(self.step()) as usize) {
            if stop.load(Ordering::Relaxed) {
                self.save_if_new(&records, &clock, observer)?;
                return Ok(Outcome::Stopped { step: self.step(), total });
            }
            #[cfg(test)]
            let batch = self.spoil(batch);
            let Setup { plan, state, .. } = &mut self.setup;
            let outcome = plan.take(state, &batch, &self.config)?;
            state.step += 1;
            self.after_step(&outcome, &mut records, &mut clock, (observer, stop))?;
        }
        self.save_if_new(&records, &clock, observer)?;
        self.finish(&clock, &mut records, (observer, stop))
    }

    #[cfg(test)]
    fn spoil(&self, mut batch: tweedie_datasets::Batch) -> tweedie_datasets::Batch {
        if self.poisoned.contains(&batch.step) {
            batch.images[0] = f32::NAN;
        }
        batch
    }
}

/// Refuses what a network without weights from elsewhere cannot begin with.
fn check_begins(config: &RunConfig) -> Result<(), ConfigError> {
    if config.objective.variance != Some(VarianceKind::LearnedValue) {
        return Ok(());
    }
    let allowed = "\"learned_range\" or \"learned\", or --from a model that gives a variance: a new network says \
                   0, whose logarithm the bound takes";
    Err(ConfigError::Unfit {
        key: "objective.variance",
        value: "\"learned_value\"".to_owned(),
        allowed: allowed.to_owned(),
    })
}
