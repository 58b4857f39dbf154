//! The configuration of ADM's networks: the arguments of their constructors.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UNetError;
use crate::families::groups::refuse_first;

/// How a classifier comes from features to classes, `pool`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdmPool {
    /// The mean over pixels, then a linear layer.
    Adaptive,
    /// Attention of the mean over all pixels.
    Attention,
    /// The means of the features behind every block, then two linear layers with `ReLU` between.
    Spatial,
    /// As the last, with norm and `SiLU` between.
    SpatialV2,
}

/// Everything that guided-diffusion's `UNetModel` is built from, by the names of its constructor's
/// arguments. improved-diffusion's network is the same with the arguments that it lacks left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdmConfig {
    /// Height and width of images; only the pool `attention` depends on it.
    pub image_size: i64,
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels that `channel_mult` multiplies.
    pub model_channels: i64,
    /// Channels of the output, twice those of the input where a variance was learned; classes of a
    /// classifier.
    pub out_channels: i64,
    /// Residual blocks of a level on the way down; going up there is one more.
    pub num_res_blocks: usize,
    /// The factors by which images are smaller where every block has attention behind it.
    pub attention_resolutions: Vec<i64>,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// Channels of every level, as multiples of `model_channels`, rounded down.
    pub channel_mult: Vec<f64>,
    /// Whether resampling has a convolution, where it is no residual block.
    pub conv_resample: bool,
    /// Dimensions of the signal; only images, 2, are supported.
    pub dims: i64,
    /// Number of classes that the network is told.
    pub num_classes: Option<i64>,
    /// Whether its authors trained it with gradient checkpointing; for information.
    pub use_checkpoint: bool,
    /// Whether its authors ran it in half precision; for information.
    pub use_fp16: bool,
    /// Attention heads.
    pub num_heads: i64,
    /// Channels of an attention head, which then decide their number; -1 for `num_heads`.
    pub num_head_channels: i64,
    /// Attention heads on the way up; -1 for `num_heads`.
    pub num_heads_upsample: i64,
    /// Whether the embedding is factor and summand after the second norm, or added before it.
    pub use_scale_shift_norm: bool,
    /// Whether residual blocks change the size.
    pub resblock_updown: bool,
    /// Whether queries, keys and values stand before heads, or within them.
    pub use_new_attention_order: bool,
}

impl Default for AdmConfig {
    fn default() -> Self {
        Self {
            image_size: 64,
            in_channels: 3,
            model_channels: 128,
            out_channels: 3,
            num_res_blocks: 2,
            attention_resolutions: vec![4, 8],
            dropout: 0.0,
            channel_mult: vec![1.0, 2.0, 3.0, 4.0],
            conv_resample: true,
            dims: 2,
            num_classes: None,
            use_checkpoint: false,
            use_fp16: false,
            num_heads: 1,
            num_head_channels: -1,
            num_heads_upsample: -1,
            use_scale_shift_norm: false,
            resblock_updown: false,
            use_new_attention_order: false,
        }
    }
}

/// Everything that guided-diffusion's `EncoderUNetModel` is built from: a classifier of noisy images,
/// which is the way down and the middle of the other network, and a pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct AdmEncoderConfig {
    /// The way down and the middle.
    pub trunk: AdmConfig,
    /// What follows.
    pub pool: AdmPool,
}

impl TryFrom<Map<String, Value>> for AdmEncoderConfig {
    type Error = UNetError;

    fn try_from(mut values: Map<String, Value>) -> Result<Self, UNetError> {
        let pool = values.remove("pool").unwrap_or_else(|| "adaptive".into());
        let pool = AdmPool::deserialize(pool)
            .map_err(|reason| UNetError::Config { key: "pool".to_owned(), reason })?;
        Ok(Self { trunk: read(values)?, pool })
    }
}

impl From<AdmEncoderConfig> for Map<String, Value> {
    fn from(config: AdmEncoderConfig) -> Self {
        let values = serde_json::to_value(&config.trunk).unwrap_or_default();
        let mut values = values.as_object().cloned().unwrap_or_default();
        values.insert("pool".to_owned(), serde_json::to_value(config.pool).unwrap_or_default());
        values
    }
}

fn read(values: Map<String, Value>) -> Result<AdmConfig, UNetError> {
    serde_path_to_error::deserialize(Value::Object(values)).map_err(|error| UNetError::Config {
        key: error.path().to_string(),
        reason: error.into_inner(),
    })
}

impl AdmConfig {
    /// Reads the arguments of the constructor.
    ///
    /// # Errors
    /// If a key or value is unknown, or a value out of range; the error names them.
    pub fn from_values(values: Map<String, Value>) -> Result<Self, UNetError> {
        let config = read(values)?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges; what only a layer can tell is checked when one is built or counted.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), UNetError> {
        let channels = |channels: i64| (1..=1 << 20).contains(&channels);
        let levels = self.channel_mult.len();
        let widths = (0..levels).all(|level| channels(self.width(level)));
        let heads = |heads: i64| heads == -1 || (1..=1 << 20).contains(&heads);
        let drops = (0.0..1.0).contains(&self.dropout);
        let classes = self.num_classes.unwrap_or(1);
        let blocks = (1..=1024).contains(&self.num_res_blocks);
        let model = self.model_channels > 1 && channels(self.model_channels);
        refuse_first([
            (channels(self.image_size), "image_size", &self.image_size, "1 to 2^20"),
            (channels(self.in_channels), "in_channels", &self.in_channels, "1 to 2^20"),
            (model, "model_channels", &self.model_channels, "2 to 2^20"),
            (channels(self.out_channels), "out_channels", &self.out_channels, "1 to 2^20"),
            (blocks, "num_res_blocks", &self.num_res_blocks, "1 to 1024"),
            (drops, "dropout", &self.dropout, "a number in [0, 1)"),
            (
                (1..32).contains(&levels) && widths,
                "channel_mult",
                &self.channel_mult,
                "1 to 31 numbers that give 1 to 2^20 channels",
            ),
            (self.dims == 2, "dims", &self.dims, "2"),
            (classes > 0, "num_classes", &classes, "null or at least 1"),
            (channels(self.num_heads), "num_heads", &self.num_heads, "at least 1"),
            (
                heads(self.num_head_channels),
                "num_head_channels",
                &self.num_head_channels,
                "-1 or at least 1",
            ),
            (
                heads(self.num_heads_upsample),
                "num_heads_upsample",
                &self.num_heads_upsample,
                "-1 or at least 1",
            ),
        ])
    }

    /// Channels of a level.
    pub(super) fn width(&self, level: usize) -> i64 {
        (self.channel_mult[level] * self.model_channels as f64) as i64
    }
}

impl AdmEncoderConfig {
    /// Reads the arguments of the constructor.
    ///
    /// # Errors
    /// If a key or value is unknown, or a value out of range; the error names them.
    pub fn from_values(values: Map<String, Value>) -> Result<Self, UNetError> {
        let config = Self::try_from(values)?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges; what only a layer can tell is checked when one is built or counted.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), UNetError> {
        self.trunk.check()?;
        let attends = self.pool == AdmPool::Attention;
        let classes = self.trunk.num_classes.unwrap_or(0);
        refuse_first([
            (self.trunk.num_classes.is_none(), "num_classes", &classes, "none"),
            (
                !attends || self.trunk.num_head_channels > 0,
                "num_head_channels",
                &self.trunk.num_head_channels,
                "at least 1 with the pool `attention`",
            ),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArchitectureConfig, UNet};
    use serde_json::json;

    #[track_caller]
    fn check_error(values: Value, want: &str) {
        let config = ArchitectureConfig::from_values(values.as_object().unwrap().clone());
        let error = config.and_then(|config| UNet::count_parameters(&config)).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    }

    #[test]
    fn errors_name_key_value_and_what_is_allowed() {
        check_error(json!({"family": "adm", "wings": 2}), "unknown field `wings`");
        check_error(json!({"family": "adm", "pool": "spatial"}), "unknown field `pool`");
        check_error(json!({"family": "adm", "dims": 3}), "`dims` is 3, expected 2");
        check_error(
            json!({"family": "adm", "num_heads": 3}),
            "`num_heads` is 3, expected a divisor",
        );
        check_error(
            json!({"family": "adm", "num_head_channels": 48}),
            "`num_head_channels` is 48, expected a divisor",
        );
        check_error(json!({"family": "adm", "model_channels": 40}), "a multiple of its 32 groups");
        check_error(json!({"family": "adm", "channel_mult": [1, 1e300]}), "`channel_mult`");
        check_error(
            json!({"family": "adm-encoder", "pool": "maximum"}),
            "unknown variant `maximum`, expected one of `adaptive`",
        );
        check_error(
            json!({"family": "adm-encoder", "pool": "attention"}),
            "`num_head_channels` is -1, expected at least 1 with the pool `attention`",
        );
        check_error(json!({"family": "adm-encoder", "num_classes": 3}), "`num_classes` is 3");
    }

    #[test]
    fn configurations_survive_json() {
        let trunk = AdmConfig::default();
        let encoder = AdmEncoderConfig { trunk: trunk.clone(), pool: AdmPool::SpatialV2 };
        for config in [ArchitectureConfig::Adm(trunk), ArchitectureConfig::AdmEncoder(encoder)] {
            let values = serde_json::to_value(&config).unwrap();
            let values = values.as_object().unwrap().clone();
            assert_eq!(ArchitectureConfig::from_values(values).unwrap(), config);
        }
    }
}
