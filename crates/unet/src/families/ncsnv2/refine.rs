//! The refining block: what the level below gave meets what this level kept.

use tch::Tensor;
use tweedie_torch_ext::add_reusing;

use crate::ActivationFunction;
use crate::builder::Builder;
use crate::layers::{Conv, Start};
use crate::outline::Shape;
use crate::program::{Junction, Layer, Told};

/// Channels of a refining block.
#[derive(Clone, Copy, Debug)]
pub(super) struct RefineWidths {
    /// Of what the level kept.
    pub(super) kept: i64,
    /// Of what the level below gave, if there is one.
    pub(super) below: Option<i64>,
    /// Of the result.
    pub(super) to: i64,
}

/// Residual pairs of convolutions for every input, their sum at the size of the larger, a chain of
/// pooling, residual pairs again (Lin et al. 2017, sec. 3.2).
#[derive(Debug)]
pub(super) struct Refine {
    adapted: Vec<Pairs>,
    /// Where there are two inputs, what each goes through before the sum.
    merged: Vec<Conv>,
    pooled: [Conv; 2],
    output: Pairs,
    activation: ActivationFunction,
}

impl Refine {
    pub(super) fn new(
        mut b: Builder<'_>,
        widths: RefineWidths,
        ends: bool,
        activation: ActivationFunction,
    ) -> Self {
        let RefineWidths { kept, below, to } = widths;
        let inputs: Vec<i64> = std::iter::once(kept).chain(below).collect();
        let adapted = inputs.iter().enumerate().map(|(index, channels)| {
            Pairs::new(b.at(format_args!("adapt_convs.{index}")), *channels, 2, activation)
        });
        let adapted = adapted.collect();
        let merged = inputs.iter().enumerate().filter(|_| below.is_some()).map(|(index, from)| {
            Conv::new(b.at(format_args!("msf.convs.{index}")), *from, to, 3, Start::Random)
        });
        let merged = merged.collect();
        let pooled =
            [0, 1].map(|index| Conv::without_bias(b.at(format_args!("crp.convs.{index}")), to));
        let output = Pairs::new(b.at("output_convs"), to, if ends { 3 } else { 1 }, activation);
        Self { adapted, merged, pooled, output, activation }
    }

    /// The sum, looked at through ever larger windows.
    fn refined(&self, x: &Tensor) -> Tensor {
        let mut sum = self.activation.apply(x);
        let mut path = sum.shallow_clone();
        for conv in &self.pooled {
            let pooled = path.max_pool2d([5, 5], [1, 1], [2, 2], [1, 1], false);
            path = conv.forward(&pooled);
            sum = &sum + &path;
        }
        self.output.forward(sum)
    }
}

impl Layer for Refine {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        self.refined(&self.adapted[0].forward(x))
    }

    fn kind(&self) -> &'static str {
        "refining block"
    }

    fn output(&self, x: Shape) -> Shape {
        x
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        self.adapted[0].multiply_adds(x) + self.multiply_adds_of_sum(x)
    }
}

impl Refine {
    fn multiply_adds_of_sum(&self, x: Shape) -> u64 {
        let pooled: u64 = self.pooled.iter().map(|conv| conv.multiply_adds_at(x)).sum();
        pooled + self.output.multiply_adds(x)
    }
}

impl Junction for Refine {
    fn forward(&self, kept: Tensor, h: Tensor, _: Told<'_>) -> Tensor {
        let kept = self.merged[0].forward(&self.adapted[0].forward(kept));
        let below = self.merged[1].forward(&self.adapted[1].forward(h));
        let size = [kept.size()[2], kept.size()[3]];
        let below = if below.size()[2..] == size {
            below
        } else {
            below.upsample_bilinear2d(size, true, None, None)
        };
        self.refined(&add_reusing(kept, &below))
    }

    fn kind(&self) -> &'static str {
        "refining block"
    }

    fn output(&self, kept: Shape, h: Shape) -> Shape {
        Shape { channels: Layer::output(&self.merged[0], h).channels, ..kept }
    }

    fn multiply_adds(&self, kept: Shape, h: Shape) -> u64 {
        let inputs = self.adapted.iter().zip(&self.merged).zip([kept, h]);
        let adapted: u64 = inputs
            .map(|((pairs, conv), x)| pairs.multiply_adds(x) + conv.multiply_adds_at(x))
            .sum();
        adapted + self.multiply_adds_of_sum(Junction::output(self, kept, h))
    }
}

/// x + conv(act(conv(act(x)))), so many times.
#[derive(Debug)]
struct Pairs {
    pairs: Vec<[Conv; 2]>,
    activation: ActivationFunction,
}

impl Pairs {
    fn new(
        mut b: Builder<'_>,
        channels: i64,
        count: usize,
        activation: ActivationFunction,
    ) -> Self {
        let mut conv =
            |pair, stage| Conv::without_bias(b.at(format_args!("{pair}_{stage}_conv")), channels);
        let pairs = (1..=count).map(|pair| [conv(pair, 1), conv(pair, 2)]).collect();
        Self { pairs, activation }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        self.pairs.iter().flatten().map(|conv| conv.multiply_adds_at(x)).sum()
    }

    fn forward(&self, mut x: Tensor) -> Tensor {
        for [first, second] in &self.pairs {
            let inner = first.forward(&self.activation.apply(&x));
            x = add_reusing(second.forward(&self.activation.apply(&inner)), &x);
        }
        x
    }
}
