//! The levels of the network: going down, in the middle, going up.

use tch::Tensor;

use crate::attention::{AttentionOptions, SelfAttention};
use crate::builder::Builder;
use crate::config::{
    DownBlockType, MidBlockType, Resampling, TimeScaleShift, UNetConfig, UpBlockType,
};
use crate::layers::{Conv, NormOptions, Start};
use crate::residual::{Residual, ResidualOptions, Resize, double};

/// What a forward pass hands to every block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told<'a> {
    /// The activated embedding, [n or 1, width].
    pub(crate) embedding: &'a Tensor,
    /// Whether dropout acts.
    pub(crate) train: bool,
}

/// A residual block with the attention behind it, if there is one.
#[derive(Debug)]
struct Stage {
    residual: Residual,
    attention: Option<SelfAttention>,
}

impl Stage {
    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        let x = self.residual.forward(x, told.embedding, told.train);
        match &self.attention {
            Some(attention) => attention.forward(x),
            None => x,
        }
    }
}

fn attention_options(config: &UNetConfig) -> AttentionOptions {
    AttentionOptions {
        head_channels: config.attention_head_dim,
        norm: Some(ResidualOptions::new(config).norm),
        divisor: 1.0,
    }
}

/// The end of a level: a change of size by a convolution or by a residual block.
#[derive(Debug)]
enum Resampler {
    /// A strided convolution; without padding of its own the input is padded below and right.
    Halving {
        conv: Conv,
        pad: bool,
    },
    /// Every pixel doubled, then a convolution.
    Doubling(Conv),
    Residual(Box<Residual>),
}

impl Resampler {
    fn down(mut b: Builder<'_>, config: &UNetConfig, channels: i64, how: Resampling) -> Self {
        match how {
            Resampling::Conv => Self::Halving {
                conv: Conv::halving(b.at("conv"), channels, config.downsample_padding),
                pad: config.downsample_padding == 0,
            },
            Resampling::Resnet => {
                let options = ResidualOptions::new(config);
                let block = Residual::resizing(b, channels, channels, options, Resize::Halve);
                Self::Residual(Box::new(block))
            }
        }
    }

    fn up(mut b: Builder<'_>, config: &UNetConfig, channels: i64, how: Resampling) -> Self {
        match how {
            Resampling::Conv => {
                Self::Doubling(Conv::new(b.at("conv"), channels, channels, 3, Start::Random))
            }
            Resampling::Resnet => {
                let options = ResidualOptions::new(config);
                let block = Residual::resizing(b, channels, channels, options, Resize::Double);
                Self::Residual(Box::new(block))
            }
        }
    }

    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        match self {
            Self::Halving { conv, pad: true } => {
                let padded = x.constant_pad_nd([0, 1, 0, 1]);
                drop(x);
                conv.forward(&padded)
            }
            Self::Halving { conv, pad: false } => conv.forward(&x),
            Self::Doubling(conv) => {
                let doubled = double(&x);
                drop(x);
                conv.forward(&doubled)
            }
            Self::Residual(block) => block.forward(x, told.embedding, told.train),
        }
    }
}

/// One level on the way down.
#[derive(Debug)]
pub(crate) struct Down {
    stages: Vec<Stage>,
    downsampler: Option<Resampler>,
}

impl Down {
    pub(crate) fn new(mut b: Builder<'_>, config: &UNetConfig, level: usize) -> Self {
        let channels = &config.block_out_channels;
        let (from, to) = (channels[level.saturating_sub(1)], channels[level]);
        let attends = config.down_block_types[level] == DownBlockType::AttnDown;
        let options = ResidualOptions::new(config);
        let stages = (0..config.layers_per_block).map(|index| Stage {
            residual: Residual::new(
                b.at("resnets").at(index),
                if index == 0 { from } else { to },
                to,
                options,
            ),
            attention: attends.then(|| {
                SelfAttention::new(b.at("attentions").at(index), to, attention_options(config))
            }),
        });
        let stages = stages.collect();
        // diffusers' plain levels always use a convolution.
        let how = if attends { config.downsample_type } else { Resampling::Conv };
        let downsampler = (level + 1 < channels.len())
            .then(|| Resampler::down(b.at("downsamplers").at(0), config, to, how));
        Self { stages, downsampler }
    }

    /// Pushes the output of every stage and of the downsampler to `skips`.
    pub(crate) fn forward(&self, mut x: Tensor, told: Told<'_>, skips: &mut Vec<Tensor>) -> Tensor {
        for stage in &self.stages {
            x = stage.forward(x, told);
            skips.push(x.shallow_clone());
        }
        if let Some(downsampler) = &self.downsampler {
            x = downsampler.forward(x, told);
            skips.push(x.shallow_clone());
        }
        x
    }
}

/// The middle: residual block, attention, residual block.
#[derive(Debug)]
pub(crate) struct Middle {
    first: Residual,
    attention: Option<SelfAttention>,
    second: Residual,
}

impl Middle {
    /// `None` where the configuration has no middle.
    pub(crate) fn new(b: &mut Builder<'_>, config: &UNetConfig) -> Option<Self> {
        let MidBlockType::UNetMidBlock2D = config.mid_block_type?;
        let mut b = b.at("mid_block");
        let channels = *config.block_out_channels.last()?;
        let divisor = config.mid_block_scale_factor;
        let options = ResidualOptions { divisor, ..ResidualOptions::new(config) };
        let attention = AttentionOptions {
            norm: middle_norm(config, options.norm),
            divisor,
            ..attention_options(config)
        };
        Some(Self {
            first: Residual::new(b.at("resnets").at(0), channels, channels, options),
            attention: config
                .add_attention
                .then(|| SelfAttention::new(b.at("attentions").at(0), channels, attention)),
            second: Residual::new(b.at("resnets").at(1), channels, channels, options),
        })
    }

    pub(crate) fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        let x = self.first.forward(x, told.embedding, told.train);
        let x = match &self.attention {
            Some(attention) => attention.forward(x),
            None => x,
        };
        self.second.forward(x, told.embedding, told.train)
    }
}

/// The norm before the middle attention: with scale and shift there is one only if it is asked for.
fn middle_norm(config: &UNetConfig, norm: NormOptions) -> Option<NormOptions> {
    match (config.attn_norm_num_groups, config.resnet_time_scale_shift) {
        (Some(groups), _) => {
            Some(NormOptions { key: "attn_norm_num_groups", groups: Some(groups), ..norm })
        }
        (None, TimeScaleShift::Default) => Some(norm),
        (None, TimeScaleShift::ScaleShift) => None,
    }
}

/// One level on the way up, with one stage more than its twin on the way down.
#[derive(Debug)]
pub(crate) struct Up {
    stages: Vec<Stage>,
    upsampler: Option<Resampler>,
}

impl Up {
    /// `index` counts from the deepest level.
    pub(crate) fn new(mut b: Builder<'_>, config: &UNetConfig, index: usize) -> Self {
        let channels: Vec<i64> = config.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let (below, to) = (channels[index.saturating_sub(1)], channels[index]);
        let above = channels[(index + 1).min(last)];
        let attends = config.up_block_types[index] == UpBlockType::AttnUp;
        let options = ResidualOptions::new(config);
        let stages = (0..=config.layers_per_block).map(|stage| {
            let skip = if stage == config.layers_per_block { above } else { to };
            let from = if stage == 0 { below } else { to } + skip;
            Stage {
                residual: Residual::new(b.at("resnets").at(stage), from, to, options),
                attention: attends.then(|| {
                    SelfAttention::new(b.at("attentions").at(stage), to, attention_options(config))
                }),
            }
        });
        let stages = stages.collect();
        let how = if attends { config.upsample_type } else { Resampling::Conv };
        let upsampler =
            (index < last).then(|| Resampler::up(b.at("upsamplers").at(0), config, to, how));
        Self { stages, upsampler }
    }

    /// Takes one tensor off `skips` for every stage.
    pub(crate) fn forward(&self, mut x: Tensor, told: Told<'_>, skips: &mut Vec<Tensor>) -> Tensor {
        for stage in &self.stages {
            if let Some(skip) = skips.pop() {
                x = Tensor::cat(&[x, skip], 1); // [n, c + skipped, h, w]
            }
            x = stage.forward(x, told);
        }
        match &self.upsampler {
            Some(upsampler) => upsampler.forward(x, told),
            None => x,
        }
    }
}
