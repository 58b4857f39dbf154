//! Convolutions, linear layers and norms: the leaves of the network.
//!
//! Parameters are cast to the kind of the input where they differ, which is differentiable.
//! Initial values are `PyTorch`'s: uniform with bound 1/sqrt(fan in), norms one and zero.

use tch::{Kind, Tensor};
use tweedie_torch_ext::{Activation, GroupNorm, group_norm};

use crate::ActivationFunction;
use crate::builder::{Builder, Initial};
use crate::program::{Layer, Told};

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
    /// Whether one row and one column are put below and right first.
    pads_end: bool,
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
            pads_end: false,
        }
    }

    /// A 3x3 convolution that halves the size; without padding on every side, one row and one column
    /// are put below and right.
    pub(crate) fn halving(b: Builder<'_>, channels: i64, pads: bool) -> Self {
        let conv = Self::new(b, channels, channels, 3, Start::Random);
        Self { stride: 2, padding: i64::from(pads), pads_end: !pads, ..conv }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let weight = cast(&self.weight, x.kind());
        let bias = cast(&self.bias, x.kind());
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        x.conv2d(&weight, Some(&bias), stride, padding, [1, 1], 1) // [n, out, h, w]
    }
}

impl Layer for Conv {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        if !self.pads_end {
            return Conv::forward(self, &x);
        }
        let padded = x.constant_pad_nd([0, 1, 0, 1]);
        drop(x);
        Conv::forward(self, &padded)
    }
}

/// In which form a linear layer keeps its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinearForm {
    /// `weight` [out, in] and `bias`.
    Dense,
    /// `weight` [out, in, 1] and `bias`: a convolution over a line of pixels.
    Conv1d,
    /// `W` [in, out] and `b`: the "network in network" of the score SDE code.
    Nin,
}

#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor, // in its form
    bias: Tensor,   // [out]
    form: LinearForm,
}

impl Linear {
    pub(crate) fn new(b: Builder<'_>, from: i64, to: i64, start: Start) -> Self {
        Self::in_form(b, from, to, start, LinearForm::Dense)
    }

    pub(crate) fn in_form(
        mut b: Builder<'_>,
        from: i64,
        to: i64,
        start: Start,
        form: LinearForm,
    ) -> Self {
        let initial = start.initial(from);
        let (weight, shape, bias): (_, &[i64], _) = match form {
            LinearForm::Dense => ("weight", &[to, from], "bias"),
            LinearForm::Conv1d => ("weight", &[to, from, 1], "bias"),
            LinearForm::Nin => ("W", &[from, to], "b"),
        };
        let weight = b.parameter(weight, shape, initial);
        Self { weight, bias: b.parameter(bias, &[to], initial), form }
    }

    /// The weight as [out, in].
    fn matrix(&self, kind: Kind) -> Tensor {
        let weight = cast(&self.weight, kind);
        match self.form {
            LinearForm::Dense => weight,
            LinearForm::Conv1d => weight.squeeze_dim(-1),
            LinearForm::Nin => weight.transpose(0, 1),
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.matrix(x.kind()), Some(&cast(&self.bias, x.kind())))
    }

    /// The layer on the channels of every pixel of x `[n, c, h, w]`.
    pub(crate) fn on_pixels(&self, x: &Tensor) -> Tensor {
        self.forward(&x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2])
    }

    /// Several layers on the same input as one product; the outputs stand side by side.
    pub(crate) fn side_by_side(layers: &[&Self], x: &Tensor) -> Tensor {
        let joined = |part: &dyn Fn(&Self) -> Tensor| {
            Tensor::cat(&layers.iter().map(|layer| part(layer)).collect::<Vec<_>>(), 0)
        };
        let weight = joined(&|layer| layer.matrix(x.kind()));
        x.linear(&weight, Some(&joined(&|layer| cast(&layer.bias, x.kind()))))
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

/// Into how many groups a norm parts its channels.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Groups {
    /// As many as the key of a configuration says.
    Given(&'static str, i64),
    /// As many as the family always has; the key decides the channels.
    Fixed(&'static str, i64),
    /// A quarter of the channels, at most 32; the key decides the channels.
    Quarter(&'static str),
}

/// The groups of a norm and what is added to the variance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormOptions {
    pub(crate) groups: Groups,
    pub(crate) eps: f64,
}

impl Groups {
    /// The number for so many channels; one that does not divide them is rejected.
    fn of(self, channels: i64, b: &mut Builder<'_>) -> i64 {
        let (key, groups) = match self {
            Self::Given(key, groups) | Self::Fixed(key, groups) => (key, groups),
            Self::Quarter(key) => (key, (channels / 4).min(32)),
        };
        if groups >= 1 && channels % groups == 0 {
            return groups;
        }
        let (value, allowed) = match self {
            Self::Given(..) => {
                (groups.to_string(), format!("a divisor of the {channels} channels of a norm"))
            }
            _ => (
                format!("such that a norm has {channels} channels"),
                format!("a multiple of its {} groups", groups.max(4)),
            ),
        };
        b.reject(key, value, allowed);
        1
    }
}

impl Norm {
    pub(crate) fn new(mut b: Builder<'_>, channels: i64, options: NormOptions) -> Self {
        let groups = options.groups.of(channels, &mut b);
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

    /// As [`Norm::forward`], with any non-linearity of a network.
    pub(crate) fn activated(
        &self,
        x: &Tensor,
        shift: Option<&Tensor>,
        then: ActivationFunction,
    ) -> Tensor {
        match then {
            ActivationFunction::Silu => self.forward(x, shift, Activation::Silu),
            other => other.apply(&self.forward(x, shift, Activation::None)),
        }
    }
}

/// activation(norm(x)) as a layer of its own.
#[derive(Debug)]
pub(crate) struct NormActivation {
    pub(crate) norm: Norm,
    pub(crate) then: ActivationFunction,
}

impl Layer for NormActivation {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        self.norm.activated(&x, None, self.then)
    }
}
