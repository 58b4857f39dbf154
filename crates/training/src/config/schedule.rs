//! `[schedule]`: the forward process.

use serde::ser::{SerializeStruct, Serializer};
use serde::{Deserialize, Serialize};

use crate::ConfigError;

/// `[schedule]`: the forward process.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// What the schedule is.
    pub kind: ScheduleKind,
    /// How many betas a table has; with kind "betas" as many as are listed.
    pub steps: usize,
    /// First beta of kind "linear".
    pub beta_start: f64,
    /// Last beta of kind "linear".
    pub beta_end: f64,
    /// The betas of kind "betas", one a step; empty with any other kind.
    pub betas: Vec<f64>,
    /// Rescale the betas of a table so that no signal is left after its last step.
    pub zero_terminal_snr: bool,
    /// Rate at time 0 of kinds `"vp_linear"` and `"sub_vp"`.
    pub beta_min: Option<f64>,
    /// Their rate at time 1.
    pub beta_max: Option<f64>,
    /// Least noise of kinds "ve" and "edm".
    pub sigma_min: Option<f64>,
    /// Their largest noise.
    pub sigma_max: Option<f64>,
    /// The earliest time that is trained, of all continuous kinds but "edm".
    pub time_min: Option<f64>,
}

/// Values that are not given are left out, and ends of betas beside a list of them, which says its own.
impl Serialize for ScheduleConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut entries = to.serialize_struct("ScheduleConfig", 11)?;
        entries.serialize_field("kind", &self.kind)?;
        entries.serialize_field("steps", &self.steps)?;
        if self.kind != ScheduleKind::Betas {
            entries.serialize_field("beta_start", &self.beta_start)?;
            entries.serialize_field("beta_end", &self.beta_end)?;
        }
        entries.serialize_field("betas", &self.betas)?;
        entries.serialize_field("zero_terminal_snr", &self.zero_terminal_snr)?;
        for (name, value) in [
            ("beta_min", self.beta_min),
            ("beta_max", self.beta_max),
            ("sigma_min", self.sigma_min),
            ("sigma_max", self.sigma_max),
            ("time_min", self.time_min),
        ] {
            if let Some(value) = value {
                entries.serialize_field(name, &value)?;
            }
        }
        entries.end()
    }
}

impl Default for ScheduleConfig {
    fn default() -> Self {
        Self {
            kind: ScheduleKind::Cosine,
            steps: 1000,
            beta_start: 1e-4,
            beta_end: 0.02,
            betas: Vec::new(),
            zero_terminal_snr: false,
            beta_min: None,
            beta_max: None,
            sigma_min: None,
            sigma_max: None,
            time_min: None,
        }
    }
}

impl ScheduleConfig {
    /// Fills in what the kind takes and was not given.
    ///
    /// # Errors
    /// When a key is given that the kind does not take.
    pub(super) fn complete(&mut self) -> Result<(), ConfigError> {
        let defaults = self.kind.defaults();
        for (key, value) in [
            ("schedule.beta_min", &mut self.beta_min),
            ("schedule.beta_max", &mut self.beta_max),
            ("schedule.sigma_min", &mut self.sigma_min),
            ("schedule.sigma_max", &mut self.sigma_max),
            ("schedule.time_min", &mut self.time_min),
        ] {
            match (defaults.iter().find(|(known, _)| *known == key), &value) {
                (Some((_, default)), None) => *value = Some(*default),
                (None, Some(given)) => return Err(self.kind.does_not_take(key, given.to_string())),
                _ => {}
            }
        }
        if self.zero_terminal_snr && !self.kind.is_discrete() {
            let allowed =
                "false, or a schedule.kind with steps: \"linear\", \"cosine\" or \"betas\"";
            let (value, allowed) = ("true".to_owned(), allowed.to_owned());
            return Err(ConfigError::Unfit { key: "schedule.zero_terminal_snr", value, allowed });
        }
        if self.kind == ScheduleKind::Betas || self.betas.is_empty() {
            return Ok(());
        }
        let value = format!("a list of {}", self.betas.len());
        let allowed = "no betas, or schedule.kind = \"betas\"".to_owned();
        Err(ConfigError::Unfit { key: "schedule.betas", value, allowed })
    }
}

/// What a schedule is: the first three are tables, the others run in continuous time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// In equal steps from `beta_start` to `beta_end`.
    Linear,
    /// From the squared cosine of Nichol and Dhariwal.
    Cosine,
    /// As listed.
    Betas,
    /// Variance-preserving, with a rate that grows in a line from `beta_min` to `beta_max`.
    VpLinear,
    /// Variance-preserving, the squared cosine of Nichol and Dhariwal.
    VpCosine,
    /// The signal of `VpLinear` with less noise.
    SubVp,
    /// Variance-exploding, with noise that grows geometrically from `sigma_min` to `sigma_max`.
    Ve,
    /// The time is the noise, from `sigma_min` to `sigma_max`.
    Edm,
}

impl ScheduleKind {
    /// Whether it is a table of steps.
    pub(crate) fn is_discrete(self) -> bool {
        matches!(self, Self::Linear | Self::Cosine | Self::Betas)
    }

    /// The keys that continuous kinds take, each with the value it was published with.
    fn defaults(self) -> &'static [(&'static str, f64)] {
        // Song et al. 2021, appendix C, and the code released with it, which trains from 1e-5
        const TIME_MIN: (&str, f64) = ("schedule.time_min", 1e-5);
        match self {
            Self::Linear | Self::Cosine | Self::Betas => &[],
            Self::VpCosine => &[TIME_MIN],
            Self::VpLinear | Self::SubVp => {
                &[("schedule.beta_min", 0.1), ("schedule.beta_max", 20.0), TIME_MIN]
            }
            Self::Ve => &[("schedule.sigma_min", 0.01), ("schedule.sigma_max", 50.0), TIME_MIN],
            // Karras et al. 2022, table 1
            Self::Edm => &[("schedule.sigma_min", 0.002), ("schedule.sigma_max", 80.0)],
        }
    }

    fn does_not_take(self, key: &'static str, value: String) -> ConfigError {
        let takes: Vec<_> = self.defaults().iter().map(|(key, _)| *key).collect();
        let takes = if takes.is_empty() { "none".to_owned() } else { takes.join(", ") };
        let allowed = format!(
            "no such key: of those of continuous schedules schedule.kind = \"{}\" takes {takes}",
            self.name()
        );
        ConfigError::Unfit { key, value, allowed }
    }

    /// The word for it in a configuration.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Betas => "betas",
            Self::VpLinear => "vp_linear",
            Self::VpCosine => "vp_cosine",
            Self::SubVp => "sub_vp",
            Self::Ve => "ve",
            Self::Edm => "edm",
        }
    }
}
