//! What networks were trained on, in terms that all programs have in common.

use serde::Deserialize;

/// The noise of a forward process.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainedNoise {
    /// A chain of so many steps, with betas of this shape.
    Betas {
        /// The shape of the betas over the steps.
        shape: BetaShape,
        /// The first beta.
        start: f64,
        /// The last beta.
        end: f64,
        /// Steps of the chain.
        steps: usize,
        /// Whether the betas are rescaled so that no signal is left at the end.
        zero_terminal_snr: bool,
    },
    /// A chain with these betas.
    Table {
        /// The beta of each step.
        betas: Vec<f64>,
        /// Whether the betas are rescaled so that no signal is left at the end.
        zero_terminal_snr: bool,
    },
    /// Variance exploding, with deviations in a geometric series.
    Exploding {
        /// The least deviation of the noise.
        sigma_min: f64,
        /// The largest.
        sigma_max: f64,
        /// Deviations in the series.
        steps: usize,
    },
    /// EDM's noise, whose deviation is the time.
    Edm {
        /// The least deviation of the noise.
        sigma_min: f64,
        /// The largest.
        sigma_max: f64,
        /// Levels of the source's sampler.
        steps: usize,
    },
    /// The variance-preserving SDE of `score_sde` in continuous time.
    VariancePreserving {
        /// Beta at the beginning.
        beta_min: f64,
        /// Beta at the end.
        beta_max: f64,
        /// Steps of its sampler.
        steps: usize,
    },
    /// The sub-variance-preserving SDE of `score_sde`.
    SubVariancePreserving {
        /// Beta at the beginning.
        beta_min: f64,
        /// Beta at the end.
        beta_max: f64,
        /// Steps of its sampler.
        steps: usize,
    },
}

/// How betas go from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BetaShape {
    /// In equal steps.
    Linear,
    /// Their roots in equal steps.
    ScaledLinear,
    /// From the squared cosine of `alpha_bar`; first and last beta are not used.
    #[serde(rename = "squaredcos_cap_v2")]
    SquaredCosine,
    /// Along a sigmoid from -6 to 6.
    Sigmoid,
    /// From the `alpha_bar` of the Laplace schedule; first and last beta are not used.
    Laplace,
}

/// What a network predicts.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub enum TrainedPrediction {
    /// The noise.
    #[serde(rename = "epsilon")]
    Noise,
    /// The data.
    #[serde(rename = "sample")]
    Data,
    /// The velocity.
    #[serde(rename = "v_prediction")]
    Velocity,
    /// The score, as networks for exploding noise do; no `prediction_type` of diffusers says it.
    #[serde(skip)]
    Score,
    /// What EDM's preconditioning makes of the data, for a scaled state.
    #[serde(skip)]
    Edm {
        /// The deviation of the data that the scalings are made for.
        sigma_data: f64,
    },
}

/// The variances of ancestral steps by their names in diffusers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainedVariance {
    /// The posterior's.
    FixedSmall,
    /// The logarithm of the posterior's, clipped at 1e-20.
    FixedSmallLog,
    /// Beta.
    FixedLarge,
    /// The logarithm of beta.
    FixedLargeLog,
    /// The network gives it, not its logarithm.
    Learned,
    /// The network gives its place between the posterior's and beta.
    LearnedRange,
}

impl TrainedNoise {
    /// The kind of noise in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Betas { .. } => "a chain of betas",
            Self::Table { .. } => "a table of betas",
            Self::Exploding { .. } => "exploding variance",
            Self::Edm { .. } => "EDM's noise",
            Self::VariancePreserving { .. } => "a variance-preserving SDE",
            Self::SubVariancePreserving { .. } => "a sub-variance-preserving SDE",
        }
    }

    /// Steps of the chain, levels of the series, or steps of the SDE's sampler.
    #[must_use]
    pub fn steps(&self) -> usize {
        match self {
            Self::Table { betas, .. } => betas.len(),
            Self::Betas { steps, .. }
            | Self::Exploding { steps, .. }
            | Self::Edm { steps, .. }
            | Self::VariancePreserving { steps, .. }
            | Self::SubVariancePreserving { steps, .. } => *steps,
        }
    }
}

impl BetaShape {
    /// The name in diffusers, as `beta_schedule` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::ScaledLinear => "scaled_linear",
            Self::SquaredCosine => "squaredcos_cap_v2",
            Self::Sigmoid => "sigmoid",
            Self::Laplace => "laplace",
        }
    }
}

impl TrainedVariance {
    /// Whether the network gives it.
    #[must_use]
    pub fn is_learned(self) -> bool {
        matches!(self, Self::Learned | Self::LearnedRange)
    }

    /// The name in diffusers, as `variance_type` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedSmall => "fixed_small",
            Self::FixedSmallLog => "fixed_small_log",
            Self::FixedLarge => "fixed_large",
            Self::FixedLargeLog => "fixed_large_log",
            Self::Learned => "learned",
            Self::LearnedRange => "learned_range",
        }
    }
}
