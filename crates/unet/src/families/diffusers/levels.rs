//! The levels of `UNet2DModel`, going down and going up.

use std::f64::consts::SQRT_2;

use super::{DownBlockType, Resampling, UNetConfig, UpBlockType};
use crate::ActivationFunction;
use crate::attention::SelfAttention;
use crate::builder::Builder;
use crate::fir::Fir;
use crate::layers::{Conv, Groups, Norm, NormActivation, Start};
use crate::part::Part;
use crate::program::{Combine, Pyramid, Step, Steps};
use crate::resample::{Resample, Resize};
use crate::residual::{Residual, ResidualOptions};

/// The channels of the images beside the features.
pub(super) const IMAGE: i64 = 3;

/// The filter of skip levels.
const TAPS: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

/// What the name of a level says.
#[derive(Clone, Copy)]
struct Level {
    attends: bool,
    skips: bool,
    resampling: Resampling,
}

impl UNetConfig {
    fn down_level(&self, level: usize) -> Level {
        use DownBlockType::{AttnDown, AttnSkipDown, Down, ResnetDown, SkipDown};
        let kind = self.down_block_types[level];
        Level {
            attends: matches!(kind, AttnDown | AttnSkipDown),
            skips: matches!(kind, SkipDown | AttnSkipDown),
            resampling: match kind {
                Down => Resampling::Conv,
                AttnDown => self.downsample_type,
                ResnetDown | SkipDown | AttnSkipDown => Resampling::Resnet,
            },
        }
    }

    fn up_level(&self, index: usize) -> Level {
        use UpBlockType::{AttnSkipUp, AttnUp, ResnetUp, SkipUp, Up};
        let kind = self.up_block_types[index];
        Level {
            attends: matches!(kind, AttnUp | AttnSkipUp),
            skips: matches!(kind, SkipUp | AttnSkipUp),
            resampling: match kind {
                Up => Resampling::Conv,
                AttnUp => self.upsample_type,
                ResnetUp | SkipUp | AttnSkipUp => Resampling::Resnet,
            },
        }
    }

    /// Whether a level on the way down halves the image beside the features.
    pub(super) fn shrinks_image(&self, level: usize) -> bool {
        level + 1 < self.block_out_channels.len() && self.down_level(level).skips
    }

    /// Whether a level on the way up adds to the image beside the features.
    pub(super) fn draws_image(&self, index: usize) -> bool {
        index + 1 < self.block_out_channels.len() && self.up_level(index).skips
    }

    /// The residual blocks of a level: skip levels have rules of their own.
    fn residual_of(&self, level: Level, b: &mut Builder<'_>) -> ResidualOptions {
        if level.skips {
            let groups = Groups::Quarter("block_out_channels");
            return ResidualOptions { divisor: SQRT_2, ..self.residual(groups) };
        }
        if self.norm_num_groups.is_none() {
            let allowed = "a number where there are levels other than skip levels".to_owned();
            b.reject("norm_num_groups", "null".to_owned(), allowed);
        }
        self.residual(self.groups_or_quarter())
    }

    fn attention_of(&self, level: Level, b: Builder<'_>, channels: i64) -> SelfAttention {
        let mut b = b;
        let (groups, divisor) = match level.skips {
            true => (Groups::Fixed("block_out_channels", 32), SQRT_2),
            false => (self.groups_or_quarter(), 1.0),
        };
        let options = self.attention(&mut b, channels, Some(groups), divisor);
        SelfAttention::new(b, channels, options)
    }

    /// A level on the way down, each of whose stages and whose downsampling is kept.
    pub(super) fn down(&self, steps: &mut Steps, mut b: Builder<'_>, level: usize) {
        let channels = &self.block_out_channels;
        let (from, to) = (channels[level.saturating_sub(1)], channels[level]);
        let kind = self.down_level(level);
        let residual = self.residual_of(kind, &mut b);
        for stage in 0..self.layers_per_block {
            let from = if stage == 0 { from } else { to };
            let options = residual.clone();
            steps.apply(b.at("resnets").at(stage), |b| Residual::new(b, from, to, options));
            if kind.attends {
                steps.apply(b.at("attentions").at(stage), |b| self.attention_of(kind, b, to));
            }
            steps.push(Step::Push);
        }
        if level + 1 < channels.len() {
            match (kind.skips, kind.resampling) {
                (true, _) => shrink(steps, b, to, residual),
                (false, Resampling::Conv) => self.strided(steps, b, to),
                (false, Resampling::Resnet) => {
                    let options = ResidualOptions { resize: Resize::Halve, ..residual };
                    steps.apply(b.at("downsamplers.0"), |b| Residual::new(b, to, to, options));
                }
            }
            steps.push(Step::Push);
        }
    }

    fn strided(&self, steps: &mut Steps, mut b: Builder<'_>, channels: i64) {
        if !matches!(self.downsample_padding, 0 | 1) {
            let value = self.downsample_padding.to_string();
            b.reject("downsample_padding", value, "0 or 1".to_owned());
        }
        let pads = self.downsample_padding == 1;
        steps.apply(b.at("downsamplers.0.conv"), |b| Conv::halving(b, channels, pads));
    }

    /// A level on the way up, with one stage more than its twin; `index` counts from the deepest.
    pub(super) fn up(&self, steps: &mut Steps, mut b: Builder<'_>, index: usize) {
        let channels: Vec<i64> = self.block_out_channels.iter().rev().copied().collect();
        let last = channels.len() - 1;
        let (below, to) = (channels[index.saturating_sub(1)], channels[index]);
        let above = channels[(index + 1).min(last)];
        let kind = self.up_level(index);
        let residual = self.residual_of(kind, &mut b);
        for stage in 0..=self.layers_per_block {
            let skip = if stage == self.layers_per_block { above } else { to };
            let from = if stage == 0 { below } else { to };
            let mut options = residual.clone();
            if kind.skips && kind.attends {
                // Not a quarter of the sum: weights were trained with this.
                options.norm1.groups =
                    Groups::Fixed("block_out_channels", (from + skip / 4).min(32));
            }
            steps.push(Step::Join);
            steps.apply(b.at("resnets").at(stage), |b| Residual::new(b, from + skip, to, options));
            if kind.attends && (!kind.skips || stage == self.layers_per_block) {
                let name = if kind.skips { 0 } else { stage };
                steps.apply(b.at("attentions").at(name), |b| self.attention_of(kind, b, to));
            }
        }
        match (kind.skips, kind.resampling) {
            (true, _) => self.grow(steps, b, index, residual),
            _ if index == last => {}
            (false, Resampling::Conv) => {
                let mut b = b.at("upsamplers.0");
                let conv = Conv::new(b.at("conv"), to, to, 3, Start::Random);
                steps.apply(b, |_| Resample { resize: Resize::Double, then: Some(conv) });
            }
            (false, Resampling::Resnet) => {
                let options = ResidualOptions { resize: Resize::Double, ..residual };
                steps.apply(b.at("upsamplers.0"), |b| Residual::new(b, to, to, options));
            }
        }
    }

    /// The end of a skip level going up: the image doubles with the features and is drawn upon.
    fn grow(&self, steps: &mut Steps, mut b: Builder<'_>, index: usize, residual: ResidualOptions) {
        let channels = self.block_out_channels[self.block_out_channels.len() - 1 - index];
        let image = Part::new(b.at("upsampler"), |_| resample(Resize::FirDouble(fir())));
        steps.push(Step::Resample(Pyramid::Output, image));
        if self.draws_image(index) {
            let norm = Part::new(b.at("skip_norm"), |b| NormActivation {
                norm: Norm::new(b, channels, residual.norm2),
                then: ActivationFunction::Silu,
            });
            let conv =
                Part::new(b.at("skip_conv"), |b| Conv::new(b, channels, IMAGE, 3, Start::Random));
            steps.push(Step::Draw(vec![norm, conv]));
            resize(steps, b.at("resnet_up"), channels, Resize::FirDouble(fir()), residual);
        }
    }
}

/// The end of a skip level going down: the image is halved with the features and added to them.
fn shrink(steps: &mut Steps, mut b: Builder<'_>, channels: i64, residual: ResidualOptions) {
    resize(steps, b.at("resnet_down"), channels, Resize::FirHalve(fir()), residual);
    let image = Part::new(b.at("downsamplers.0"), |_| resample(Resize::FirHalve(fir())));
    steps.push(Step::Resample(Pyramid::Input, image));
    let conv = Part::new(b.at("skip_conv"), |b| Conv::new(b, IMAGE, channels, 1, Start::Random));
    steps.push(Step::Feed(Some(conv), Combine::Sum { divisor: 1.0 }));
}

fn resize(
    steps: &mut Steps,
    b: Builder<'_>,
    channels: i64,
    resize: Resize,
    residual: ResidualOptions,
) {
    let options = ResidualOptions { resize, projects_always: true, ..residual };
    steps.apply(b, |b| Residual::new(b, channels, channels, options));
}

fn resample(resize: Resize) -> Resample {
    Resample { resize, then: None }
}

fn fir() -> Fir {
    Fir::new(&TAPS).expect("the filter of skip levels is one")
}
