//! The configuration of a network, in the words of diffusers' `config.json`.

use serde::{Deserialize, Serialize};

use super::levels::IMAGE;
use crate::{ActivationFunction, UNetError};

/// A level on the way down, `down_block_types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DownBlockType {
    /// Residual blocks.
    #[serde(rename = "DownBlock2D")]
    Down,
    /// Residual blocks with attention behind each.
    #[serde(rename = "AttnDownBlock2D")]
    AttnDown,
    /// Residual blocks, and the input image filtered down beside them.
    #[serde(rename = "SkipDownBlock2D")]
    SkipDown,
    /// As the last, with attention behind each block.
    #[serde(rename = "AttnSkipDownBlock2D")]
    AttnSkipDown,
    /// Residual blocks, one of which halves the size.
    #[serde(rename = "ResnetDownsampleBlock2D")]
    ResnetDown,
}

/// A level on the way up, `up_block_types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UpBlockType {
    /// Residual blocks.
    #[serde(rename = "UpBlock2D")]
    Up,
    /// Residual blocks with attention behind each.
    #[serde(rename = "AttnUpBlock2D")]
    AttnUp,
    /// Residual blocks, and an image growing beside them that is added to the output.
    #[serde(rename = "SkipUpBlock2D")]
    SkipUp,
    /// As the last, with attention behind the last block.
    #[serde(rename = "AttnSkipUpBlock2D")]
    AttnSkipUp,
    /// Residual blocks, one of which doubles the size.
    #[serde(rename = "ResnetUpsampleBlock2D")]
    ResnetUp,
}

/// The middle, `mid_block_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MidBlockType {
    /// Residual block, attention, residual block.
    UNetMidBlock2D,
}

/// How time is embedded, `time_embedding_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeEmbedding {
    /// Sines and cosines.
    Positional,
    /// Sines and cosines of the logarithm at random frequencies; the output is divided by the time.
    Fourier,
    /// A learned row for every time.
    Learned,
}

/// What class labels go through where it is not a table, `class_embed_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassEmbedding {
    /// The features of time and two linear layers.
    Timestep,
    /// Nothing: labels are vectors as wide as the embedding.
    Identity,
}

/// How a residual block is told the time, `resnet_time_scale_shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeScaleShift {
    /// Added before the second norm.
    Default,
    /// As factor and summand after the second norm.
    ScaleShift,
}

/// How levels with attention change the size, `downsample_type` and `upsample_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resampling {
    /// A convolution, as plain levels always do.
    Conv,
    /// A residual block.
    Resnet,
}

/// Most rows of a table of times: the longest chain that is read.
const MOST_TIMES: i64 = 1_000_000;

/// As diffusers, takes null for the default.
fn or_convolution<'de, D: serde::Deserializer<'de>>(values: D) -> Result<Resampling, D::Error> {
    Ok(Option::deserialize(values)?.unwrap_or(Resampling::Conv))
}

/// Everything a [`UNet`](crate::UNet) is built from. Fields are diffusers', and so are the defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UNetConfig {
    /// Height and width it was trained on, for information.
    pub sample_size: Option<serde_json::Value>,
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Whether the input x in [0, 1] becomes 2 x - 1 first.
    pub center_input_sample: bool,
    /// How time is embedded.
    pub time_embedding_type: TimeEmbedding,
    /// Width of the embedding; `None`: four times the first of `block_out_channels`.
    pub time_embedding_dim: Option<i64>,
    /// Subtracted from the number of frequencies in their exponent.
    pub freq_shift: f64,
    /// Whether cosines come before sines.
    pub flip_sin_to_cos: bool,
    /// Levels on the way down.
    pub down_block_types: Vec<DownBlockType>,
    /// The middle, if there is one.
    pub mid_block_type: Option<MidBlockType>,
    /// Levels on the way up, the deepest first.
    pub up_block_types: Vec<UpBlockType>,
    /// Channels of every level.
    pub block_out_channels: Vec<i64>,
    /// Residual blocks of a level on the way down; going up there is one more.
    pub layers_per_block: usize,
    /// The middle divides every sum of two branches by this.
    pub mid_block_scale_factor: f64,
    /// Padding of the downsampling convolution: 1 on all sides, or 0 for one row and column below
    /// and right.
    pub downsample_padding: i64,
    /// How levels with attention halve the size.
    #[serde(deserialize_with = "or_convolution")]
    pub downsample_type: Resampling,
    /// How levels with attention double the size.
    #[serde(deserialize_with = "or_convolution")]
    pub upsample_type: Resampling,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// Non-linearity of the residual blocks.
    pub act_fn: ActivationFunction,
    /// Channels of an attention head; `None`: one head of all channels.
    pub attention_head_dim: Option<i64>,
    /// Groups of a norm; `None`, where all levels are skip levels: a quarter of its channels, at most
    /// 32. Skip levels always have so many.
    pub norm_num_groups: Option<i64>,
    /// Groups of the norm before the middle attention, where they differ.
    pub attn_norm_num_groups: Option<i64>,
    /// Added to the variance in every norm.
    pub norm_eps: f64,
    /// How a residual block is told the time.
    pub resnet_time_scale_shift: TimeScaleShift,
    /// Whether the middle has attention.
    pub add_attention: bool,
    /// What class labels go through where it is not a table.
    pub class_embed_type: Option<ClassEmbedding>,
    /// Rows of the table of class embeddings.
    pub num_class_embeds: Option<i64>,
    /// Rows of the table of a learned time embedding.
    pub num_train_timesteps: Option<i64>,
}

impl Default for UNetConfig {
    fn default() -> Self {
        use DownBlockType::{AttnDown, Down};
        use UpBlockType::{AttnUp, Up};
        Self {
            sample_size: None,
            in_channels: 3,
            out_channels: 3,
            center_input_sample: false,
            time_embedding_type: TimeEmbedding::Positional,
            time_embedding_dim: None,
            freq_shift: 0.0,
            flip_sin_to_cos: true,
            down_block_types: vec![Down, AttnDown, AttnDown, AttnDown],
            mid_block_type: Some(MidBlockType::UNetMidBlock2D),
            up_block_types: vec![AttnUp, AttnUp, AttnUp, Up],
            block_out_channels: vec![224, 448, 672, 896],
            layers_per_block: 2,
            mid_block_scale_factor: 1.0,
            downsample_padding: 1,
            downsample_type: Resampling::Conv,
            upsample_type: Resampling::Conv,
            dropout: 0.0,
            act_fn: ActivationFunction::Silu,
            attention_head_dim: Some(8),
            norm_num_groups: Some(32),
            attn_norm_num_groups: None,
            norm_eps: 1e-5,
            resnet_time_scale_shift: TimeScaleShift::Default,
            add_attention: true,
            class_embed_type: None,
            num_class_embeds: None,
            num_train_timesteps: None,
        }
    }
}

impl UNetConfig {
    /// Reads diffusers' `config.json`. Keys that begin with an underscore are notes of diffusers.
    ///
    /// # Errors
    /// If it is no JSON object, is of another class, has a key or value that is not supported, or a
    /// value out of range; the error names the key, the value and what is allowed.
    pub fn from_json(text: &str) -> Result<Self, UNetError> {
        let root = |reason| UNetError::Config { key: ".".to_owned(), reason };
        Self::from_values(serde_json::from_str(text).map_err(root)?)
    }

    /// Reads the entries of diffusers' `config.json`, as [`UNetConfig::from_json`] does.
    ///
    /// # Errors
    /// As there.
    pub fn from_values(
        mut values: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, UNetError> {
        if let Some(class) = values.get("_class_name").filter(|class| *class != "UNet2DModel") {
            return Err(UNetError::Class { class: class.as_str().unwrap_or("?").to_owned() });
        }
        values.retain(|key, _| !key.starts_with('_'));
        for key in ["down_block_types", "up_block_types"] {
            let types = values.get_mut(key).and_then(serde_json::Value::as_array_mut);
            types.into_iter().flatten().for_each(without_old_prefix);
        }
        let config: Self = serde_path_to_error::deserialize(serde_json::Value::Object(values))
            .map_err(|error| UNetError::Config {
                key: error.path().to_string(),
                reason: error.into_inner(),
            })?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges and that the lists go together; the norms' groups are checked when building.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), UNetError> {
        let levels = self.block_out_channels.len();
        let half = self.block_out_channels.first().map_or(0, |c| c / 2) as f64;
        let positional = self.time_embedding_type == TimeEmbedding::Positional;
        let learned = self.time_embedding_type == TimeEmbedding::Learned;
        let lengths = format!("{levels} entries, one for each of block_out_channels");
        let list = |list: &dyn std::fmt::Debug| format!("{list:?}");
        let sized = |channels: i64| (1..=1 << 20).contains(&channels);
        let positive = |value: Option<i64>| value.is_none_or(|value| value > 0);
        let optional = |value: Option<i64>| value.map_or("null".to_owned(), |v| v.to_string());
        let checks = [
            (sized(self.in_channels), "in_channels", self.in_channels.to_string(), "1 to 2^20"),
            (sized(self.out_channels), "out_channels", self.out_channels.to_string(), "1 to 2^20"),
            (
                levels > 0
                    && levels < 32
                    && self.block_out_channels.iter().all(|c| (2..=1 << 20).contains(c)),
                "block_out_channels",
                list(&self.block_out_channels),
                "1 to 31 numbers from 2 to 2^20",
            ),
            (
                self.down_block_types.len() == levels,
                "down_block_types",
                list(&self.down_block_types),
                &lengths,
            ),
            (
                self.up_block_types.len() == levels,
                "up_block_types",
                list(&self.up_block_types),
                &lengths,
            ),
            (
                (1..=1024).contains(&self.layers_per_block),
                "layers_per_block",
                self.layers_per_block.to_string(),
                "1 to 1024",
            ),
            (
                self.mid_block_scale_factor.is_finite() && self.mid_block_scale_factor != 0.0,
                "mid_block_scale_factor",
                self.mid_block_scale_factor.to_string(),
                "a finite number other than 0",
            ),
            (
                (0.0..1.0).contains(&self.dropout),
                "dropout",
                self.dropout.to_string(),
                "a number in [0, 1)",
            ),
            (
                self.norm_eps.is_finite() && self.norm_eps >= 0.0,
                "norm_eps",
                self.norm_eps.to_string(),
                "a finite number, at least 0",
            ),
            (
                self.freq_shift.is_finite() && (!positional || self.freq_shift < half),
                "freq_shift",
                self.freq_shift.to_string(),
                "less than half of block_out_channels[0]",
            ),
            (
                positive(self.attention_head_dim),
                "attention_head_dim",
                optional(self.attention_head_dim),
                "null or at least 1",
            ),
            (
                positive(self.norm_num_groups),
                "norm_num_groups",
                optional(self.norm_num_groups),
                "null or at least 1",
            ),
            (
                positive(self.attn_norm_num_groups),
                "attn_norm_num_groups",
                optional(self.attn_norm_num_groups),
                "null or at least 1",
            ),
            (
                self.num_train_timesteps.is_none_or(|times| (1..=MOST_TIMES).contains(&times))
                    && (!learned || self.num_train_timesteps.is_some()),
                "num_train_timesteps",
                optional(self.num_train_timesteps),
                "from 1 to 1000000, and not null where time_embedding_type is learned",
            ),
            (
                positive(self.num_class_embeds),
                "num_class_embeds",
                optional(self.num_class_embeds),
                "null or at least 1",
            ),
            (
                self.sample_size.as_ref().is_none_or(|size| super::image_size(size).is_some()),
                "sample_size",
                self.sample_size.as_ref().map_or_else(String::new, ToString::to_string),
                "null, pixels of a side from 1 to 2^20, or [height, width] of such",
            ),
            (
                self.time_embedding_dim.is_none_or(|width| width >= 0),
                "time_embedding_dim",
                optional(self.time_embedding_dim),
                "null or at least 0",
            ),
        ];
        for (holds, key, value, allowed) in checks {
            if !holds {
                return Err(UNetError::Value { key, value, allowed: allowed.to_owned() });
            }
        }
        self.check_images_beside()
    }

    /// Whether the images beside the features of skip levels always have the features' size.
    fn check_images_beside(&self) -> Result<(), UNetError> {
        let levels = self.block_out_channels.len();
        let shrinks: Vec<bool> = (0..levels - 1).map(|level| self.shrinks_image(level)).collect();
        let draws: Vec<bool> = (0..levels - 1).map(|level| self.draws_image(level)).collect();
        let grows = draws.iter().any(|draws| *draws);
        let last = self.up_block_types[levels - 1];
        let ends = matches!(last, UpBlockType::SkipUp | UpBlockType::AttnSkipUp);
        let image = |channels: i64| channels == IMAGE;
        let checks = [
            (
                shrinks.is_sorted_by(|a, b| a >= b),
                "down_block_types",
                format!("{:?}", self.down_block_types),
                "skip levels before all others, the deepest level aside",
            ),
            (
                draws.is_sorted() && (!grows || ends),
                "up_block_types",
                format!("{:?}", self.up_block_types),
                "skip levels after all others",
            ),
            (
                image(self.in_channels) || !shrinks.contains(&true),
                "in_channels",
                self.in_channels.to_string(),
                "3 with skip levels going down",
            ),
            (
                image(self.out_channels) || !grows,
                "out_channels",
                self.out_channels.to_string(),
                "3 with skip levels going up",
            ),
        ];
        for (holds, key, value, allowed) in checks {
            if !holds {
                return Err(UNetError::Value { key, value, allowed: allowed.to_owned() });
            }
        }
        Ok(())
    }

    /// The width of the embedding of time and class.
    #[must_use]
    pub fn time_embedding_width(&self) -> i64 {
        // as in diffusers, 0 stands for none
        let stated = self.time_embedding_dim.filter(|width| *width != 0);
        stated.unwrap_or(4 * self.block_out_channels[0])
    }

    /// What must divide the height and width of the input: 2^(levels - 1).
    #[must_use]
    pub fn size_divisor(&self) -> i64 {
        1 << (self.block_out_channels.len() - 1)
    }
}

/// The present name of a type of levels that old configurations call `UNetRes...`.
fn without_old_prefix(name: &mut serde_json::Value) {
    if let Some(present) = name.as_str().and_then(|name| name.strip_prefix("UNetRes")) {
        *name = present.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(json: &str, want: &str) {
        let error = UNetConfig::from_json(json).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn errors_name_key_value_and_what_is_allowed() {
        check_error(
            r#"{"down_block_types": ["DownBlock2D", "KDownBlock2D"]}"#,
            "key `down_block_types[1]`",
        );
        check_error(
            r#"{"down_block_types": ["KDownBlock2D"]}"#,
            "unknown variant `KDownBlock2D`, expected one of `DownBlock2D`, `AttnDownBlock2D`",
        );
        check_error(
            r#"{"act_fn": "tanh"}"#,
            "key `act_fn`: unknown variant `tanh`, expected one of `silu`",
        );
        check_error(
            r#"{"in_channels": "three"}"#,
            "key `in_channels`: invalid type: string \"three\"",
        );
        check_error(r#"{"wings": 2}"#, "unknown field `wings`");
        check_error(
            r#"{"time_embedding_type": "rotary"}"#,
            "expected one of `positional`, `fourier`, `learned`",
        );
        check_error(r#"{"time_embedding_type": "learned"}"#, "`num_train_timesteps` is null");
        check_error(
            r#"{"time_embedding_type": "learned", "num_train_timesteps": 1125899906842624}"#,
            "from 1 to 1000000",
        );
        check_error(r#"{"block_out_channels": [8, 16]}"#, "expected 2 entries");
        check_error(r#"{"_class_name": "UNet2DConditionModel"}"#, "class `UNet2DConditionModel`");
        for size in ["-5", "0", "7.5", "[8, 8, 8]", "[8]", "[8, -8]", "\"8\"", "2097152"] {
            let said =
                format!("`sample_size` is {}, expected null, pixels", size.replace(", ", ","));
            check_error(&format!(r#"{{"sample_size": {size}}}"#), &said);
        }
        check_error("[]", "expected a map");
    }

    #[test]
    fn notes_and_defaults_are_those_of_diffusers() {
        let config =
            UNetConfig::from_json(r#"{"_class_name": "UNet2DModel", "_diffusers_version": "0"}"#);
        assert_eq!(config.unwrap(), UNetConfig::default());
        let unsaid = UNetConfig::from_json(r#"{"downsample_type": null, "upsample_type": null}"#);
        assert_eq!(unsaid.unwrap(), UNetConfig::default());
    }

    #[test]
    fn a_configuration_survives_json() {
        let config = UNetConfig { sample_size: Some(32.into()), ..UNetConfig::default() };
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(UNetConfig::from_json(&text).unwrap(), config);
    }
}
