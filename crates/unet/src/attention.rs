//! Self-attention over the pixels of an image.

use tch::Tensor;
use tweedie_torch_ext::{Activation, attention};

use crate::builder::Builder;
use crate::layers::{Linear, LinearForm, Norm, NormOptions, Starts, add_over};
use crate::outline::{Shape, dot};
use crate::program::{Layer, Told};

/// How a family calls and keeps the parameters of its attention.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionStyle {
    pub(crate) norm: &'static str,
    pub(crate) projections: Projections,
    pub(crate) out: &'static str,
    pub(crate) form: LinearForm,
}

/// Where queries, keys and values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Projections {
    /// A layer each.
    Separate([&'static str; 3]),
    /// One layer, whose output holds heads of (q, k, v).
    HeadsFirst(&'static str),
    /// One layer, whose output holds (q, k, v) of heads.
    HeadsWithin(&'static str),
}

/// What tells the attention layers of a network apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionOptions {
    pub(crate) style: AttentionStyle,
    pub(crate) starts: Starts,
    pub(crate) norm: Option<NormOptions>,
    pub(crate) heads: i64,
    /// Channels of a head.
    pub(crate) head: i64,
    /// The sum with the input is divided by this.
    pub(crate) divisor: f64,
}

/// (x + out(attention(norm(x)))) / divisor, the pixels being the tokens.
#[derive(Debug)]
pub(crate) struct SelfAttention {
    norm: Option<Norm>,
    projections: Vec<Linear>,
    out: Linear,
    options: AttentionOptions,
}

impl SelfAttention {
    pub(crate) fn new(mut b: Builder<'_>, channels: i64, options: AttentionOptions) -> Self {
        let AttentionOptions { style, starts, heads, head, .. } = options;
        let inner = heads.saturating_mul(head);
        let norm = options.norm.map(|norm| Norm::new(b.at(style.norm), channels, norm));
        let mut into = |name, width| {
            Linear::in_form(b.at(name), channels, width, starts.projection, style.form)
        };
        let projections = match style.projections {
            Projections::Separate(names) => names.map(|name| into(name, inner)).into(),
            Projections::HeadsFirst(name) | Projections::HeadsWithin(name) => {
                vec![into(name, inner.saturating_mul(3))]
            }
        };
        let out = Linear::in_form(b.at(style.out), inner, channels, starts.last, style.form);
        Self { norm, projections, out, options }
    }

    /// Tokens `[n, t, c]` to queries, keys and values, each `[n, heads, t, d]`.
    fn projected(&self, tokens: &Tensor) -> [Tensor; 3] {
        let (n, t) = (tokens.size()[0], tokens.size()[1]);
        let qkv = Linear::side_by_side(&self.projections.iter().collect::<Vec<_>>(), tokens);
        let heads = self.options.heads;
        let qkv = match self.options.style.projections {
            Projections::HeadsFirst(_) => qkv.view([n, t, heads, 3, -1]).permute([3, 0, 2, 1, 4]),
            _ => qkv.view([n, t, 3, heads, -1]).permute([2, 0, 3, 1, 4]),
        };
        [qkv.get(0), qkv.get(1), qkv.get(2)]
    }
}

impl Layer for SelfAttention {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        let size = x.size();
        let (n, c, h, w) = (size[0], size[1], size[2], size[3]);
        let normed = match &self.norm {
            Some(norm) => norm.forward(&x, None, Activation::None),
            None => x.shallow_clone(),
        };
        let tokens = normed.permute([0, 2, 3, 1]).reshape([n, h * w, c]); // [n, t, c]
        drop(normed);
        let [q, k, v] = self.projected(&tokens);
        drop(tokens);
        let mixed = attention(&q, &k, &v); // [n, heads, t, d]
        drop([q, k, v]);
        let mixed = mixed.transpose(1, 2).reshape([n, h * w, -1]); // [n, t, inner]
        let out = self.out.forward(&mixed).view([n, h, w, c]).permute([0, 3, 1, 2]);
        add_over(out, &x, self.options.divisor)
    }

    fn kind(&self) -> &'static str {
        "attention"
    }

    fn output(&self, x: Shape) -> Shape {
        x
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        let tokens = x.pixels();
        let layers = self.projections.iter().chain([&self.out]);
        let linear: u64 = layers.map(|layer| layer.multiply_adds(tokens)).sum();
        let inner = self.options.heads.saturating_mul(self.options.head);
        // q k^T and its product with v
        linear + dot(tokens.saturating_mul(2 * tokens), inner)
    }
}
