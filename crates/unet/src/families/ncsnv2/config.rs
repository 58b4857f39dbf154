//! The configuration of `NCSNv2`, in its own groups and words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UNetError;
use crate::families::groups::{read_groups, refuse_first};
use crate::families::nonlinearity::Nonlinearity;

/// How deep the network is. It follows from the size of the images where it is not stated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NcsnV2Depth {
    /// Four levels, one of them halved: for images narrower than 96 pixels.
    #[serde(rename = "NCSNv2")]
    Plain,
    /// Five levels, two of them halved: up to 128 pixels.
    #[serde(rename = "NCSNv2Deeper")]
    Deeper,
    /// Six levels, three of them halved: above.
    #[serde(rename = "NCSNv2Deepest")]
    Deepest,
}

/// What stands before every convolution of a residual block, `normalization`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum NcsnV2Norm {
    /// Every channel of every image has mean 0 and variance 1, and then a part of the means' pattern
    /// over channels is added again.
    #[default]
    #[serde(rename = "InstanceNorm++")]
    InstancePlus,
    /// Every channel of every image has mean 0 and variance 1.
    #[serde(rename = "InstanceNorm")]
    Instance,
    /// Every channel of every image is divided by its deviation.
    #[serde(rename = "VarianceNorm")]
    Variance,
    /// Every channel is normalised by moments over the batch in training, and by their running
    /// averages otherwise.
    #[serde(rename = "BatchNorm")]
    Batch,
    /// Nothing.
    #[serde(rename = "NoneNorm")]
    Nothing,
}

/// How noise levels are spaced, `sigma_dist`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SigmaDistribution {
    /// In equal ratios.
    #[default]
    Geometric,
    /// In equal steps.
    Uniform,
}

/// What the network reads of the group `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcsnV2Data {
    /// Height and width of the images, which says how deep the network is.
    pub image_size: i64,
    /// Channels of the images.
    pub channels: i64,
    /// Whether images are logits of brightness.
    pub logit_transform: bool,
    /// Whether images come in [-1, 1]. Where neither holds, x in [0, 1] becomes 2 x - 1 first.
    pub rescaled: bool,
}

impl Default for NcsnV2Data {
    fn default() -> Self {
        Self { image_size: 32, channels: 3, logit_transform: false, rescaled: false }
    }
}

/// What the network reads of the group `model`. Defaults are those of its CIFAR-10 network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcsnV2Model {
    /// Channels of the first convolution.
    pub ngf: i64,
    /// How many noise levels there are.
    pub num_classes: i64,
    /// The greatest of the noise levels, which comes first.
    pub sigma_begin: f64,
    /// The least of the noise levels.
    pub sigma_end: f64,
    /// How noise levels are spaced.
    pub sigma_dist: SigmaDistribution,
    /// What stands before every convolution of a residual block.
    pub normalization: NcsnV2Norm,
    /// The non-linearity.
    pub nonlinearity: Nonlinearity,
}

impl Default for NcsnV2Model {
    fn default() -> Self {
        // Song and Ermon 2020, app. B
        Self {
            ngf: 128,
            num_classes: 232,
            sigma_begin: 50.0,
            sigma_end: 0.01,
            sigma_dist: SigmaDistribution::default(),
            normalization: NcsnV2Norm::default(),
            nonlinearity: Nonlinearity::Elu,
        }
    }
}

/// Everything `NCSNv2` is built from (Song and Ermon 2020, app. B), in its groups and words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NcsnV2Config {
    /// What the network reads of the group `data`.
    pub data: NcsnV2Data,
    /// What the network reads of the group `model`.
    pub model: NcsnV2Model,
    /// How deep the network is; `None`: as deep as the size of the images asks for.
    pub class: Option<NcsnV2Depth>,
}

/// Keys of the group `model` that no network of these reads.
const UNREAD: [&str; 5] = ["batch_norm", "ema", "ema_rate", "name", "spec_norm"];

/// Keys that the peer reads.
const READ: [&str; 11] = [
    "data.image_size",
    "data.channels",
    "data.logit_transform",
    "data.rescaled",
    "model.ngf",
    "model.num_classes",
    "model.sigma_begin",
    "model.sigma_end",
    "model.sigma_dist",
    "model.normalization",
    "model.nonlinearity",
];

impl NcsnV2Config {
    /// Reads the groups `data` and `model` of a configuration of `NCSNv2`; other groups, and keys that
    /// have nothing to do with the network, may be there.
    ///
    /// # Errors
    /// If a key that the network depends on is missing (all that are, are named), a key of `model` is
    /// unknown, or a value is not supported or out of range.
    pub fn from_values(values: Map<String, Value>) -> Result<Self, UNetError> {
        let config: Self = read_groups(values, &READ, &UNREAD)?;
        config.check()?;
        Ok(config)
    }

    /// How deep the network is.
    #[must_use]
    pub fn depth(&self) -> NcsnV2Depth {
        self.class.unwrap_or(match self.data.image_size {
            ..96 => NcsnV2Depth::Plain,
            96..=128 => NcsnV2Depth::Deeper,
            _ => NcsnV2Depth::Deepest,
        })
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// The first value that is out of range, with what is allowed.
    pub fn check(&self) -> Result<(), UNetError> {
        let Self { data, model, .. } = self;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        // One mean over channels has no variance.
        let spread = model.normalization != NcsnV2Norm::InstancePlus || model.ngf > 1;
        let levels = (1..=1_000_000).contains(&model.num_classes);
        refuse_first([
            (
                (1..=1 << 20).contains(&data.image_size),
                "data.image_size",
                &data.image_size,
                "1 to 2^20",
            ),
            ((1..1 << 16).contains(&data.channels), "data.channels", &data.channels, "1 to 65535"),
            (
                (1..1 << 20).contains(&model.ngf) && spread,
                "model.ngf",
                &model.ngf,
                "at least 1, or 2 where model.normalization is InstanceNorm++",
            ),
            (levels, "model.num_classes", &model.num_classes, "1 to 1000000"),
            (positive(model.sigma_begin), "model.sigma_begin", &model.sigma_begin, "above 0"),
            (positive(model.sigma_end), "model.sigma_end", &model.sigma_end, "above 0"),
        ])
    }
}
