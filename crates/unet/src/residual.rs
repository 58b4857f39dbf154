//! The residual block.

use tch::Tensor;
use tweedie_torch_ext::{Activation, add_reusing};

use crate::ActivationFunction;
use crate::builder::Builder;
use crate::config::{TimeScaleShift, UNetConfig};
use crate::layers::{Conv, Linear, Norm, NormOptions, Start};

/// A change of size inside a residual block, before its first convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resize {
    Keep,
    Halve,
    Double,
}

impl Resize {
    fn apply(self, x: Tensor) -> Tensor {
        match self {
            Self::Keep => x,
            Self::Halve => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            Self::Double => double(&x),
        }
    }
}

/// Every pixel twice in both directions.
pub(crate) fn double(x: &Tensor) -> Tensor {
    let size = x.size();
    x.upsample_nearest2d([size[2] * 2, size[3] * 2], None, None)
}

/// What all residual blocks of a network share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidualOptions {
    pub(crate) norm: NormOptions,
    pub(crate) embedding: i64,
    pub(crate) activation: ActivationFunction,
    pub(crate) scale_shift: TimeScaleShift,
    pub(crate) dropout: f64,
    /// The sum of both branches is divided by this.
    pub(crate) divisor: f64,
}

impl ResidualOptions {
    pub(crate) fn new(config: &UNetConfig) -> Self {
        let groups = config.norm_num_groups;
        Self {
            norm: NormOptions { key: "norm_num_groups", groups, eps: config.norm_eps },
            embedding: config.time_embedding_width(),
            activation: config.act_fn,
            scale_shift: config.resnet_time_scale_shift,
            dropout: config.dropout,
            divisor: 1.0,
        }
    }
}

/// (shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))) + time)))) / divisor.
#[derive(Debug)]
pub(crate) struct Residual {
    norm1: Norm,
    conv1: Conv,
    time_emb_proj: Linear,
    norm2: Norm,
    conv2: Conv,
    conv_shortcut: Option<Conv>,
    resize: Resize,
    options: ResidualOptions,
}

impl Residual {
    pub(crate) fn new(b: Builder<'_>, from: i64, to: i64, options: ResidualOptions) -> Self {
        Self::resizing(b, from, to, options, Resize::Keep)
    }

    pub(crate) fn resizing(
        mut b: Builder<'_>,
        from: i64,
        to: i64,
        options: ResidualOptions,
        resize: Resize,
    ) -> Self {
        let told = match options.scale_shift {
            TimeScaleShift::Default => to,
            TimeScaleShift::ScaleShift => 2 * to,
        };
        Self {
            norm1: Norm::new(b.at("norm1"), from, options.norm),
            conv1: Conv::new(b.at("conv1"), from, to, 3, Start::Random),
            time_emb_proj: Linear::new(
                b.at("time_emb_proj"),
                options.embedding,
                told,
                Start::Random,
            ),
            norm2: Norm::new(b.at("norm2"), to, options.norm),
            conv2: Conv::new(b.at("conv2"), to, to, 3, Start::Zero),
            conv_shortcut: (from != to)
                .then(|| Conv::new(b.at("conv_shortcut"), from, to, 1, Start::Random)),
            resize,
            options,
        }
    }

    /// `embedding` is the activated embedding, [n or 1, width].
    pub(crate) fn forward(&self, x: Tensor, embedding: &Tensor, train: bool) -> Tensor {
        let inner = self.resize.apply(self.activated(&self.norm1, &x, None)); // [n, from, h, w]
        let x = self.resize.apply(x);
        let inner = self.told(self.conv1.forward(&inner), embedding); // [n, to, h, w]
        let drops = train && self.options.dropout > 0.0;
        let inner = if drops { inner.dropout(self.options.dropout, true) } else { inner };
        let inner = self.conv2.forward(&inner);
        let sum = match &self.conv_shortcut {
            Some(conv) => add_reusing(inner, &conv.forward(&x)),
            None => add_reusing(inner, &x),
        };
        if self.options.divisor == 1.0 { sum } else { sum / self.options.divisor }
    }

    /// The second norm and activation, with the embedding added before or applied between.
    fn told(&self, inner: Tensor, embedding: &Tensor) -> Tensor {
        let told = self.time_emb_proj.forward(embedding);
        match self.options.scale_shift {
            TimeScaleShift::Default => self.activated(&self.norm2, &inner, Some(&told)),
            TimeScaleShift::ScaleShift => {
                let normed = self.norm2.forward(&inner, None, Activation::None);
                let parts = told.unsqueeze(-1).unsqueeze(-1).chunk(2, 1);
                self.options.activation.apply(&(normed * (&parts[0] + 1.0) + &parts[1]))
            }
        }
    }

    fn activated(&self, norm: &Norm, x: &Tensor, shift: Option<&Tensor>) -> Tensor {
        match self.options.activation {
            ActivationFunction::Silu => norm.forward(x, shift, Activation::Silu),
            other => other.apply(&norm.forward(x, shift, Activation::None)),
        }
    }
}
