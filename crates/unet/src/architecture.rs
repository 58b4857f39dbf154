//! Which network it is: the configuration of one of the families.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UNetError;
use crate::builder::{Builder, Gathering};
use crate::families::adm::{AdmConfig, AdmEncoderConfig};
use crate::families::diffusers::UNetConfig;
use crate::families::ncsnv2::NcsnV2Config;
use crate::families::score_sde::ScoreSdeConfig;
use crate::input::check_size;
use crate::outline::{LayerOutline, Shape, outline};
use crate::program::Program;
use crate::unet::check_count;

/// What a network is built from: the configuration of one family, in the words of its peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ArchitectureConfig {
    /// diffusers' `UNet2DModel`.
    Diffusers(UNetConfig),
    /// guided-diffusion's and improved-diffusion's `UNetModel`.
    Adm(AdmConfig),
    /// guided-diffusion's `EncoderUNetModel`, a classifier of noisy images.
    AdmEncoder(AdmEncoderConfig),
    /// NCSN++, DDPM++ and DDPM of `score_sde`.
    ScoreSde(ScoreSdeConfig),
    /// `NCSNv2`.
    #[serde(rename = "ncsnv2")]
    NcsnV2(NcsnV2Config),
}

impl From<AdmConfig> for ArchitectureConfig {
    fn from(config: AdmConfig) -> Self {
        Self::Adm(config)
    }
}

impl From<AdmEncoderConfig> for ArchitectureConfig {
    fn from(config: AdmEncoderConfig) -> Self {
        Self::AdmEncoder(config)
    }
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

    /// The number of pixels that the input must have, where the network is made for one.
    fn pixels(&self) -> Option<i64> {
        None
    }

    /// What labels the network takes.
    fn labels(&self) -> Labels;

    /// How times are looked up, where the network takes them for indices.
    fn time_indices(&self) -> Option<TimeIndices> {
        None
    }

    /// The present name of a parameter, where older checkpoints called it otherwise.
    fn present_name(&self, name: &str) -> String {
        name.to_owned()
    }

    /// Lays out the network; values that do not fit its layers are rejected through the builder.
    fn program(&self, b: &mut Builder<'_>) -> Program;
}

/// The indices that a network takes for times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeIndices {
    /// They are below this.
    pub(crate) count: i64,
    /// Whether what is between them is refused; otherwise the index before it is looked up.
    pub(crate) whole: bool,
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
            Self::Adm(config) => config,
            Self::AdmEncoder(config) => config,
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
            Some("adm") => Self::Adm(AdmConfig::from_values(values)?),
            Some("adm-encoder") => Self::AdmEncoder(AdmEncoderConfig::from_values(values)?),
            Some("score-sde") => Self::ScoreSde(ScoreSdeConfig::from_values(values)?),
            Some("ncsnv2") => Self::NcsnV2(NcsnV2Config::from_values(values)?),
            _ => {
                let known = ["diffusers", "adm", "adm-encoder", "score-sde", "ncsnv2"];
                let allowed = format!("one of {known:?}");
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

    /// The layers for images of this height and width, in the order in which they run, with what they
    /// cost; found without making the network.
    ///
    /// # Errors
    /// If a value of the configuration is out of range or does not fit another, the network does not take
    /// images of this size, or would be larger than any memory.
    pub fn layers(&self, [height, width]: [i64; 2]) -> Result<Vec<LayerOutline>, UNetError> {
        self.check()?;
        check_size([height, width], self.family())?;
        let mut gathering = Gathering::shapes();
        let program = self.family().program(&mut gathering.root());
        check_count(gathering.count)?;
        let (parameters, _) = gathering.finish()?;
        let image = Shape { channels: self.in_channels(), height, width };
        Ok(outline(&program, &parameters, image))
    }

    /// Channels of the output; classes of a classifier.
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

    /// Whether the network is told numbers or vectors where others are told classes: `class_embed_type` of
    /// diffusers.
    #[must_use]
    pub fn takes_other_labels(&self) -> bool {
        matches!(self.family().labels(), Labels::Numbers | Labels::Vectors(_))
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
