//! What a network was trained to take and to return, and under which noise.

use crate::{DiffusersSampling, TrainedNoise, TrainedPrediction, TrainedVariance};

/// All that weights do not say about what they compute.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConventions {
    /// The noise of the forward process.
    pub noise: TrainedNoise,
    /// What the network returns, or the first half of its channels where it learned a variance.
    pub prediction: TrainedPrediction,
    /// The variance of a reverse step that the network gives, or that its sampler uses; `None` where
    /// the source says none.
    pub variance: Option<TrainedVariance>,
    /// What the network takes as its time.
    pub time: TrainedTime,
    /// The range of the data that it was trained on, as its sampler draws it.
    pub data_range: DataRange,
    /// The bound to which the source's sampler clips the estimate of the data; `None` for no clipping.
    pub clip_sample: Option<f64>,
    /// How its scheduler samples, where the source is diffusers.
    pub sampling: Option<DiffusersSampling>,
}

/// What a network takes as its time, in terms of its forward process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TrainedTime {
    /// `scale` times the index of the step in a chain, from 0 at the cleanest.
    Index {
        /// Steps of the chain.
        steps: usize,
        /// The factor, 1 for most.
        scale: f64,
    },
    /// The index of the noise level in a series that begins with the noisiest.
    DescendingIndex {
        /// Levels in the series.
        steps: usize,
    },
    /// `scale` times the continuous time in `[0, 1]`.
    Time {
        /// The factor.
        scale: f64,
    },
    /// The deviation of the noise.
    Sigma,
    /// A quarter of its logarithm, as EDM's networks.
    QuarterLogSigma,
}

/// The range in which the data of a network lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataRange {
    /// From -1 to 1.
    Symmetric,
    /// From 0 to 1.
    Unit,
}
