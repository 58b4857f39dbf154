//! The `[network]` table of a training configuration.

use serde::{Deserialize, Serialize};

use crate::{DownBlockType, Precision, UNetConfig, UNetError, UpBlockType};

/// The choices that distinguish one DDPM U-Net from another; the rest is as published
/// (Ho et al. 2020, App. B): sines before cosines, norms with eps 1e-6, downsampling padded below
/// and right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels of the first level.
    pub channels: i64,
    /// Channels of every level, as multiples of `channels`; each level halves the size.
    pub multipliers: Vec<i64>,
    /// Residual blocks of a level on the way down.
    pub blocks: usize,
    /// Image heights, in pixels, at which every residual block has attention behind it. The middle
    /// always has attention.
    pub attention_resolutions: Vec<i64>,
    /// Channels of an attention head; without it there is one head of all channels.
    pub head_channels: Option<i64>,
    /// Groups of every norm.
    pub groups: i64,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// Number of classes of a class-conditional network. One row is added to the table of class
    /// embeddings, the last, for the null class: no class stated.
    pub classes: Option<i64>,
    /// Whether the network has as many channels out again, for a learned variance.
    pub learned_variance: bool,
    /// What the network computes in.
    pub precision: Precision,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            channels: 32,
            multipliers: vec![1, 2],
            blocks: 2,
            attention_resolutions: Vec::new(),
            head_channels: None,
            groups: 8,
            dropout: 0.0,
            classes: None,
            learned_variance: false,
            precision: Precision::F32,
        }
    }
}

impl NetworkConfig {
    /// The network for images of the given size, [channels, height, width].
    ///
    /// # Errors
    /// If a value is out of range, or the image cannot be halved as often as there are levels.
    pub fn unet(&self, image: [i64; 3]) -> Result<UNetConfig, UNetError> {
        let [image_channels, height, width] = image;
        self.check()?;
        let levels = self.multipliers.len();
        let divisor = 1i64 << (levels - 1);
        if height % divisor != 0 || width % divisor != 0 {
            return Err(UNetError::InputSize { height, width, divisor });
        }
        let attends = self.attending_levels(height)?;
        let down = |attends: &bool| match attends {
            true => DownBlockType::AttnDown,
            false => DownBlockType::Down,
        };
        let up = |attends: &bool| if *attends { UpBlockType::AttnUp } else { UpBlockType::Up };
        let config = UNetConfig {
            sample_size: Some(serde_json::json!([height, width])),
            in_channels: image_channels,
            out_channels: if self.learned_variance { 2 * image_channels } else { image_channels },
            flip_sin_to_cos: false,
            freq_shift: 1.0,
            down_block_types: attends.iter().map(down).collect(),
            up_block_types: attends.iter().rev().map(up).collect(),
            block_out_channels: self.multipliers.iter().map(|m| m * self.channels).collect(),
            layers_per_block: self.blocks,
            downsample_padding: 0,
            dropout: self.dropout,
            attention_head_dim: self.head_channels,
            norm_num_groups: Some(self.groups),
            norm_eps: 1e-6,
            num_class_embeds: self.classes.map(|classes| classes + 1),
            ..UNetConfig::default()
        };
        config.check()?;
        Ok(config)
    }

    /// The label that states no class: the row after those of the classes.
    #[must_use]
    pub fn null_class(&self) -> Option<i64> {
        self.classes
    }

    fn check(&self) -> Result<(), UNetError> {
        let Self { channels, multipliers, blocks, groups, dropout, .. } = self;
        let fits = multipliers.iter().all(|m| *m > 0 && m.saturating_mul(*channels) < 1 << 20);
        let divides = *groups > 0 && channels % groups == 0;
        let checks = [
            (*channels > 1, "network.channels", channels.to_string(), "at least 2".to_owned()),
            (
                (1..=16).contains(&multipliers.len()) && fits,
                "network.multipliers",
                format!("{multipliers:?}"),
                "1 to 16 numbers of at least 1".to_owned(),
            ),
            ((1..=64).contains(blocks), "network.blocks", blocks.to_string(), "1 to 64".to_owned()),
            (
                divides,
                "network.groups",
                groups.to_string(),
                format!("a divisor of network.channels, {channels}"),
            ),
            (
                (0.0..1.0).contains(dropout),
                "network.dropout",
                dropout.to_string(),
                "a number in [0, 1)".to_owned(),
            ),
            (
                self.head_channels.is_none_or(|head| head > 0),
                "network.head_channels",
                format!("{:?}", self.head_channels),
                "at least 1".to_owned(),
            ),
            (
                self.classes.is_none_or(|classes| classes > 0),
                "network.classes",
                format!("{:?}", self.classes),
                "at least 1".to_owned(),
            ),
        ];
        for (holds, key, value, allowed) in checks {
            if !holds {
                return Err(UNetError::Value { key, value, allowed });
            }
        }
        Ok(())
    }

    /// For every level whether it has attention.
    fn attending_levels(&self, height: i64) -> Result<Vec<bool>, UNetError> {
        let heights: Vec<i64> = (0..self.multipliers.len()).map(|level| height >> level).collect();
        for resolution in &self.attention_resolutions {
            if !heights.contains(resolution) {
                return Err(UNetError::Value {
                    key: "network.attention_resolutions",
                    value: resolution.to_string(),
                    allowed: format!("heights of the levels, {heights:?}"),
                });
            }
        }
        Ok(heights.iter().map(|h| self.attention_resolutions.contains(h)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UNet;

    #[test]
    fn the_digits_network_has_a_million_parameters() {
        let text = "channels = 32\nmultipliers = [1, 2]\nblocks = 2\nattention_resolutions = [4]\n\
                    groups = 8\nclasses = 10";
        let network: NetworkConfig = toml::from_str(text).unwrap();
        let unet = UNet::new(&network.unet([1, 8, 8]).unwrap(), 0).unwrap();
        // 1,003,009 with the ten classes of the reference run, and the null class.
        assert_eq!(unet.parameters().element_count(), 1_003_009 + 128);
        assert_eq!(UNet::count_parameters(unet.config()).unwrap(), 1_003_009 + 128);
    }

    #[test]
    fn a_network_that_no_memory_holds_is_counted() {
        let network =
            NetworkConfig { channels: 8192, multipliers: vec![64, 64], ..NetworkConfig::default() };
        let count = UNet::count_parameters(&network.unet([1, 8, 8]).unwrap()).unwrap();
        assert!(count > 1 << 40, "{count}");
    }

    #[track_caller]
    fn check_error(network: NetworkConfig, want: &str) {
        let error = network.unet([3, 32, 32]).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn values_out_of_range_are_named() {
        let base = NetworkConfig::default;
        check_error(
            NetworkConfig { attention_resolutions: vec![10], ..base() },
            "`network.attention_resolutions` is 10, expected heights of the levels, [32, 16]",
        );
        check_error(
            NetworkConfig { groups: 5, ..base() },
            "`network.groups` is 5, expected a divisor of network.channels, 32",
        );
        check_error(NetworkConfig { multipliers: vec![1; 7], ..base() }, "64 must divide");
        check_error(NetworkConfig { dropout: 1.0, ..base() }, "`network.dropout` is 1");
        assert!(toml::from_str::<NetworkConfig>("chanels = 3").is_err());
    }
}
