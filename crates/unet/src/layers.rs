//! Convolutions, linear layers and norms: the leaves of the network.
//!
//! Parameters are cast to the kind of the input where they differ, which is differentiable.
//! Initial values are `PyTorch`'s: uniform with bound 1/sqrt(fan in), norms one and zero.

use tch::{Kind, Tensor};
use tweedie_torch_ext::{Activation, GroupNorm, group_norm};

use crate::builder::{Builder, Initial};

/// Whether a layer starts at zero, as the last layer of a residual branch does (Ho et al. 2020, in
/// their code): every branch then starts as the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Random,
    Zero,
}

impl Start {
    fn initial(self, fan_in: i64) -> Initial {
        match self {
            Self::Random => Initial::Uniform((fan_in as f64).sqrt().recip()),
            Self::Zero => Initial::Zeros,
        }
    }
}

fn cast(parameter: &Tensor, kind: Kind) -> Tensor {
    if parameter.kind() == kind { parameter.shallow_clone() } else { parameter.to_kind(kind) }
}

#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor, // [out, in, k, k]
    bias: Tensor,   // [out]
    stride: i64,
    padding: i64,
}

impl Conv {
    /// A k x k convolution that keeps the size.
    pub(crate) fn new(mut b: Builder<'_>, from: i64, to: i64, kernel: i64, start: Start) -> Self {
        let initial = start.initial(from * kernel * kernel);
        Self {
            weight: b.parameter("weight", &[to, from, kernel, kernel], initial),
            bias: b.parameter("bias", &[to], initial),
            stride: 1,
            padding: kernel / 2,
        }
    }

    /// A 3x3 convolution that halves the size, with `padding` on every side.
    pub(crate) fn halving(b: Builder<'_>, channels: i64, padding: i64) -> Self {
        Self { stride: 2, padding, ..Self::new(b, channels, channels, 3, Start::Random) }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let weight = cast(&self.weight, x.kind());
        let bias = cast(&self.bias, x.kind());
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x.conv2d(&weight, Some(&bias), stride, padding, [1, 1], 1) // [n, out, h, w]
    }
}

#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor, // [out, in]
    bias: Tensor,   // [out]
}

impl Linear {
    pub(crate) fn new(mut b: Builder<'_>, from: i64, to: i64, start: Start) -> Self {
        let initial = start.initial(from);
        Self {
            weight: b.parameter("weight", &[to, from], initial),
            bias: b.parameter("bias", &[to], initial),
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&cast(&self.weight, x.kind()), Some(&cast(&self.bias, x.kind())))
    }

    /// Several layers on the same input as one product; the outputs stand side by side.
    pub(crate) fn side_by_side(layers: &[&Self], x: &Tensor) -> Tensor {
        let joined = |part: fn(&Self) -> &Tensor| {
            let parts: Vec<_> = layers.iter().map(|layer| cast(part(layer), x.kind())).collect();
            Tensor::cat(&parts, 0)
        };
        x.linear(&joined(|layer| &layer.weight), Some(&joined(|layer| &layer.bias)))
    }
}

/// A group norm over the channels of an image.
#[derive(Debug)]
pub(crate) struct Norm {
    weight: Tensor, // [c]
    bias: Tensor,   // [c]
    groups: i64,
    eps: f64,
}

/// The number of groups (`None`: a quarter of the channels, at most 32) and what is added to the
/// variance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormOptions {
    pub(crate) key: &'static str,
    pub(crate) groups: Option<i64>,
    pub(crate) eps: f64,
}

impl Norm {
    pub(crate) fn new(mut b: Builder<'_>, channels: i64, options: NormOptions) -> Self {
        let groups = options.groups.unwrap_or((channels / 4).clamp(1, 32));
        if groups < 1 || channels % groups != 0 {
            let allowed = format!("a divisor of the {channels} channels of a norm");
            b.reject(options.key, groups.to_string(), allowed);
        }
        Self {
            weight: b.parameter("weight", &[channels], Initial::Ones),
            bias: b.parameter("bias", &[channels], Initial::Zeros),
            groups,
            eps: options.eps,
        }
    }

    /// activation(norm(x + shift)), the shift being [n or 1, c].
    pub(crate) fn forward(&self, x: &Tensor, shift: Option<&Tensor>, then: Activation) -> Tensor {
        let Self { weight, bias, groups, eps } = self;
        group_norm(x, GroupNorm { weight, bias, groups: *groups, eps: *eps }, shift, then)
    }
}
