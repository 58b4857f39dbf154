//! From features to one vector an image.

use tch::{Kind, Tensor};
use tweedie_torch_ext::attention;

use crate::builder::{Builder, Initial};
use crate::layers::{Linear, LinearForm, Start, cast};
use crate::outline::{Shape, dot};
use crate::program::{Layer, Told};

/// The mean over pixels, `[n, c, 1, 1]`.
#[derive(Debug)]
pub(crate) struct MeanPool;

impl Layer for MeanPool {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        x.mean_dim([2i64, 3].as_slice(), true, None::<Kind>)
    }

    fn kind(&self) -> &'static str {
        "mean"
    }

    fn output(&self, x: Shape) -> Shape {
        Shape { height: 1, width: 1, ..x }
    }

    fn multiply_adds(&self, _: Shape) -> u64 {
        0
    }
}

/// What the mean over pixels attends to among itself and all pixels (Radford et al. 2021, sec. 2.4).
#[derive(Debug)]
pub(crate) struct AttentionPool {
    positions: Tensor, // [c, pixels + 1]
    qkv: Linear,
    out: Linear,
    heads: i64,
}

impl AttentionPool {
    pub(crate) fn new(mut b: Builder<'_>, channels: i64, pixels: i64, heads: i64, to: i64) -> Self {
        let deviation = (channels as f64).sqrt().recip();
        let shape = [channels, pixels.saturating_add(1)];
        let mut linear =
            |name, to| Linear::in_form(b.at(name), channels, to, Start::Random, LinearForm::Conv1d);
        let (qkv, out) = (linear("qkv_proj", 3 * channels), linear("c_proj", to));
        let positions = b.parameter("positional_embedding", &shape, Initial::Normal(deviation));
        Self { positions, qkv, out, heads }
    }
}

impl Layer for AttentionPool {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        let n = x.size()[0];
        let pixels = x.flatten(2, -1).transpose(1, 2); // [n, t, c]
        let mean = pixels.mean_dim([1i64].as_slice(), true, None::<Kind>);
        let positions = cast(&self.positions, x.kind()).transpose(0, 1).unsqueeze(0);
        let tokens = Tensor::cat(&[mean, pixels], 1) + positions;
        let qkv = self.qkv.forward(&tokens).view([n, -1, 3, self.heads, x.size()[1] / self.heads]);
        let qkv = qkv.permute([2, 0, 3, 1, 4]); // [3, n, heads, t, d]
        // Only what the mean attends to is asked for.
        let mixed = attention(&qkv.get(0).narrow(2, 0, 1), &qkv.get(1), &qkv.get(2));
        let mixed = mixed.transpose(1, 2).reshape([n, -1]);
        self.out.forward(&mixed).unsqueeze(-1).unsqueeze(-1) // [n, to, 1, 1]
    }

    fn kind(&self) -> &'static str {
        "attention pool"
    }

    fn output(&self, _: Shape) -> Shape {
        Shape { channels: self.out.to(), height: 1, width: 1 }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        let tokens = x.pixels() + 1;
        self.qkv.multiply_adds(tokens) + self.out.multiply_adds(1) + dot(2 * tokens, x.channels)
    }
}
