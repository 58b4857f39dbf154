//! ADM (Dhariwal and Nichol 2021): guided-diffusion's `UNetModel`, and the classifier
//! `EncoderUNetModel`; improved-diffusion's network (Nichol and Dhariwal 2021) too.
//!
//! A U-Net of numbered blocks: `input_blocks.0` is a convolution, then come residual blocks, attention
//! behind them where images are smaller by one of the stated factors, and halvings; `middle_block`;
//! `output_blocks` upward, each joined with its twin's features. The time enters a block by scale and
//! shift or as a summand; blocks or convolutions change the size; heads are stated by number or width.
//! All norms have 32 groups. The classifier stops after the middle and pools.
//!
//! improved-diffusion makes its first convolution `model_channels` wide whatever `channel_mult` says;
//! since its last layer expects the same width, only networks whose first multiple is 1 run there, and
//! for them both are one.

mod config;

pub use config::{AdmConfig, AdmEncoderConfig, AdmPool};

use crate::architecture::{Family, Labels};
use crate::attention::{AttentionOptions, AttentionStyle, Projections, SelfAttention};
use crate::builder::Builder;
use crate::embedding::{ClassEmbedding, Embedding, Features, Perceptron};
use crate::layers::{Conv, Groups, Linear, LinearForm, Norm, NormActivation, NormOptions};
use crate::layers::{Start, Starts};
use crate::pool::{AttentionPool, MeanPool};
use crate::program::{OutputScale, Program, Step, Steps};
use crate::resample::{Resample, Resize};
use crate::residual::{Residual, ResidualOptions, ResidualStyle, Telling};
use crate::{ActivationFunction, UNetError};

const RESIDUAL: ResidualStyle = ResidualStyle {
    norm1: "in_layers.0",
    conv1: "in_layers.2",
    told: "emb_layers.1",
    norm2: "out_layers.0",
    conv2: "out_layers.3",
    shortcut: "skip_connection",
    shortcut_is_conv: true,
};

const NORM: NormOptions = NormOptions { groups: Groups::Fixed("channel_mult", 32), eps: 1e-5 };

/// Width of what the spatial pools have between their linear layers.
const SPATIAL: i64 = 2048;

/// A network while it is laid out.
#[derive(Default)]
struct Layout {
    steps: Steps,
    /// Channels of the features.
    channels: i64,
    /// Channels of what is kept for the way up.
    kept: Vec<i64>,
}

impl AdmConfig {
    fn embedding(&self, b: &mut Builder<'_>) -> Embedding {
        let from = self.model_channels;
        let (names, width, silu) = (["0", "2"], 4 * from, ActivationFunction::Silu);
        let time = Perceptron::new(&mut b.at("time_embed"), names, from, width, silu);
        let class = self.num_classes.map_or(ClassEmbedding::None, |classes| {
            ClassEmbedding::table(b.at("label_emb"), classes, width)
        });
        let features = Features::Waves { width: from, cosine_first: true, shift: 0.0 };
        Embedding { features, time, class }
    }

    fn residual(&self, resize: Resize) -> ResidualOptions {
        ResidualOptions {
            style: RESIDUAL,
            starts: Starts::IDENTITY,
            norm1: NORM,
            norm2: NORM,
            embedding: 4 * self.model_channels,
            telling: if self.use_scale_shift_norm { Telling::ScaleShift } else { Telling::Shift },
            activation: ActivationFunction::Silu,
            dropout: self.dropout,
            divisor: 1.0,
            resize,
            projects_always: false,
        }
    }

    /// The attention over so many channels; heads that do not divide them are rejected.
    fn attention(&self, b: &mut Builder<'_>, channels: i64, heads: i64) -> AttentionOptions {
        let by_width = self.num_head_channels > 0;
        let (key, value) = match by_width {
            true => ("num_head_channels", self.num_head_channels),
            false => ("num_heads", heads),
        };
        if channels % value != 0 {
            let allowed = format!("a divisor of the {channels} channels of an attention layer");
            b.reject(key, value.to_string(), allowed);
        }
        let other = (channels / value).max(1);
        let (heads, head) = if by_width { (other, value) } else { (value, other) };
        let projections = match self.use_new_attention_order {
            true => Projections::HeadsWithin("qkv"),
            false => Projections::HeadsFirst("qkv"),
        };
        let form = LinearForm::Conv1d;
        let style = AttentionStyle { norm: "norm", projections, out: "proj_out", form };
        let starts = Starts::IDENTITY;
        AttentionOptions { style, starts, norm: Some(NORM), heads, head, divisor: 1.0 }
    }

    fn heads_up(&self) -> i64 {
        if self.num_heads_upsample == -1 { self.num_heads } else { self.num_heads_upsample }
    }

    fn attends(&self, level: usize) -> bool {
        self.attention_resolutions.contains(&(1 << level))
    }

    fn apply_residual(&self, to: &mut Layout, b: Builder<'_>, channels: i64, resize: Resize) {
        let (from, options) = (to.channels, self.residual(resize));
        to.steps.apply(b, |b| Residual::new(b, from, channels, options));
        to.channels = channels;
    }

    fn apply_attention(&self, to: &mut Layout, mut b: Builder<'_>, heads: i64) {
        let channels = to.channels;
        let options = self.attention(&mut b, channels, heads);
        to.steps.apply(b, |b| SelfAttention::new(b, channels, options));
    }

    /// The way down; `after_block` is done at the end of each of its blocks.
    fn down(&self, to: &mut Layout, b: &mut Builder<'_>, after_block: impl Fn(&mut Layout)) {
        let first = self.width(0);
        let mut number = 0;
        to.steps.apply(b.at("input_blocks.0.0"), |b| {
            Conv::new(b, self.in_channels, first, 3, Start::Random)
        });
        to.channels = first;
        after_block(to);
        for level in 0..self.channel_mult.len() {
            for _ in 0..self.num_res_blocks {
                number += 1;
                let mut b = b.at(format_args!("input_blocks.{number}"));
                self.apply_residual(to, b.at(0), self.width(level), Resize::Keep);
                if self.attends(level) {
                    self.apply_attention(to, b.at(1), self.num_heads);
                }
                after_block(to);
            }
            if level + 1 < self.channel_mult.len() {
                number += 1;
                self.halve(to, b.at(format_args!("input_blocks.{number}.0")));
                after_block(to);
            }
        }
    }

    fn halve(&self, to: &mut Layout, mut b: Builder<'_>) {
        let channels = to.channels;
        match (self.resblock_updown, self.conv_resample) {
            (true, _) => self.apply_residual(to, b, channels, Resize::Halve),
            (false, true) => to.steps.apply(b.at("op"), |b| Conv::halving(b, channels, true)),
            (false, false) => {
                to.steps.apply(b, |_| Resample { resize: Resize::Halve, then: None });
            }
        }
    }

    fn double(&self, to: &mut Layout, mut b: Builder<'_>) {
        let channels = to.channels;
        if self.resblock_updown {
            return self.apply_residual(to, b, channels, Resize::Double);
        }
        let conv = || Conv::new(b.at("conv"), channels, channels, 3, Start::Random);
        let then = self.conv_resample.then(conv);
        to.steps.apply(b, |_| Resample { resize: Resize::Double, then });
    }

    fn middle(&self, to: &mut Layout, mut b: Builder<'_>) {
        self.apply_residual(to, b.at(0), to.channels, Resize::Keep);
        self.apply_attention(to, b.at(1), self.num_heads);
        self.apply_residual(to, b.at(2), to.channels, Resize::Keep);
    }

    fn up(&self, to: &mut Layout, b: &mut Builder<'_>) {
        let mut number = 0;
        for level in (0..self.channel_mult.len()).rev() {
            for index in 0..=self.num_res_blocks {
                let mut b = b.at(format_args!("output_blocks.{number}"));
                to.steps.push(Step::Join);
                to.channels += to.kept.pop().unwrap_or(0);
                self.apply_residual(to, b.at(0), self.width(level), Resize::Keep);
                if self.attends(level) {
                    self.apply_attention(to, b.at(1), self.heads_up());
                }
                if level > 0 && index == self.num_res_blocks {
                    let place = if self.attends(level) { 2 } else { 1 };
                    self.double(to, b.at(place));
                }
                number += 1;
            }
        }
    }

    fn head(&self, to: &mut Layout, b: Builder<'_>) {
        let channels = to.channels;
        to.steps.apply(b, |b| NormActivation {
            norm: Norm::new(b, channels, NORM),
            then: ActivationFunction::Silu,
        });
    }

    fn program(&self, steps: Steps, embedding: Embedding) -> Program {
        Program {
            centers: false,
            embedding: Some(embedding),
            activation: ActivationFunction::Silu,
            steps: steps.list(),
            scale: OutputScale::None,
        }
    }
}

impl Family for AdmConfig {
    fn check(&self) -> Result<(), UNetError> {
        AdmConfig::check(self)
    }

    fn in_channels(&self) -> i64 {
        self.in_channels
    }

    fn out_channels(&self) -> i64 {
        self.out_channels
    }

    fn image_size(&self) -> Option<[i64; 2]> {
        Some([self.image_size; 2])
    }

    fn size_divisor(&self) -> i64 {
        1 << (self.channel_mult.len() - 1)
    }

    fn labels(&self) -> Labels {
        self.num_classes.map_or(Labels::None, Labels::Classes)
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let embedding = self.embedding(b);
        let mut to = Layout::default();
        self.down(&mut to, b, |to| {
            to.steps.push(Step::Push);
            to.kept.push(to.channels);
        });
        self.middle(&mut to, b.at("middle_block"));
        self.up(&mut to, b);
        self.head(&mut to, b.at("out.0"));
        to.steps
            .apply(b.at("out.2"), |b| Conv::new(b, to.channels, self.out_channels, 3, Start::Zero));
        AdmConfig::program(self, to.steps, embedding)
    }
}

impl Family for AdmEncoderConfig {
    fn check(&self) -> Result<(), UNetError> {
        AdmEncoderConfig::check(self)
    }

    fn in_channels(&self) -> i64 {
        self.trunk.in_channels
    }

    fn out_channels(&self) -> i64 {
        self.trunk.out_channels
    }

    fn image_size(&self) -> Option<[i64; 2]> {
        Family::image_size(&self.trunk)
    }

    fn size_divisor(&self) -> i64 {
        Family::size_divisor(&self.trunk)
    }

    fn pixels(&self) -> Option<i64> {
        let factor = Family::size_divisor(self);
        let attends = self.pool == AdmPool::Attention;
        attends.then(|| (self.trunk.image_size / factor).pow(2) * factor * factor)
    }

    fn labels(&self) -> Labels {
        Labels::None
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let embedding = self.trunk.embedding(b);
        let mut to = Layout::default();
        let spatial = matches!(self.pool, AdmPool::Spatial | AdmPool::SpatialV2);
        let after_block = |to: &mut Layout| {
            if spatial {
                to.steps.push(Step::Mean);
                to.kept.push(to.channels);
            }
        };
        self.trunk.down(&mut to, b, after_block);
        self.trunk.middle(&mut to, b.at("middle_block"));
        after_block(&mut to);
        match self.pool {
            AdmPool::Spatial | AdmPool::SpatialV2 => self.spatial_pool(&mut to, b.at("out")),
            AdmPool::Adaptive | AdmPool::Attention => self.pixel_pool(&mut to, b.at("out")),
        }
        to.steps.push(Step::Flatten);
        self.trunk.program(to.steps, embedding)
    }
}

impl AdmEncoderConfig {
    fn pixel_pool(&self, to: &mut Layout, mut b: Builder<'_>) {
        let (channels, classes) = (to.channels, self.trunk.out_channels);
        self.trunk.head(to, b.at(0));
        if self.pool == AdmPool::Adaptive {
            to.steps.apply(b.at(2), |_| MeanPool);
            to.steps.apply(b.at(3), |b| Conv::new(b, channels, classes, 1, Start::Zero));
            return;
        }
        let side = self.trunk.image_size / Family::size_divisor(self);
        let heads = (channels / self.trunk.num_head_channels).max(1);
        if channels % heads != 0 {
            let value = self.trunk.num_head_channels.to_string();
            let allowed = format!("a number that fits the {channels} channels of the pool");
            b.reject("num_head_channels", value, allowed);
        }
        to.steps.apply(b.at(2), |b| AttentionPool::new(b, channels, side * side, heads, classes));
    }

    fn spatial_pool(&self, to: &mut Layout, mut b: Builder<'_>) {
        let (features, classes) = (to.kept.iter().sum(), self.trunk.out_channels);
        to.steps.push(Step::Means);
        to.steps.apply(b.at(0), |b| Linear::new(b, features, SPATIAL, Start::Random));
        if self.pool == AdmPool::Spatial {
            to.steps.apply(b.at(1), |_| ActivationFunction::Relu);
            to.steps.apply(b.at(2), |b| Linear::new(b, SPATIAL, classes, Start::Random));
        } else {
            to.channels = SPATIAL;
            self.trunk.head(to, b.at(1));
            to.steps.apply(b.at(3), |b| Linear::new(b, SPATIAL, classes, Start::Random));
        }
    }
}

#[cfg(test)]
mod tests;
