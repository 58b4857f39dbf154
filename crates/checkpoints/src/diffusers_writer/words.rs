//! Noise and conventions of a network in words, for who is told that diffusers lacks them.

use crate::{DataRange, NetworkConventions, TrainedPrediction, TrainedTime};

/// The noise, and what the network takes and gives.
pub(super) fn of(conventions: &NetworkConventions) -> String {
    let gives = match conventions.prediction {
        TrainedPrediction::Noise => "predicts the noise",
        TrainedPrediction::Data => "predicts the data",
        TrainedPrediction::Velocity => "predicts the velocity",
        TrainedPrediction::Score => "predicts the score",
        TrainedPrediction::Edm { .. } => "predicts as EDM's do",
    };
    let told = match conventions.time {
        TrainedTime::Index { scale: 1.0, .. } => "the index of the step".to_owned(),
        TrainedTime::Index { steps, scale } => {
            format!("the index of the step as of {}", scale * steps as f64)
        }
        TrainedTime::DescendingIndex { .. } => {
            "the index of the level, the noisiest first".to_owned()
        }
        TrainedTime::Time { scale } => format!("{scale} t"),
        TrainedTime::Sigma => "sigma".to_owned(),
        TrainedTime::QuarterLogSigma => "ln sigma / 4".to_owned(),
    };
    let range = match conventions.data_range {
        DataRange::Symmetric => "-1 to 1",
        DataRange::Unit => "0 to 1",
    };
    let noise = conventions.noise.kind();
    format!("{noise} with a network that {gives}, is told {told} and takes data from {range}")
}
