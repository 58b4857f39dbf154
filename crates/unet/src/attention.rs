//! Self-attention over the pixels of an image.

use tch::Tensor;
use tweedie_torch_ext::{Activation, add_reusing, attention};

use crate::builder::Builder;
use crate::layers::{Linear, Norm, NormOptions, Start};

/// (x + out(attention(norm(x)))) / divisor, the pixels being the tokens.
#[derive(Debug)]
pub(crate) struct SelfAttention {
    group_norm: Option<Norm>,
    to_q: Linear,
    to_k: Linear,
    to_v: Linear,
    to_out: Linear,
    heads: i64,
    divisor: f64,
}

/// The number of channels of a head (`None`: one head of all channels) and the norm before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttentionOptions {
    pub(crate) head_channels: Option<i64>,
    pub(crate) norm: Option<NormOptions>,
    /// The sum with the input is divided by this.
    pub(crate) divisor: f64,
}

impl SelfAttention {
    pub(crate) fn new(mut b: Builder<'_>, channels: i64, options: AttentionOptions) -> Self {
        let head = options.head_channels.unwrap_or(channels).max(1);
        let heads = channels / head;
        if heads == 0 {
            let allowed = format!("at most {channels}, the channels of an attention layer");
            b.reject("attention_head_dim", head.to_string(), allowed);
        }
        let inner = heads * head;
        let group_norm = options.norm.map(|norm| Norm::new(b.at("group_norm"), channels, norm));
        let mut into = |name| Linear::new(b.at(name), channels, inner, Start::Random);
        let (to_q, to_k, to_v) = (into("to_q"), into("to_k"), into("to_v"));
        let to_out = Linear::new(b.at("to_out.0"), inner, channels, Start::Zero);
        Self { group_norm, to_q, to_k, to_v, to_out, heads, divisor: options.divisor }
    }

    pub(crate) fn forward(&self, x: Tensor) -> Tensor {
        let size = x.size();
        let (n, c, h, w) = (size[0], size[1], size[2], size[3]);
        let normed = match &self.group_norm {
            Some(norm) => norm.forward(&x, None, Activation::None),
            None => x.shallow_clone(),
        };
        let tokens = normed.permute([0, 2, 3, 1]).reshape([n, h * w, c]); // [n, t, c]
        drop(normed);
        let qkv = Linear::side_by_side(&[&self.to_q, &self.to_k, &self.to_v], &tokens);
        drop(tokens);
        let qkv = qkv.view([n, h * w, 3, self.heads, -1]).permute([2, 0, 3, 1, 4]);
        let mixed = attention(&qkv.get(0), &qkv.get(1), &qkv.get(2)); // [n, heads, t, d]
        drop(qkv);
        let mixed = mixed.transpose(1, 2).reshape([n, h * w, -1]); // [n, t, inner]
        let out = self.to_out.forward(&mixed).view([n, h, w, c]).permute([0, 3, 1, 2]);
        let sum = add_reusing(out, &x);
        if self.divisor == 1.0 { sum } else { sum / self.divisor }
    }
}
