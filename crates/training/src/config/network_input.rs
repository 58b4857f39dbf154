//! What a network is told of the time, and the size at which it takes a state.

use serde::{Deserialize, Serialize};
use tweedie_unet::TimeInput;

use super::ScheduleKind;
use crate::{ConfigError, RunSchedule};

/// What the scripts of Song et al. multiply a continuous time with.
const TIME_SCALE: f64 = 999.0; // Song et al. 2021, the code released with it
/// The factor of `ln sigma`: 1000 times EDM's 1/4, as [`TimeInput::LogNoise`] says.
const LOG_NOISE_SCALE: f64 = 250.0;
/// The steps for which networks are told the index itself where it is rescaled.
const RESCALED_STEPS: f64 = 1000.0; // Nichol and Dhariwal 2021, the code released with it

/// What a network is told in place of a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeInputKind {
    /// The index of the step of a table, from 0.
    Index,
    /// The same times 1000 over the number of steps.
    RescaledIndex,
    /// The index of the nearest of `schedule.steps` levels of noise, the noisiest first.
    DescendingIndex,
    /// 999 times the continuous time.
    Time,
    /// The noise, `sigma / alpha`.
    Sigma,
    /// 250 times its logarithm.
    LogSigma,
    /// A quarter of its logarithm, as EDM.
    QuarterLogSigma,
}

impl TimeInputKind {
    /// What a network of a run is told where nothing else is said: what suits positional embeddings.
    pub(crate) fn suited_to(kind: ScheduleKind) -> Self {
        match kind {
            kind if kind.is_discrete() => Self::Index,
            ScheduleKind::Ve | ScheduleKind::Edm => Self::LogSigma,
            _ => Self::Time,
        }
    }

    /// The word for it in a configuration.
    fn name(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::RescaledIndex => "rescaled_index",
            Self::DescendingIndex => "descending_index",
            Self::Time => "time",
            Self::Sigma => "sigma",
            Self::LogSigma => "log_sigma",
            Self::QuarterLogSigma => "quarter_log_sigma",
        }
    }

    /// Refuses what a schedule of this kind has none of.
    pub(super) fn check(self, schedule: ScheduleKind) -> Result<(), ConfigError> {
        let (fits, needs) = match self {
            Self::Index | Self::RescaledIndex => {
                (schedule.is_discrete(), "\"linear\", \"cosine\" or \"betas\"")
            }
            Self::DescendingIndex => (schedule == ScheduleKind::Ve, "\"ve\""),
            Self::Time => {
                (!schedule.is_discrete() && schedule != ScheduleKind::Edm, "in continuous time")
            }
            Self::Sigma | Self::LogSigma | Self::QuarterLogSigma => (true, ""),
        };
        if fits {
            return Ok(());
        }
        let allowed = format!("another, or a schedule.kind that is {needs}");
        let value = format!("\"{}\"", self.name());
        Err(ConfigError::Unfit { key: "objective.time_input", value, allowed })
    }

    /// The number itself, for a schedule whose configuration has `steps`.
    pub(crate) fn of(self, schedule: &RunSchedule, steps: usize) -> TimeInput {
        let steps = schedule.table().map_or(steps, tweedie_schedules::DiscreteTable::len);
        match self {
            Self::Index => TimeInput::Index { steps },
            Self::RescaledIndex => {
                TimeInput::ScaledIndex { steps, scale: RESCALED_STEPS / steps as f64 }
            }
            Self::DescendingIndex => TimeInput::DescendingIndex { steps },
            Self::Time => TimeInput::Time { scale: TIME_SCALE },
            Self::Sigma => TimeInput::Noise,
            Self::LogSigma => TimeInput::LogNoise { scale: LOG_NOISE_SCALE },
            // Karras et al. 2022, table 1
            Self::QuarterLogSigma => TimeInput::LogNoise { scale: 0.25 },
        }
    }
}

/// How a state is scaled before a network takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputScalingKind {
    /// Not at all.
    None,
    /// To unit variance, for data of deviation `sigma_data`.
    UnitVariance,
}
