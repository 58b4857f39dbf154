//! The images of a run: what is trained on, and what is held out.

use std::sync::Arc;

use tweedie_datasets::{BatchOptions, Dataset, OpenOptions, open};

use crate::TrainError;
use crate::config::{DataConfig, RunConfig, SplitChoice};

/// The images of a run.
#[derive(Clone, Debug)]
pub struct RunData {
    /// What is trained on.
    pub train: Arc<Dataset>,
    /// What is never trained on; `None` where everything is.
    pub held_out: Option<Arc<Dataset>>,
}

impl RunData {
    /// Opens the data set that the configuration names.
    ///
    /// # Errors
    /// When there is no such set, it is damaged, or it has no labels where the network wants them.
    pub fn open(config: &RunConfig) -> Result<Self, TrainError> {
        let DataConfig { source, size, split, .. } = &config.data;
        let splits = open(source, &OpenOptions { size: *size, ..OpenOptions::default() })?;
        let data = match split {
            SplitChoice::Train => {
                let held_out = (!splits.test.is_empty()).then(|| Arc::new(splits.test));
                Self { train: Arc::new(splits.train), held_out }
            }
            SplitChoice::All => {
                Self { train: Arc::new(splits.train.joined(&splits.test)?), held_out: None }
            }
        };
        let unlabelled = data.train.classes() == 0;
        if config.network.is_class_conditional() && unlabelled {
            return Err(TrainError::NoLabels { source_name: source.clone() });
        }
        if config.is_classifier() && unlabelled {
            return Err(TrainError::NoClasses);
        }
        Ok(data)
    }

    /// All images in one set: those trained on, then those held out.
    ///
    /// # Errors
    /// Never for images that [`open`](Self::open) has read.
    pub fn all(&self) -> Result<Dataset, TrainError> {
        match &self.held_out {
            Some(held_out) => Ok(self.train.joined(held_out)?),
            None => Ok(Dataset::clone(&self.train)),
        }
    }
}

/// How batches are made of the images of a run.
pub(crate) fn batch_options(config: &RunConfig) -> BatchOptions {
    let DataConfig { flip, dequantize, pad, .. } = config.data;
    BatchOptions {
        batch_size: config.training.batch_size,
        seed: config.training.seed,
        flip,
        dequantize,
        pad,
        ..BatchOptions::default()
    }
}

/// How held-out batches are made: on the scale that is trained on, and not mirrored. The noise
/// within the levels is a function of the seed and the batch, so all measurements see the same.
pub(crate) fn held_out_options(config: &RunConfig, batch_size: usize) -> BatchOptions {
    BatchOptions { batch_size, flip: false, ..batch_options(config) }
}

#[cfg(test)]
mod tests {
    use tweedie_datasets::BatchMaker;

    use super::*;

    fn open_with(text: &str) -> Result<RunData, TrainError> {
        RunData::open(&RunConfig::parse(text, &[]).unwrap())
    }

    #[test]
    fn the_train_split_holds_out_and_all_does_not() {
        let data = open_with("").unwrap();
        assert_eq!((data.train.len(), data.held_out.unwrap().len()), (1617, 180));
        let data = open_with("[data]\nsplit = \"all\"").unwrap();
        assert_eq!((data.train.len(), data.held_out), (1797, None));
        assert_eq!(data.train.labels().unwrap().len(), 1797);
        assert_eq!(data.train.levels(), 17);
    }

    #[test]
    fn held_out_images_are_on_the_scale_that_is_trained_on() {
        let text = "[data]\ndequantize = true\nflip = true";
        let config = RunConfig::parse(text, &[]).unwrap();
        let set = RunData::open(&config).unwrap().held_out.unwrap();
        let batch = |options| BatchMaker::new(Arc::clone(&set), options).unwrap().make(2).images;
        let measured = batch(held_out_options(&config, 8));
        assert_eq!(measured, batch(held_out_options(&config, 8)));
        let trained_on = BatchOptions { batch_size: 8, flip: false, ..batch_options(&config) };
        assert_eq!(measured, batch(trained_on));
        // Level v of 17 fills [2 v/17 - 1, 2 (v + 1)/17 - 1), while it is scaled to v/8 - 1.
        let plain = batch(BatchOptions { dequantize: false, ..held_out_options(&config, 8) });
        let mut pairs = measured.iter().zip(&plain);
        assert!(pairs.all(|(noisy, scaled)| (noisy - scaled).abs() <= 2.0 / 17.0 + 1e-6));
        assert_ne!(measured, plain);
    }

    #[test]
    fn a_set_that_is_not_there_is_named() {
        let message = open_with("[data]\nsource = \"no/such/set\"").unwrap_err().to_string();
        assert!(message.contains("no/such/set"), "{message}");
    }
}
