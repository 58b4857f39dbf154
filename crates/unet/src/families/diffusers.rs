//! diffusers' `UNet2DModel`: DDPM's U-Net (Ho et al. 2020, App. B) and its relatives.
//!
//! A convolution; levels of residual blocks, each halving the size; a middle with attention; the same
//! levels upward, each block taking the features of its twin on the way down; norm, `SiLU` and a
//! convolution.

mod config;
mod legacy;

pub use config::{
    ClassEmbedding, DownBlockType, MidBlockType, Resampling, TimeEmbedding, TimeScaleShift,
    UNetConfig, UpBlockType,
};

use crate::architecture::{Family, Labels};
use crate::attention::{AttentionOptions, AttentionStyle, Projections, SelfAttention};
use crate::builder::Builder;
use crate::embedding::{self, Embedding, Features, Perceptron};
use crate::layers::{Conv, LinearForm, Norm, NormActivation, NormOptions, Start};
use crate::program::{OutputScale, Program, Step, Steps};
use crate::resample::{Resample, Resize};
use crate::residual::{Residual, ResidualOptions, ResidualStyle, Telling};
use crate::{ActivationFunction, UNetError};

const RESIDUAL: ResidualStyle = ResidualStyle {
    norm1: "norm1",
    conv1: "conv1",
    told: "time_emb_proj",
    norm2: "norm2",
    conv2: "conv2",
    shortcut: "conv_shortcut",
    shortcut_is_conv: true,
};

const ATTENTION: AttentionStyle = AttentionStyle {
    norm: "group_norm",
    projections: Projections::Separate(["to_q", "to_k", "to_v"]),
    out: "to_out.0",
    form: LinearForm::Dense,
};

impl Family for UNetConfig {
    fn check(&self) -> Result<(), UNetError> {
        UNetConfig::check(self)
    }

    fn in_channels(&self) -> i64 {
        self.in_channels
    }

    fn out_channels(&self) -> i64 {
        self.out_channels
    }

    fn image_size(&self) -> Option<[i64; 2]> {
        match self.sample_size.as_ref()? {
            serde_json::Value::Array(sides) => {
                Some([sides.first()?.as_i64()?, sides.get(1)?.as_i64()?])
            }
            side => side.as_i64().map(|side| [side, side]),
        }
    }

    fn size_divisor(&self) -> i64 {
        UNetConfig::size_divisor(self)
    }

    fn labels(&self) -> Labels {
        match (self.class_embed_type, self.num_class_embeds) {
            (Some(ClassEmbedding::Timestep), _) => Labels::Numbers,
            (Some(ClassEmbedding::Identity), _) => Labels::Vectors(self.time_embedding_width()),
            (None, Some(classes)) => Labels::Classes(classes),
            (None, None) => Labels::None,
        }
    }

    fn present_name(&self, name: &str) -> String {
        legacy::present_name(name)
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let mut steps = Steps::default();
        let first = self.block_out_channels[0];
        steps.apply(b.at("conv_in"), |b| Conv::new(b, self.in_channels, first, 3, Start::Random));
        steps.push(Step::Push);
        let embedding = Some(self.embedding(b));
        for level in 0..self.block_out_channels.len() {
            self.down(&mut steps, b.at("down_blocks").at(level), level);
        }
        if let Some(MidBlockType::UNetMidBlock2D) = self.mid_block_type {
            self.middle(&mut steps, b.at("mid_block"));
        }
        for index in 0..self.block_out_channels.len() {
            self.up(&mut steps, b.at("up_blocks").at(index), index);
        }
        steps.apply(b.at("conv_norm_out"), |b| NormActivation {
            norm: Norm::new(b, first, self.norm()),
            then: ActivationFunction::Silu,
        });
        steps.apply(b.at("conv_out"), |b| Conv::new(b, first, self.out_channels, 3, Start::Zero));
        Program {
            centers: self.center_input_sample,
            embedding,
            activation: self.act_fn,
            steps: steps.list(),
            scale: OutputScale::None,
        }
    }
}

impl UNetConfig {
    fn norm(&self) -> NormOptions {
        let groups = self.norm_num_groups;
        NormOptions { key: "norm_num_groups", groups, eps: self.norm_eps }
    }

    fn residual(&self) -> ResidualOptions {
        ResidualOptions {
            style: RESIDUAL,
            norm1: self.norm(),
            norm2: self.norm(),
            embedding: self.time_embedding_width(),
            telling: match self.resnet_time_scale_shift {
                TimeScaleShift::Default => Telling::Shift,
                TimeScaleShift::ScaleShift => Telling::ScaleShift,
            },
            activation: self.act_fn,
            dropout: self.dropout,
            divisor: 1.0,
            resize: Resize::Keep,
            projects_always: false,
        }
    }

    /// Attention over `channels` channels; heads wider than that are rejected.
    fn attention(&self, b: &mut Builder<'_>, channels: i64) -> AttentionOptions {
        let head = self.attention_head_dim.unwrap_or(channels);
        if head > channels {
            let allowed = format!("at most {channels}, the channels of an attention layer");
            b.reject("attention_head_dim", head.to_string(), allowed);
        }
        let (norm, heads) = (Some(self.norm()), channels / head);
        AttentionOptions { style: ATTENTION, norm, heads, head, divisor: 1.0 }
    }

    fn embedding(&self, b: &mut Builder<'_>) -> Embedding {
        let width = self.time_embedding_width();
        let features = Features::Waves {
            width: self.block_out_channels[0],
            cosine_first: self.flip_sin_to_cos,
            shift: self.freq_shift,
        };
        let perceptron = |b: &mut Builder<'_>, name| {
            let (names, from) = (["linear_1", "linear_2"], features.width());
            Perceptron::new(&mut b.at(name), names, from, width, ActivationFunction::Silu)
        };
        let time = perceptron(b, "time_embedding");
        let class = match self.labels() {
            Labels::None => embedding::ClassEmbedding::None,
            Labels::Vectors(_) => embedding::ClassEmbedding::Identity,
            Labels::Numbers => {
                embedding::ClassEmbedding::Timestep(perceptron(b, "class_embedding"))
            }
            Labels::Classes(classes) => {
                embedding::ClassEmbedding::table(b.at("class_embedding"), classes, width)
            }
        };
        Embedding { features, time, class }
    }

    /// A level on the way down, each of whose stages and whose downsampling is kept.
    fn down(&self, steps: &mut Steps, mut b: Builder<'_>, level: usize) {
        let channels = &self.block_out_channels;
        let (from, to) = (channels[level.saturating_sub(1)], channels[level]);
        let attends = self.down_block_types[level] == DownBlockType::AttnDown;
        for index in 0..self.layers_per_block {
            let from = if index == 0 { from } else { to };
            steps.apply(b.at("resnets").at(index), |b| Residual::new(b, from, to, self.residual()));
            if attends {
                let options = self.attention(&mut b, to);
                steps.apply(b.at("attentions").at(index), |b| SelfAttention::new(b, to, options));
            }
            steps.push(Step::Push);
        }
        if level + 1 < channels.len() {
            let mut b = b.at("downsamplers.0");
            // diffusers' plain levels always use a convolution.
            match if attends { self.downsample_type } else { Resampling::Conv } {
                Resampling::Conv => steps
                    .apply(b.at("conv"), |b| Conv::halving(b, to, self.downsample_padding == 1)),
                Resampling::Resnet => steps.apply(b, |b| self.resizing(b, to, Resize::Halve)),
            }
            steps.push(Step::Push);
        }
    }

    fn resizing(&self, b: Builder<'_>, channels: i64, resize: Resize) -> Residual {
        Residual::new(b, channels, channels, ResidualOptions { resize, ..self.residual() })
    }

    /// Residual block, attention, residual block.
    fn middle(&self, steps: &mut Steps, mut b: Builder<'_>) {
        let channels = *self.block_out_channels.last().expect("checked: there is a level");
        let divisor = self.mid_block_scale_factor;
        let residual = ResidualOptions { divisor, ..self.residual() };
        let attention = AttentionOptions {
            norm: self.middle_norm(),
            divisor,
            ..self.attention(&mut b, channels)
        };
        steps.apply(b.at("resnets").at(0), |b| {
            Residual::new(b, channels, channels, residual.clone())
        });
        if self.add_attention {
            steps.apply(b.at("attentions").at(0), |b| SelfAttention::new(b, channels, attention));
        }
        steps.apply(b.at("resnets").at(1), |b| Residual::new(b, channels, channels, residual));
    }

    /// The norm before the middle attention: with scale and shift there is one only if asked for.
    fn middle_norm(&self) -> Option<NormOptions> {
        match (self.attn_norm_num_groups, self.resnet_time_scale_shift) {
            (Some(groups), _) => Some(NormOptions {
                key: "attn_norm_num_groups",
                groups: Some(groups),
                ..self.norm()
            }),
            (None, TimeScaleShift::Default) => Some(self.norm()),
            (None, TimeScaleShift::ScaleShift) => None,
        }
    }

    /// A level on the way up, with one stage more than its twin; `index` counts from the deepest.
    fn up(&self, steps: &mut Steps, mut b: Builder<'_>, index: usize) {
        let channels: Vec<i64> = self.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let (below, to) = (channels[index.saturating_sub(1)], channels[index]);
        let above = channels[(index + 1).min(last)];
        let attends = self.up_block_types[index] == UpBlockType::AttnUp;
        for stage in 0..=self.layers_per_block {
            let skip = if stage == self.layers_per_block { above } else { to };
            let from = if stage == 0 { below } else { to } + skip;
            steps.push(Step::Join);
            steps.apply(b.at("resnets").at(stage), |b| Residual::new(b, from, to, self.residual()));
            if attends {
                let options = self.attention(&mut b, to);
                steps.apply(b.at("attentions").at(stage), |b| SelfAttention::new(b, to, options));
            }
        }
        if index < last {
            let mut b = b.at("upsamplers.0");
            match if attends { self.upsample_type } else { Resampling::Conv } {
                Resampling::Conv => {
                    let conv = Conv::new(b.at("conv"), to, to, 3, Start::Random);
                    steps.apply(b, |_| Resample { resize: Resize::Double, then: Some(conv) });
                }
                Resampling::Resnet => steps.apply(b, |b| self.resizing(b, to, Resize::Double)),
            }
        }
    }
}
