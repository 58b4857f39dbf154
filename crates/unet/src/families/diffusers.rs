//! diffusers' `UNet2DModel`: DDPM's U-Net (Ho et al. 2020, App. B) and its relatives.
//!
//! A convolution; levels of residual blocks, each halving the size; a middle with attention; the same
//! levels upward, each block taking the features of its twin on the way down; norm, `SiLU` and a
//! convolution. What the types of levels add to their residual blocks:
//!
//! | level | attention | resampling | image beside the features | divisor |
//! |---|---|---|---|---|
//! | plain | none | convolution | none | 1 |
//! | `Attn` | behind every block | convolution or residual block | none | 1 |
//! | `Resnet` | none | residual block | none | 1 |
//! | `Skip` | none | residual block, FIR | shrinks or grows along | sqrt 2 |
//! | `AttnSkip` | down every block, up the last | residual block, FIR | shrinks or grows along | sqrt 2 |

mod config;
mod legacy;
mod levels;

pub use config::{
    ClassEmbedding, DownBlockType, MidBlockType, Resampling, TimeEmbedding, TimeScaleShift,
    UNetConfig, UpBlockType,
};

use crate::architecture::{Family, Labels, TimeIndices};
use crate::attention::{AttentionOptions, AttentionStyle, Projections, SelfAttention};
use crate::builder::Builder;
use crate::embedding::{self, Embedding, Features, Perceptron};
use crate::layers::{Conv, Groups, LinearForm, Norm, NormActivation, NormOptions, Start, Starts};
use crate::program::{OutputScale, Program, Pyramid, Step, Steps};
use crate::resample::Resize;
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

/// The deviation of the random frequencies of a Fourier embedding.
const FOURIER_SCALE: f64 = 16.0;

/// Most pixels of a side in `sample_size`.
const MOST_PIXELS: i64 = 1 << 20;

/// Height and width out of diffusers' `sample_size`, one number or two; `None` where it is neither.
fn image_size(value: &serde_json::Value) -> Option<[i64; 2]> {
    let side =
        |side: &serde_json::Value| side.as_i64().filter(|side| (1..=MOST_PIXELS).contains(side));
    match value.as_array().map(Vec::as_slice) {
        None => side(value).map(|side| [side; 2]),
        Some([height, width]) => Some([side(height)?, side(width)?]),
        Some(_) => None,
    }
}

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
        image_size(self.sample_size.as_ref()?)
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

    fn time_indices(&self) -> Option<TimeIndices> {
        match self.time_embedding_type {
            TimeEmbedding::Learned => {
                self.num_train_timesteps.map(|count| TimeIndices { count, whole: true })
            }
            _ => None,
        }
    }

    fn present_name(&self, name: &str) -> String {
        legacy::present_name(name)
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let mut steps = Steps::default();
        let first = self.block_out_channels[0];
        let levels = 0..self.block_out_channels.len();
        if levels.clone().any(|level| self.shrinks_image(level)) {
            steps.push(Step::Keep(Pyramid::Input));
        }
        steps.apply(b.at("conv_in"), |b| Conv::new(b, self.in_channels, first, 3, Start::Random));
        steps.push(Step::Push);
        let embedding = Some(self.embedding(b));
        for level in levels.clone() {
            self.down(&mut steps, b.at("down_blocks").at(level), level);
        }
        if let Some(MidBlockType::UNetMidBlock2D) = self.mid_block_type {
            self.middle(&mut steps, b.at("mid_block"));
        }
        for index in levels.clone() {
            self.up(&mut steps, b.at("up_blocks").at(index), index);
        }
        let groups = self.groups_or_quarter();
        steps.apply(b.at("conv_norm_out"), |b| NormActivation {
            norm: Norm::new(b, first, NormOptions { groups, eps: self.norm_eps }),
            then: ActivationFunction::Silu,
        });
        steps.apply(b.at("conv_out"), |b| Conv::new(b, first, self.out_channels, 3, Start::Zero));
        if levels.clone().any(|index| self.draws_image(index)) {
            steps.push(Step::EmitSum);
        }
        let scale = match self.time_embedding_type {
            TimeEmbedding::Fourier => OutputScale::ByTime,
            TimeEmbedding::Positional | TimeEmbedding::Learned => OutputScale::None,
        };
        let (centers, activation) = (self.center_input_sample, self.act_fn);
        Program { centers, embedding, activation, steps: steps.list(), scale }
    }
}

impl UNetConfig {
    /// The groups of a norm that has a rule of its own where the configuration says nothing.
    fn groups_or_quarter(&self) -> Groups {
        self.norm_num_groups
            .map_or(Groups::Quarter("block_out_channels"), |n| Groups::Given("norm_num_groups", n))
    }

    fn norm(&self, groups: Groups) -> NormOptions {
        NormOptions { groups, eps: self.norm_eps }
    }

    fn residual(&self, groups: Groups) -> ResidualOptions {
        ResidualOptions {
            style: RESIDUAL,
            starts: Starts::IDENTITY,
            norm1: self.norm(groups),
            norm2: self.norm(groups),
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
    fn attention(
        &self,
        b: &mut Builder<'_>,
        channels: i64,
        groups: Option<Groups>,
        divisor: f64,
    ) -> AttentionOptions {
        let head = self.attention_head_dim.unwrap_or(channels);
        if head > channels {
            let allowed = format!("at most {channels}, the channels of an attention layer");
            b.reject("attention_head_dim", head.to_string(), allowed);
        }
        let norm = groups.map(|groups| self.norm(groups));
        let (style, starts) = (ATTENTION, Starts::IDENTITY);
        AttentionOptions { style, starts, norm, heads: channels / head, head, divisor }
    }

    fn embedding(&self, b: &mut Builder<'_>) -> Embedding {
        let (width, first) = (self.time_embedding_width(), self.block_out_channels[0]);
        let features = match self.time_embedding_type {
            TimeEmbedding::Positional => Features::Waves {
                width: first,
                cosine_first: self.flip_sin_to_cos,
                shift: self.freq_shift,
            },
            TimeEmbedding::Fourier => {
                Features::fourier(b.at("time_proj"), "weight", first, FOURIER_SCALE)
            }
            TimeEmbedding::Learned => {
                Features::table(b.at("time_proj"), self.num_train_timesteps.unwrap_or(1), first)
            }
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

    /// Residual block, attention, residual block.
    fn middle(&self, steps: &mut Steps, mut b: Builder<'_>) {
        let channels = *self.block_out_channels.last().expect("checked: there is a level");
        let (groups, divisor) = (self.groups_or_quarter(), self.mid_block_scale_factor);
        let residual = ResidualOptions { divisor, ..self.residual(groups) };
        // With scale and shift there is a norm before the attention only if it is asked for.
        let groups = match (self.attn_norm_num_groups, self.resnet_time_scale_shift) {
            (Some(n), _) => Some(Groups::Given("attn_norm_num_groups", n)),
            (None, TimeScaleShift::Default) => Some(groups),
            (None, TimeScaleShift::ScaleShift) => None,
        };
        steps.apply(b.at("resnets").at(0), |b| {
            Residual::new(b, channels, channels, residual.clone())
        });
        if self.add_attention {
            let options = self.attention(&mut b, channels, groups, divisor);
            steps.apply(b.at("attentions").at(0), |b| SelfAttention::new(b, channels, options));
        }
        steps.apply(b.at("resnets").at(1), |b| Residual::new(b, channels, channels, residual));
    }
}

#[cfg(test)]
mod tests;
