//! Which network it is: the configuration of one of the families.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UNetError;
use crate::builder::Builder;
use crate::families::diffusers::UNetConfig;
use crate::families::ncsnv2::NcsnV2Config;
use crate::families::score_sde::ScoreSdeConfig;
use crate::program::Program;

/// What a network is built from: the configuration of one family, in the words of its peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ArchitectureConfig {
    /// diffusers' `UNet2DModel`.
    Diffusers(UNetConfig),
    /// NCSN++, DDPM++ and DDPM of `score_sde`.
    ScoreSde(ScoreSdeConfig),
    /// `NCSNv2`.
    #[serde(rename = "ncsnv2")]
    NcsnV2(NcsnV2Config),
}

impl From<ScoreSdeConfig> for ArchitectureConfig {
    fn from(config: ScoreSdeConfig) -> Self {
        Self::ScoreSde(config)
    }
}

impl From<NcsnV2Config> for ArchitectureConfig {
    fn from(config: NcsnV2Config) -> Self {
        Self::NcsnV2(config)
    }
}

impl From<UNetConfig> for ArchitectureConfig {
    fn from(config: UNetConfig) -> Self {
        Self::Diffusers(config)
    }
}

/// What a family's configuration has to answer, and the one function that lays out its network.
pub(crate) trait Family {
    /// Checks ranges, and that values go together, as far as no layer is needed to tell.
    fn check(&self) -> Result<(), UNetError>;

    fn in_channels(&self) -> i64;

    fn out_channels(&self) -> i64;

    /// Height and width that the network was made for, where the configuration says.
    fn image_size(&self) -> Option<[i64; 2]>;

    /// What must divide the height and width of the input.
    fn size_divisor(&self) -> i64;

    /// What labels the network takes.
    fn labels(&self) -> Labels;

    /// The number of times the network knows, where it takes their indices only.
    fn time_indices(&self) -> Option<i64> {
        None
    }

    /// The present name of a parameter, where older checkpoints called it otherwise.
    fn present_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Lays out the network; values that do not fit its layers are rejected through the builder.
    fn program(&self, b: &mut Builder<'_>) -> Program;
}

/// What a network wants to be told beside the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// Nothing.
    None,
    /// One of so many classes a sample.
    Classes(i64),
    /// One number a sample.
    Numbers,
    /// A vector of this width a sample.
    Vectors(i64),
}

impl ArchitectureConfig {
    pub(crate) fn family(&self) -> &dyn Family {
        match self {
            Self::Diffusers(config) => config,
            Self::ScoreSde(config) => config,
            Self::NcsnV2(config) => config,
        }
    }

    /// Reads a configuration out of JSON: the name of the family under `family`, and the family's own
    /// keys.
    ///
    /// # Errors
    /// If the family, a key or a value is unknown, or a value out of range; the error names them.
    pub fn from_values(mut values: Map<String, Value>) -> Result<Self, UNetError> {
        let family = values.remove("family").unwrap_or_default();
        Ok(match family.as_str() {
            Some("diffusers") => Self::Diffusers(UNetConfig::from_values(values)?),
            Some("score-sde") => Self::ScoreSde(ScoreSdeConfig::from_values(values)?),
            Some("ncsnv2") => Self::NcsnV2(NcsnV2Config::from_values(values)?),
            _ => {
                let allowed = "\"diffusers\", \"score-sde\" or \"ncsnv2\"".to_owned();
                return Err(UNetError::Value { key: "family", value: family.to_string(), allowed });
            }
        })
    }

    /// The name of the family, as configurations say it.
    #[must_use]
    pub fn family_name(&self) -> String {
        let values = serde_json::to_value(self).unwrap_or_default();
        values.get("family").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Checks ranges and that values go together; what only a layer can tell is checked when one is
    /// built or counted.
    ///
    /// # Errors
    /// The first value that is out of range, with what is allowed.
    pub fn check(&self) -> Result<(), UNetError> {
        self.family().check()
    }

    /// Channels of the input.
    #[must_use]
    pub fn in_channels(&self) -> i64 {
        self.family().in_channels()
    }

    /// Channels of the output.
    #[must_use]
    pub fn out_channels(&self) -> i64 {
        self.family().out_channels()
    }

    /// Rows of the table of class embeddings, one of them perhaps for "no class"; `None` where
    /// labels are not indices of classes.
    #[must_use]
    pub fn classes(&self) -> Option<i64> {
        match self.family().labels() {
            Labels::Classes(classes) => Some(classes),
            _ => None,
        }
    }

    /// Height and width that the network was made for, where the configuration says so.
    #[must_use]
    pub fn image_size(&self) -> Option<[i64; 2]> {
        self.family().image_size()
    }

    /// What must divide the height and width of the input.
    #[must_use]
    pub fn size_divisor(&self) -> i64 {
        self.family().size_divisor()
    }
}
