//! Convolutions, linear layers and norms: the leaves of the network.
//!
//! Layers compute in the kind of the input; parameters of another are cast, which is differentiable.
//! Initial values are `PyTorch`'s: uniform with bound 1/sqrt(fan in), norms one and zero.

use std::cell::RefCell;

use tch::{Kind, Tensor};
use tweedie_torch_ext::{
    Activation, Conv2d, GroupNorm, PackedWeight, add_reusing, add_scaled, conv2d, grad_enabled,
    group_norm, linear,
};

use crate::ActivationFunction;
use crate::builder::{Builder, Initial};
use crate::outline::{Shape, dot};
use crate::packing::Packing;
use crate::program::{Layer, Told};

/// How a layer starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Start {
    /// Weights and biases uniform with bound 1/sqrt(fan in).
    Random,
    /// At zero, as the last layer of a residual branch does (Ho et al. 2020, in their code): every
    /// branch then starts as the identity.
    Zero,
    /// Weights uniform with this variance times 2/(fan in + fan out), and almost at zero where it is
    /// zero; biases at zero.
    Scaled(f64),
}

impl Start {
    /// The initial values of weights and biases.
    fn initial(self, fan_in: i64, fan_out: i64) -> [Initial; 2] {
        match self {
            Self::Random => [Initial::Uniform((fan_in as f64).sqrt().recip()); 2],
            Self::Zero => [Initial::Zeros; 2],
            Self::Scaled(scale) => {
                let scale = if scale == 0.0 { 1e-10 } else { scale };
                let bound = (6.0 * scale / (fan_in as f64 + fan_out as f64)).sqrt();
                [Initial::Uniform(bound), Initial::Zeros]
            }
        }
    }
}

/// How the layers of a block start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Starts {
    /// All but those below.
    pub(crate) layer: Start,
    /// Linear layers over the channels of every pixel: queries, keys, values, shortcuts.
    pub(crate) projection: Start,
    /// The last layer of the branch.
    pub(crate) last: Start,
}

impl Starts {
    /// Torch's own, every branch starting as the identity.
    pub(crate) const IDENTITY: Self =
        Self { layer: Start::Random, projection: Start::Random, last: Start::Zero };
}

pub(crate) fn cast(parameter: &Tensor, kind: Kind) -> Tensor {
    if parameter.kind() == kind { parameter.shallow_clone() } else { parameter.to_kind(kind) }
}

/// (a + b) / divisor, written over the memory of `a` where no gradient is recorded.
pub(crate) fn add_over(a: Tensor, b: &Tensor, divisor: f64) -> Tensor {
    if divisor == 1.0 { add_reusing(a, b) } else { add_scaled(a, b, divisor.recip()) }
}

#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,       // [out, in, k, k]
    bias: Option<Tensor>, // [out]
    stride: i64,
    padding: i64,
    dilation: i64,
    /// Whether one row and one column are put below and right first.
    pads_end: bool,
    packing: Packing,
    packed: RefCell<Option<PackedWeight>>,
}

impl Conv {
    /// A k x k convolution that keeps the size.
    pub(crate) fn new(mut b: Builder<'_>, from: i64, to: i64, kernel: i64, start: Start) -> Self {
        let area = kernel * kernel;
        let [weight, bias] = start.initial(from * area, to.saturating_mul(area));
        let packing = b.packing();
        Self {
            weight: b.parameter("weight", &[to, from, kernel, kernel], weight),
            bias: Some(b.parameter("bias", &[to], bias)),
            stride: 1,
            padding: kernel / 2,
            dilation: 1,
            pads_end: false,
            packing,
            packed: RefCell::default(),
        }
    }

    /// A 3x3 convolution without a bias.
    pub(crate) fn without_bias(mut b: Builder<'_>, channels: i64) -> Self {
        let [initial, _] = Start::Random.initial(channels * 9, channels * 9);
        let weight = b.parameter("weight", &[channels, channels, 3, 3], initial);
        let (packing, packed) = (b.packing(), RefCell::default());
        let (stride, padding, dilation, pads_end) = (1, 1, 1, false);
        Self { weight, bias: None, stride, padding, dilation, pads_end, packing, packed }
    }

    /// A 3x3 convolution whose taps are `reach` pixels apart.
    pub(crate) fn dilated(b: Builder<'_>, from: i64, to: i64, reach: i64) -> Self {
        let conv = Self::new(b, from, to, 3, Start::Random);
        Self { padding: reach, dilation: reach, ..conv }
    }

    /// A 3x3 convolution that halves the size; without padding on every side, one row and one column
    /// are put below and right.
    pub(crate) fn halving(b: Builder<'_>, channels: i64, pads: bool) -> Self {
        Self::new(b, channels, channels, 3, Start::Random).halved(pads)
    }

    /// The 3x3 convolution with a stride of 2 instead, as for [`Conv::halving`].
    pub(crate) fn halved(self, pads: bool) -> Self {
        Self { stride: 2, padding: i64::from(pads), pads_end: !pads, ..self }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        let Self { stride, padding, dilation, .. } = *self;
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let conv = Conv2d { weight, bias, stride, padding, dilation };
        let mut kept = self.packed.borrow_mut();
        if !self.packing.acts() {
            *kept = None;
        }
        if !self.packing.acts() || grad_enabled() {
            return conv2d(x, conv); // [n, out, h, w]
        }
        let current = kept.take().filter(|packed| packed.is_current(x, weight));
        kept.insert(current.unwrap_or_else(|| PackedWeight::new(x, conv))).conv2d(x, conv)
    }

    /// The mean of every 2x2 pixels of what the 3x3 convolution gives, in one convolution of stride 2.
    pub(crate) fn forward_to_means(&self, x: &Tensor) -> Tensor {
        let weight = self.weight(x.kind());
        let shifted = |left, above| weight.constant_pad_nd([left, 1 - left, above, 1 - above]);
        let sum = shifted(0, 0) + shifted(1, 0) + shifted(0, 1) + shifted(1, 1); // [out, in, 4, 4]
        let (weight, bias) = (&(sum / 4.0), self.bias.as_ref());
        conv2d(x, Conv2d { weight, bias, stride: 2, padding: 1, dilation: 1 })
    }

    /// The weight as it computes in numbers of that kind.
    pub(crate) fn weight(&self, kind: Kind) -> Tensor {
        cast(&self.weight, kind)
    }

    /// The bias, if there is one, likewise.
    pub(crate) fn bias(&self, kind: Kind) -> Option<Tensor> {
        self.bias.as_ref().map(|bias| cast(bias, kind))
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

    fn kind(&self) -> &'static str {
        match (self.stride, self.side()) {
            (1, 1) => "1x1 convolution",
            (1, _) => "convolution",
            _ => "strided convolution",
        }
    }

    fn output(&self, x: Shape) -> Shape {
        let padding = 2 * self.padding + i64::from(self.pads_end);
        let reach = self.dilation * (self.side() - 1) + 1;
        let side = |side: i64| (side + padding - reach) / self.stride + 1;
        let channels = self.weight.size().first().copied().unwrap_or(0);
        Shape { channels, height: side(x.height), width: side(x.width) }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        self.multiply_adds_at(self.output(x))
    }
}

impl Conv {
    /// Pixels from one end of the kernel to the other.
    fn side(&self) -> i64 {
        self.weight.size().last().copied().unwrap_or(1)
    }

    /// The products for an output of that size, as for any place where the convolution stands.
    pub(crate) fn multiply_adds_at(&self, output: Shape) -> u64 {
        dot(output.pixels(), self.weight.numel() as i64)
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
        let [initial, initial_bias] = start.initial(from, to);
        let (weight, shape, bias): (_, &[i64], _) = match form {
            LinearForm::Dense => ("weight", &[to, from], "bias"),
            LinearForm::Conv1d => ("weight", &[to, from, 1], "bias"),
            LinearForm::Nin => ("W", &[from, to], "b"),
        };
        let weight = b.parameter(weight, shape, initial);
        Self { weight, bias: b.parameter(bias, &[to], initial_bias), form }
    }

    /// The number of its outputs.
    pub(crate) fn to(&self) -> i64 {
        self.bias.size().first().copied().unwrap_or(0)
    }

    /// The products for so many tokens.
    pub(crate) fn multiply_adds(&self, tokens: u64) -> u64 {
        dot(tokens, self.weight.numel() as i64)
    }

    /// The weight as [out, in].
    fn matrix(&self) -> Tensor {
        match self.form {
            LinearForm::Dense => self.weight.shallow_clone(),
            LinearForm::Conv1d => self.weight.squeeze_dim(-1),
            LinearForm::Nin => self.weight.transpose(0, 1),
        }
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Tensor {
        linear(x, &self.matrix(), &self.bias)
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
        linear(x, &joined(&Self::matrix), &joined(&|layer| layer.bias.shallow_clone()))
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

    /// activation(norm(x) (scale + 1) + shift), both being [n or 1, c].
    pub(crate) fn scaled(
        &self,
        x: &Tensor,
        [scale, shift]: [&Tensor; 2],
        then: ActivationFunction,
    ) -> Tensor {
        let scale = scale + 1.0;
        let (weight, bias) = (&(&self.weight * &scale), &(&self.bias * scale + shift));
        let norm = GroupNorm { weight, bias, groups: self.groups, eps: self.eps };
        match then {
            ActivationFunction::Silu => group_norm(x, norm, None, Activation::Silu),
            other => other.apply(&group_norm(x, norm, None, Activation::None)),
        }
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

    fn kind(&self) -> &'static str {
        "norm and activation"
    }

    fn output(&self, x: Shape) -> Shape {
        x
    }

    fn multiply_adds(&self, _: Shape) -> u64 {
        0
    }
}

impl Layer for Linear {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        self.on_pixels(&x)
    }

    fn kind(&self) -> &'static str {
        "linear"
    }

    fn output(&self, x: Shape) -> Shape {
        Shape { channels: self.to(), ..x }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        Linear::multiply_adds(self, x.pixels())
    }
}

impl Layer for ActivationFunction {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        self.apply(&x)
    }

    fn kind(&self) -> &'static str {
        "activation"
    }

    fn output(&self, x: Shape) -> Shape {
        x
    }

    fn multiply_adds(&self, _: Shape) -> u64 {
        0
    }
}
