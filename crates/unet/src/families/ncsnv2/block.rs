//! The residual block of `NCSNv2`.

use tch::Tensor;
use tweedie_torch_ext::add_reusing;

use super::NcsnV2Model;
use super::norm::{FeatureNorm, NormThenActivation};
use crate::builder::Builder;
use crate::layers::{Conv, Start};
use crate::outline::Shape;
use crate::program::{Layer, Told};

/// What a block changes beside the number of channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Keep,
    /// The size is halved: the mean of every 2x2 pixels.
    Halve,
    /// The size stays; convolutions reach this many pixels far, the shortcut's too.
    Dilated(i64),
    /// The same with the input as the shortcut.
    StillDilated(i64),
}

impl Change {
    /// What the second block of a level does after the first.
    pub(super) fn after(self) -> Self {
        match self {
            Self::Keep | Self::Halve => Self::Keep,
            Self::Dilated(reach) | Self::StillDilated(reach) => Self::StillDilated(reach),
        }
    }

    fn reach(self) -> i64 {
        match self {
            Self::Keep | Self::Halve => 1,
            Self::Dilated(reach) | Self::StillDilated(reach) => reach,
        }
    }
}

/// shortcut(x) + conv2(act(norm2(conv1(act(norm1(x)))))).
#[derive(Debug)]
pub(super) struct Block {
    first: NormThenActivation,
    conv1: Conv,
    second: NormThenActivation,
    conv2: Conv,
    shortcut: Option<Conv>,
    halves: bool,
}

impl Block {
    pub(super) fn new(
        mut b: Builder<'_>,
        from: i64,
        to: i64,
        change: Change,
        model: &NcsnV2Model,
    ) -> Self {
        let reach = change.reach();
        let halves = change == Change::Halve;
        // A block that changes the size widens with its second convolution, others with the first.
        let between =
            if matches!(change, Change::Keep | Change::StillDilated(_)) { to } else { from };
        let then = model.nonlinearity.into();
        let norm = |b: Builder<'_>, channels| NormThenActivation {
            norm: FeatureNorm::new(b, channels, model.normalization),
            then,
        };
        let conv = if halves { "conv2.conv" } else { "conv2" };
        Self {
            first: norm(b.at("normalize1"), from),
            conv1: Conv::dilated(b.at("conv1"), from, between, reach),
            second: norm(b.at("normalize2"), between),
            conv2: Conv::dilated(b.at(conv), between, to, reach),
            shortcut: match change {
                Change::Keep | Change::StillDilated(_) => None,
                Change::Halve => Some(Conv::new(b.at("shortcut.conv"), from, to, 1, Start::Random)),
                Change::Dilated(_) => Some(Conv::dilated(b.at("shortcut"), from, to, reach)),
            },
            halves,
        }
    }
}

impl Layer for Block {
    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        let inner = self.first.forward(x.shallow_clone(), told);
        let inner = self.second.forward(self.conv1.forward(&inner), told);
        let (inner, x) = if self.halves {
            // The shortcut is linear in every pixel, so that it may as well see the mean.
            (self.conv2.forward_to_means(&inner), halved(&x))
        } else {
            (self.conv2.forward(&inner), x)
        };
        match &self.shortcut {
            Some(conv) => add_reusing(inner, &conv.forward(&x)),
            None => add_reusing(inner, &x),
        }
    }

    fn kind(&self) -> &'static str {
        if self.halves { "halving residual block" } else { "residual block" }
    }

    fn output(&self, x: Shape) -> Shape {
        let Shape { height, width, .. } = x;
        let channels = Layer::output(&self.conv2, x).channels;
        match self.halves {
            true => Shape { channels, height: height / 2, width: width / 2 },
            false => Shape { channels, height, width },
        }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        let output = self.output(x);
        // The second convolution and its mean are one with a kernel of 4x4.
        let second = self.conv2.multiply_adds_at(output);
        let second = if self.halves { second / 9 * 16 } else { second };
        let shortcut = self.shortcut.as_ref().map_or(0, |conv| conv.multiply_adds_at(output));
        self.conv1.multiply_adds_at(x) + second + shortcut
    }
}

fn halved(x: &Tensor) -> Tensor {
    x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None)
}
