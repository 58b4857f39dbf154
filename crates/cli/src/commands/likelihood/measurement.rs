//! A measurement in parts, each of which is kept as soon as it is finished.

use crate::drawing::Drawing;
use crate::inputs::Inputs;
use crate::ledger::Ledger;
use crate::progress::Work;
use crate::run::Run;
use crate::stop::Stop;
use anyhow::{Result, ensure};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::ops::Range;
use std::path::Path;
use tweedie_plots::Picture;
use tweedie_score::ScoreError;

/// Whose likelihood, under which run.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) run: &'a Run,
    pub(crate) inputs: &'a Inputs,
    pub(crate) drawing: Drawing,
}

impl Subject<'_> {
    /// Number of batches.
    pub(crate) fn batches(&self) -> usize {
        self.inputs.len().div_ceil(self.drawing.batch_size)
    }

    /// The places of the images of a batch.
    pub(crate) fn batch(&self, index: usize) -> Range<usize> {
        let first = index * self.drawing.batch_size;
        first..(first + self.drawing.batch_size).min(self.inputs.len())
    }
}

/// Where a measurement keeps what it finds.
#[derive(Clone, Copy)]
pub(crate) struct Keeping<'a> {
    /// Its report, beside which all else lies.
    pub(crate) out: &'a Path,
    /// Whether what is kept is found again.
    pub(crate) fresh: bool,
}

/// What is done before each call of the network: it moves the bar, and is the place to stop.
pub(crate) struct Watch<'a> {
    work: &'a Work,
    stop: &'a Stop,
}

impl Watch<'_> {
    /// Before a call of so many passes.
    ///
    /// # Errors
    /// When the work is asked to stop.
    pub(crate) fn call(&self, passes: u64) -> Result<(), ScoreError> {
        if self.stop.is_asked() {
            return Err(ScoreError::Stopped);
        }
        self.work.calls(passes);
        Ok(())
    }
}

/// What is measured, part by part.
pub(crate) trait Measurement {
    /// What the finished parts come to.
    type State: Default + Serialize + DeserializeOwned;

    /// The time that images are taken to be at.
    fn cleanest_time(&self) -> f64;

    /// The method's own options that decide what is measured.
    fn question(&self) -> Vec<(&'static str, Value)>;

    /// Number of parts.
    fn parts(&self) -> usize;

    /// Images that part `index` goes over.
    fn images(&self, index: usize) -> usize;

    /// Adds part `index` to the state, every call of the network watched.
    ///
    /// # Errors
    /// When the network fails or is not to be called again, or the tolerance cannot be met; the state is
    /// then as it was.
    fn measure(&self, index: usize, state: &mut Self::State, watch: &Watch<'_>) -> Result<()>;

    /// The figure so far, in a few words.
    fn so_far(&self, state: &Self::State) -> String;

    /// What was measured, when all parts are.
    ///
    /// # Errors
    /// When a figure is not finite.
    fn report(&self, state: &Self::State) -> Result<Report>;
}

/// A finished measurement.
pub(crate) struct Report {
    /// For a person.
    pub(crate) lines: Vec<String>,
    /// For a program.
    pub(crate) json: Map<String, Value>,
    /// A picture that belongs beside the report.
    pub(crate) picture: Option<Picture>,
}

/// How a measurement ended.
pub(crate) enum Outcome {
    Finished,
    Stopped { done: usize, of: usize },
}

/// Measures what the ledger does not hold yet, until all is done or it is asked to stop.
///
/// # Errors
/// When a part fails or cannot be kept, or the ledger holds more parts than there are.
pub(crate) fn measure<M: Measurement>(
    method: &M,
    ledger: &mut Ledger<M::State>,
    stop: &Stop,
) -> Result<Outcome> {
    let images = |parts: Range<usize>| parts.map(|index| method.images(index)).sum();
    let (parts, done) = (method.parts(), ledger.done());
    ensure!(
        done <= parts,
        "{} keeps {done} finished parts, this measurement has {parts}; --fresh starts over",
        ledger.path().display()
    );
    let total: usize = images(0..parts);
    let mut work = Work::over_images(total, images(0..done));
    if done > 0 {
        work.say(&format!("going on from {}", ledger.path().display()));
    }
    for index in done..parts {
        let watch = Watch { work: &work, stop };
        match ledger.extend(|state| method.measure(index, state, &watch)) {
            Err(error) if is_stop(&error) => {
                return Ok(Outcome::Stopped { done: images(0..index), of: total });
            }
            done => done?,
        }
        work.advance(method.images(index), &method.so_far(ledger.state()));
    }
    Ok(Outcome::Finished)
}

/// Whether a part was given up because the work was asked to stop.
fn is_stop(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(ScoreError::Stopped)))
}
