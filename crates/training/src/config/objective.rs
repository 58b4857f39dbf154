//! `[objective]`: what the network is asked for, and how its error is counted.

use serde::{Deserialize, Serialize};
use tweedie_losses::{Counting, Distance, LossError, Reduction, Weighting};
use tweedie_schedules::{Prediction, Variance};
use tweedie_score::{Learned, ProbeKind, ReverseNoise};

use super::{InputScalingKind, TimeInputKind};

/// `[objective]`: what the network is asked for, and how its error is counted.
///
/// Keys that only some objectives take are `None` with the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Which loss.
    pub kind: ObjectiveKind,
    /// What the network returns; `None` with a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prediction: Option<PredictionKind>,
    /// What it is told in place of a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_input: Option<TimeInputKind>,
    /// How a state is scaled before it takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_scaling: Option<InputScalingKind>,
    /// Standard deviation of the data that EDM's scalings are made for: of prediction "edm", of the
    /// weighting of that name, and of the input where noise explodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sigma_data: Option<f64>,
    /// How much an error counts at which noise level, of denoising and score matching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weighting: Option<WeightingKind>,
    /// The largest weight of the data's error, of weighting `"min_snr"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_snr_gamma: Option<f64>,
    /// The distance to what the network should return; all but denoising take the square. `None` with a
    /// classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<DistanceKind>,
    /// Error at which the Huber loss turns from square to line; `None` with a classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub huber_delta: Option<f64>,
    /// How the values of an image become its loss, of denoising and score matching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reduction: Option<ReductionKind>,
    /// The variance of the reverse process, of hybrid loss and bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variance: Option<VarianceKind>,
    /// What the bound, the sum over all steps in bits per dimension, counts in hybrid loss and bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlb_weight: Option<f64>,
    /// Random directions of sliced score matching.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projections: Option<usize>,
    /// What they are drawn from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<ProjectionKind>,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            kind: ObjectiveKind::Denoising,
            prediction: Some(PredictionKind::Noise),
            time_input: None,
            input_scaling: None,
            sigma_data: None,
            weighting: None,
            min_snr_gamma: None,
            loss: Some(DistanceKind::Mse),
            huber_delta: Some(HUBER_DELTA),
            reduction: None,
            variance: None,
            vlb_weight: None,
            projections: None,
            projection: None,
        }
    }
}

/// Which loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveKind {
    /// Denoising score matching, of which DDPM's simple loss and EDM's are cases.
    Denoising,
    /// The simple loss, and the variational bound for a learned variance (improved DDPM).
    Hybrid,
    /// The variational bound.
    Vlb,
    /// Implicit score matching, with the exact trace.
    Implicit,
    /// Sliced score matching.
    Sliced,
    /// Sliced score matching with reduced variance.
    SlicedVr,
    /// The cross entropy of a classifier of noisy images.
    Classifier,
}

impl ObjectiveKind {
    /// The loss is of the score itself, and takes derivatives of the network by its input.
    pub(crate) fn matches_scores(self) -> bool {
        matches!(self, Self::Implicit | Self::Sliced | Self::SlicedVr)
    }

    /// The loss holds terms of the variational bound.
    pub(crate) fn is_of_bound(self) -> bool {
        matches!(self, Self::Hybrid | Self::Vlb)
    }
}

/// How much an error counts at which noise level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WeightingKind {
    /// That of what the network returns counts the same at all levels.
    Own,
    /// That of the noise does: score matching weighted with `sigma^2`.
    Sigma,
    /// That of the score counts `g^2`.
    Likelihood,
    /// That of the data counts the signal-to-noise ratio, up to a bound.
    MinSnr,
    /// That of EDM's `F` counts the same at all levels.
    Edm,
}

/// How the values of an image become its loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReductionKind {
    /// Their mean.
    Mean,
    /// Half their sum.
    HalfSum,
}

/// The variance of a reverse step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VarianceKind {
    /// That of the posterior.
    FixedSmall,
    /// That of the forward step.
    FixedLarge,
    /// The network returns its logarithm.
    Learned,
    /// The network returns it: the variance that diffusers calls learned.
    LearnedValue,
    /// The network says where its logarithm lies between the two fixed ones.
    LearnedRange,
}

impl VarianceKind {
    /// What the values of the network mean; `None` where the variance is fixed.
    #[must_use]
    pub fn learned(self) -> Option<Learned> {
        match self {
            Self::FixedSmall | Self::FixedLarge => None,
            Self::Learned => Some(Learned::LogVariance),
            Self::LearnedValue => Some(Learned::Variance),
            Self::LearnedRange => Some(Learned::Range),
        }
    }

    /// The noise of the reverse process.
    #[must_use]
    pub fn noise(self) -> Box<dyn ReverseNoise> {
        match self {
            Self::FixedSmall => Box::new(Variance::FixedSmall),
            Self::FixedLarge => Box::new(Variance::FixedLarge),
            Self::Learned => Box::new(Learned::LogVariance),
            Self::LearnedValue => Box::new(Learned::Variance),
            Self::LearnedRange => Box::new(Learned::Range),
        }
    }
}

/// What random directions are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectionKind {
    /// Independent signs.
    Rademacher,
    /// The standard normal distribution.
    Gaussian,
}

impl From<ProjectionKind> for ProbeKind {
    fn from(kind: ProjectionKind) -> Self {
        match kind {
            ProjectionKind::Rademacher => Self::Rademacher,
            ProjectionKind::Gaussian => Self::Gaussian,
        }
    }
}

impl ObjectiveConfig {
    /// How errors become a loss.
    pub(crate) fn counting(&self) -> Result<Counting, LossError> {
        let distance = match self.loss {
            Some(DistanceKind::Mse) | None => Distance::SquaredError,
            Some(DistanceKind::L1) => Distance::AbsoluteError,
            Some(DistanceKind::Huber) => Distance::huber(self.huber_delta.unwrap_or(HUBER_DELTA))?,
        };
        Ok(Counting { distance, reduction: self.reduction() })
    }

    /// How the values of an image become its loss.
    pub(crate) fn reduction(&self) -> Reduction {
        match self.reduction {
            Some(ReductionKind::HalfSum) => Reduction::HalfSum,
            Some(ReductionKind::Mean) | None => Reduction::Mean,
        }
    }

    /// How much an error counts, where data has deviation `sigma_data`.
    pub(crate) fn weighting(&self, sigma_data: f64) -> Result<Weighting, LossError> {
        Ok(match self.weighting.unwrap_or(WeightingKind::Own) {
            WeightingKind::Own => Weighting::Own,
            WeightingKind::Sigma => Weighting::Of(Prediction::Noise),
            WeightingKind::Likelihood => Weighting::Likelihood,
            WeightingKind::MinSnr => {
                Weighting::min_snr(self.min_snr_gamma.unwrap_or(MIN_SNR_GAMMA))?
            }
            WeightingKind::Edm => Weighting::edm(sigma_data)?,
        })
    }
}

/// Error at which the Huber loss turns from square to line.
const HUBER_DELTA: f64 = 1.0;

/// The largest weight of the data's error.
pub(super) const MIN_SNR_GAMMA: f64 = 5.0; // Hang et al. 2023, sec. 3.4

/// What a network is trained to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PredictionKind {
    /// The noise `eps`.
    Noise,
    /// The data `x0`.
    Data,
    /// The velocity `alpha eps - sigma x0`.
    Velocity,
    /// The score.
    Score,
    /// EDM's `F`, a mixture of data and noise that has unit variance at every level.
    Edm,
}

/// A distance between prediction and target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistanceKind {
    /// The square.
    Mse,
    /// The absolute value.
    L1,
    /// The square near zero, a line beyond `huber_delta`.
    Huber,
}
