//! Networks of `score_sde` that diffusers' `UNet2DModel` can hold, and how their weights are called there.
//!
//! Two kinds coincide. NCSN++ with a pyramid of images on both sides is the network of its skip levels, which
//! are what the published `google/ncsnpp-*` are made of. A network with the blocks of DDPM and no pyramid is
//! that of its plain levels where no level has attention, which here follows the last block of a level on the
//! way up, and there all of them.

use tch::Tensor;

use super::{Progressive, ProgressiveCombine, ProgressiveInput, ScoreSdeConfig};
use crate::families::diffusers::{DownBlockType, TimeEmbedding, UNetConfig, UpBlockType};
use crate::families::nonlinearity::Nonlinearity;
use crate::{ActivationFunction, UNetError};
use std::f64::consts::SQRT_2;

/// Channels from which a quarter of them is no fewer than the 32 groups that diffusers has in some norms.
const ALL_GROUPS: i64 = 128;

/// What a numbered module is, which says how its tensors are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Module {
    /// The frequencies of a Fourier embedding.
    Frequencies,
    /// A layer whose tensors are the module's own.
    Layer,
    /// A convolution inside of a module.
    Convolution,
    Residual,
    Attention,
}

/// The tensors of a residual block, or of attention, in both programs.
const RESIDUAL: [(&str, &str); 7] = [
    ("GroupNorm_0.", "norm1."),
    ("Conv_0.", "conv1."),
    ("Dense_0.", "time_emb_proj."),
    ("GroupNorm_1.", "norm2."),
    ("Conv_1.", "conv2."),
    ("Conv_2.", "conv_shortcut."),
    ("NIN_0.", "conv_shortcut."),
];
const ATTENTION: [(&str, &str); 5] = [
    ("GroupNorm_0.", "group_norm."),
    ("NIN_0.", "to_q."),
    ("NIN_1.", "to_k."),
    ("NIN_2.", "to_v."),
    ("NIN_3.", "to_out.0."),
];

impl Module {
    /// The end of a tensor's name in diffusers, of its end in `score_sde`.
    fn present(self, end: &str) -> Option<String> {
        let of = |names: &[(&str, &str)]| {
            let (from, to) = names.iter().find(|(from, _)| end.starts_with(from))?;
            let value = match &end[from.len()..] {
                "W" => "weight",
                "b" => "bias",
                same => same,
            };
            Some(format!("{to}{value}"))
        };
        match self {
            Self::Frequencies => (end == "W").then(|| "weight".to_owned()),
            Self::Layer => Some(end.to_owned()),
            Self::Convolution => end.strip_prefix("Conv_0.").map(str::to_owned),
            Self::Residual => of(&RESIDUAL),
            Self::Attention => of(&ATTENTION),
        }
    }
}

impl ScoreSdeConfig {
    /// The `UNet2DModel` that computes the same.
    ///
    /// # Errors
    /// When there is none; the error says all that differs.
    pub(crate) fn in_diffusers(&self) -> Result<UNetConfig, UNetError> {
        let differs = self.differences();
        if !differs.is_empty() {
            return Err(UNetError::NotInDiffusers { differs: differs.join("; ") });
        }
        let (model, skips, fourier) = (&self.model, self.has_pyramids(), self.fourier());
        let levels = 0..model.ch_mult.len();
        let down = |level: usize| match (skips, self.attends(level)) {
            (false, _) => DownBlockType::Down,
            (true, false) => DownBlockType::SkipDown,
            (true, true) => DownBlockType::AttnSkipDown,
        };
        let up = |level: usize| match (skips, self.attends(level)) {
            (false, _) => UpBlockType::Up,
            (true, false) => UpBlockType::SkipUp,
            (true, true) => UpBlockType::AttnSkipUp,
        };
        Ok(UNetConfig {
            sample_size: Some(self.data.image_size.into()),
            in_channels: self.data.num_channels,
            out_channels: self.data.num_channels,
            center_input_sample: !self.data.centered,
            time_embedding_type: match fourier {
                true => TimeEmbedding::Fourier,
                false => TimeEmbedding::Positional,
            },
            freq_shift: 1.0,
            flip_sin_to_cos: false,
            down_block_types: levels.clone().map(down).collect(),
            up_block_types: levels.rev().map(up).collect(),
            block_out_channels: model.ch_mult.iter().map(|multiple| multiple * model.nf).collect(),
            layers_per_block: model.num_res_blocks,
            mid_block_scale_factor: if skips { SQRT_2 } else { 1.0 },
            downsample_padding: 0,
            dropout: model.dropout,
            act_fn: ActivationFunction::Silu,
            attention_head_dim: None,
            norm_num_groups: if skips { None } else { Some(32) },
            norm_eps: 1e-6,
            ..UNetConfig::default()
        })
    }

    /// Whether images shrink and grow beside the features, as they do beside skip levels.
    fn has_pyramids(&self) -> bool {
        self.input() != ProgressiveInput::None || self.output() != Progressive::None
    }

    /// What no network of diffusers has, in the words of the configuration.
    fn differences(&self) -> Vec<String> {
        let model = &self.model;
        let attends = |level: &usize| self.attends(*level);
        let attending: Vec<usize> = (0..model.ch_mult.len()).filter(attends).collect();
        let width = |level: usize| model.ch_mult[level] * model.nf;
        let mut rules = vec![
            (model.conditional, "model.conditional is false: blocks are told the time there"),
            (model.nonlinearity == Nonlinearity::Swish, "model.nonlinearity is not swish"),
            (model.ch_mult.first() == Some(&1), "model.ch_mult does not begin with 1"),
            (
                model.scale_by_sigma == self.fourier(),
                "model.scale_by_sigma does not go with model.embedding_type: with fourier the output is divided \
                 by sigma there, with positional it is not",
            ),
        ];
        if self.has_pyramids() {
            let taps = model.fir && model.fir_kernel == [1.0, 3.0, 3.0, 1.0];
            rules.extend([
                (self.big_gan(), "model.resblock_type is ddpm, beside pyramids of images it is biggan there"),
                (taps, "model.fir is false or model.fir_kernel is not [1, 3, 3, 1], as the filters are there"),
                (model.skip_rescale, "model.skip_rescale is false: beside pyramids sums are rescaled there"),
                (self.output() == Progressive::OutputSkip, "model.progressive is not output_skip"),
                (self.input() == ProgressiveInput::InputSkip, "model.progressive_input is not input_skip"),
                (model.progressive_combine == ProgressiveCombine::Sum, "model.progressive_combine is not sum"),
                (self.data.num_channels == 3, "data.num_channels is not 3"),
                (
                    attending.iter().all(|level| width(*level) >= ALL_GROUPS),
                    "a level with attention has fewer than 128 channels: its norms have 32 groups there",
                ),
            ]);
        } else {
            let wide = (0..model.ch_mult.len()).all(|level| width(level) >= ALL_GROUPS);
            rules.extend([
                (!self.big_gan(), "model.resblock_type is biggan, without pyramids of images it is ddpm there"),
                (self.filter().is_none(), "model.fir is true: without pyramids nothing is filtered there"),
                (self.divisor() == 1.0, "model.skip_rescale is true: without pyramids it is false there"),
                (model.resamp_with_conv, "model.resamp_with_conv is false"),
                (
                    attending.is_empty(),
                    "model.attn_resolutions: on the way up attention follows the last block of a level alone, \
                     there every one",
                ),
                (!self.is_ncsnpp() || wide, "levels have fewer than 128 channels: norms have 32 groups there"),
            ]);
        }
        let broken = rules.into_iter().filter(|(holds, _)| !holds);
        broken.map(|(_, what)| what.to_owned()).collect()
    }

    /// Weights by their names in diffusers, and in its shapes.
    pub(crate) fn renamed<'a>(
        &self,
        weights: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
    ) -> Vec<(String, Tensor)> {
        let modules = self.modules();
        let renamed = |(name, tensor): (&str, &Tensor)| {
            let (number, end) = name.strip_prefix("all_modules.")?.split_once('.')?;
            let (place, module) = modules.get(number.parse::<usize>().ok()?)?;
            let name = format!("{place}.{}", module.present(end)?);
            let tensor = match (end.ends_with(".W"), name.ends_with("conv_shortcut.weight")) {
                (false, _) => tensor.shallow_clone(),
                (true, false) => tensor.tr(),
                (true, true) => tensor.tr().unsqueeze(-1).unsqueeze(-1),
            };
            Some((name, tensor))
        };
        // the table of sigmas has no place there, the pipeline has its own
        weights.into_iter().filter_map(renamed).collect()
    }

    /// The modules in the order of their numbers, with their places in diffusers.
    fn modules(&self) -> Vec<(String, Module)> {
        let (model, skips, levels) = (&self.model, self.has_pyramids(), self.model.ch_mult.len());
        let mut list: Vec<(String, Module)> = Vec::new();
        let mut add = |place: String, module: Module| list.push((place, module));
        if self.fourier() {
            add("time_proj".to_owned(), Module::Frequencies);
        }
        for name in ["time_embedding.linear_1", "time_embedding.linear_2", "conv_in"] {
            add(name.to_owned(), Module::Layer);
        }
        for level in 0..levels {
            let at = format!("down_blocks.{level}");
            for block in 0..model.num_res_blocks {
                add(format!("{at}.resnets.{block}"), Module::Residual);
                if self.attends(level) {
                    add(format!("{at}.attentions.{block}"), Module::Attention);
                }
            }
            match (level + 1 < levels, skips) {
                (false, _) => {}
                (true, true) => {
                    add(format!("{at}.resnet_down"), Module::Residual);
                    add(format!("{at}.skip_conv"), Module::Convolution);
                }
                (true, false) => add(format!("{at}.downsamplers.0.conv"), Module::Convolution),
            }
        }
        add("mid_block.resnets.0".to_owned(), Module::Residual);
        add("mid_block.attentions.0".to_owned(), Module::Attention);
        add("mid_block.resnets.1".to_owned(), Module::Residual);
        for (index, level) in (0..levels).rev().enumerate() {
            let at = format!("up_blocks.{index}");
            for block in 0..=model.num_res_blocks {
                add(format!("{at}.resnets.{block}"), Module::Residual);
            }
            if self.attends(level) {
                add(format!("{at}.attentions.0"), Module::Attention);
            }
            if level > 0 && skips {
                add(format!("{at}.skip_norm"), Module::Layer);
                add(format!("{at}.skip_conv"), Module::Layer);
                add(format!("{at}.resnet_up"), Module::Residual);
            } else if level > 0 {
                add(format!("{at}.upsamplers.0.conv"), Module::Convolution);
            }
        }
        add("conv_norm_out".to_owned(), Module::Layer);
        add("conv_out".to_owned(), Module::Layer);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ArchitectureConfig, EmbeddingType, ResblockType, ScoreSdeName, UNet};

    fn skips() -> ScoreSdeConfig {
        let mut config = ScoreSdeConfig::default();
        config.training.continuous = true;
        config.data.image_size = 16;
        let model = &mut config.model;
        (model.nf, model.ch_mult, model.num_res_blocks) = (32, vec![1, 4, 2], 1);
        model.attn_resolutions = vec![8];
        model.resblock_type = ResblockType::BigGan;
        (model.fir, model.skip_rescale) = (true, true);
        model.progressive = Progressive::OutputSkip;
        model.progressive_input = ProgressiveInput::InputSkip;
        (model.embedding_type, model.scale_by_sigma) = (EmbeddingType::Fourier, true);
        config
    }

    fn plain() -> ScoreSdeConfig {
        let mut config = ScoreSdeConfig::default();
        config.model.name = ScoreSdeName::Ddpm;
        (config.model.nf, config.model.ch_mult) = (32, vec![1, 2]);
        config.model.attn_resolutions = Vec::new();
        config.data.centered = true;
        config
    }

    #[test]
    fn both_kinds_compute_the_same_in_diffusers() {
        for config in [skips(), plain()] {
            let network = UNet::new(&config, 3).unwrap();
            // nothing that begins at zero may hide what comes before it
            tch::manual_seed(7);
            for tensor in network.parameters().tensors() {
                let drawn = tensor.randn_like() * 0.1;
                let _ = tensor.shallow_clone().g_add_(&drawn);
            }
            let converted = network.to_diffusers().unwrap();
            assert!(matches!(converted.config(), ArchitectureConfig::Diffusers(_)));
        }
    }

    #[test]
    fn what_differs_is_all_named() {
        let mut config = skips();
        config.model.fir_kernel = vec![1.0, 2.0, 1.0];
        config.model.progressive_combine = ProgressiveCombine::Cat;
        let message = config.in_diffusers().unwrap_err().to_string();
        assert!(message.contains("fir_kernel") && message.contains("progressive_combine"));
        let mut config = plain();
        config.model.attn_resolutions = vec![16];
        assert!(config.in_diffusers().unwrap_err().to_string().contains("attn_resolutions"));
    }
}
