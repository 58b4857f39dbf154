//! The residual block.

use tch::{Kind, Tensor};
use tweedie_torch_ext::{grad_enabled, widens};

use crate::ActivationFunction;
use crate::builder::Builder;
use crate::layers::{Conv, Linear, LinearForm, Norm, NormOptions, Starts, add_over};
use crate::outline::Shape;
use crate::program::{Layer, Told};
use crate::resample::Resize;

/// How a family calls the modules of its residual blocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResidualStyle {
    pub(crate) norm1: &'static str,
    pub(crate) conv1: &'static str,
    /// The projection of the embedding.
    pub(crate) told: &'static str,
    pub(crate) norm2: &'static str,
    pub(crate) conv2: &'static str,
    pub(crate) shortcut: &'static str,
    /// Whether the shortcut is a 1x1 convolution, or the same as a linear layer over channels.
    pub(crate) shortcut_is_conv: bool,
}

/// How a residual block is told the embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// Added before the second norm.
    Shift,
    /// As factor and summand after the second norm.
    ScaleShift,
}

/// What tells the residual blocks of a network apart.
#[derive(Clone, Debug)]
pub(crate) struct ResidualOptions {
    pub(crate) style: ResidualStyle,
    pub(crate) starts: Starts,
    pub(crate) norm1: NormOptions,
    pub(crate) norm2: NormOptions,
    /// Width of the embedding.
    pub(crate) embedding: i64,
    pub(crate) telling: Telling,
    pub(crate) activation: ActivationFunction,
    pub(crate) dropout: f64,
    /// The sum of both branches is divided by this.
    pub(crate) divisor: f64,
    /// A change of size before the first convolution.
    pub(crate) resize: Resize,
    /// Whether the shortcut has a layer although it keeps the number of channels.
    pub(crate) projects_always: bool,
}

#[derive(Debug)]
enum Shortcut {
    Identity,
    Conv(Conv),
    Linear(Linear),
}

/// (shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))) + embedding)))) / divisor, both branches resized.
#[derive(Debug)]
pub(crate) struct Residual {
    norm1: Norm,
    conv1: Conv,
    told: Linear,
    norm2: Norm,
    conv2: Conv,
    shortcut: Shortcut,
    options: ResidualOptions,
}

impl Residual {
    pub(crate) fn new(mut b: Builder<'_>, from: i64, to: i64, options: ResidualOptions) -> Self {
        let style = options.style;
        let Starts { layer, projection, last } = options.starts;
        let told = match options.telling {
            Telling::Shift => to,
            Telling::ScaleShift => 2 * to,
        };
        Self {
            norm1: Norm::new(b.at(style.norm1), from, options.norm1),
            conv1: Conv::new(b.at(style.conv1), from, to, 3, layer),
            told: Linear::new(b.at(style.told), options.embedding, told, layer),
            norm2: Norm::new(b.at(style.norm2), to, options.norm2),
            conv2: Conv::new(b.at(style.conv2), to, to, 3, last),
            shortcut: match (from != to || options.projects_always, style.shortcut_is_conv) {
                (false, _) => Shortcut::Identity,
                (true, true) => Shortcut::Conv(Conv::new(b.at(style.shortcut), from, to, 1, layer)),
                (true, false) => Shortcut::Linear(Linear::in_form(
                    b.at(style.shortcut),
                    from,
                    to,
                    projection,
                    LinearForm::Nin,
                )),
            },
            options,
        }
    }

    /// The second norm and activation, with the embedding added before or applied between.
    fn told(&self, inner: Tensor, embedding: Option<&Tensor>) -> Tensor {
        let activation = self.options.activation;
        let told = embedding.map(|embedding| self.told.forward(embedding));
        match (&told, self.options.telling) {
            (Some(told), Telling::ScaleShift) => {
                let parts = told.chunk(2, 1);
                self.norm2.scaled(&inner, [&parts[0], &parts[1]], activation)
            }
            (told, _) => self.norm2.activated(&inner, told.as_ref(), activation),
        }
    }
}

impl Layer for Residual {
    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        let options = &self.options;
        let kind = x.kind();
        let inner = self.norm1.activated(&x, None, options.activation);
        // Where products are widened, the whole branch may as well be, unless it is kept for a gradient.
        let inner =
            if widens(&inner) && !grad_enabled() { inner.to_kind(Kind::Float) } else { inner };
        let inner = options.resize.apply(inner); // [n, from, h, w]
        let x = options.resize.apply(x);
        let inner = self.told(self.conv1.forward(&inner), told.embedding); // [n, to, h, w]
        let drops = told.train && options.dropout > 0.0;
        let inner = if drops { inner.dropout(options.dropout, true) } else { inner };
        let inner = self.conv2.forward(&inner);
        let sum = match &self.shortcut {
            Shortcut::Identity => add_over(inner, &x, options.divisor),
            Shortcut::Conv(conv) => add_over(inner, &conv.forward(&x), options.divisor),
            Shortcut::Linear(linear) => add_over(inner, &linear.on_pixels(&x), options.divisor),
        };
        sum.to_kind(kind)
    }

    fn kind(&self) -> &'static str {
        match &self.options.resize {
            Resize::Keep => "residual block",
            Resize::Halve | Resize::FirHalve(_) => "halving residual block",
            Resize::Double | Resize::FirDouble(_) => "doubling residual block",
        }
    }

    fn output(&self, x: Shape) -> Shape {
        let resized = self.options.resize.output(x);
        Layer::output(&self.conv1, resized)
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        let output = self.output(x);
        let shortcut = match &self.shortcut {
            Shortcut::Identity => 0,
            Shortcut::Conv(conv) => conv.multiply_adds_at(output),
            Shortcut::Linear(linear) => linear.multiply_adds(output.pixels()),
        };
        let convs = [&self.conv1, &self.conv2].map(|conv| conv.multiply_adds_at(output));
        convs.iter().sum::<u64>() + shortcut + self.told.multiply_adds(1)
    }
}
