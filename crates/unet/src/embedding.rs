//! Embeddings of time and class.

use tch::{Kind, Tensor};

use crate::builder::{Builder, Initial};
use crate::config::{ClassEmbedding, UNetConfig};
use crate::layers::{Linear, Start};

/// The longest wavelength of the time features is 2 pi times this.
const MAX_PERIOD: f64 = 10000.0;

/// Sines and cosines of a time (Vaswani et al. 2017, sec. 3.5, as in Ho et al. 2020).
///
/// Feature k has frequency exp(-ln(10000) k / (half - shift)); they are computed in f32 like
/// diffusers', because times near 1000 carry the rounding of a frequency into the phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TimeFeatures {
    pub(crate) width: i64,
    cosine_first: bool,
    shift: f64,
}

impl TimeFeatures {
    pub(crate) fn new(config: &UNetConfig) -> Self {
        Self {
            width: config.block_out_channels[0],
            cosine_first: config.flip_sin_to_cos,
            shift: config.freq_shift,
        }
    }

    /// Times `[n]` to features `[n, width]`.
    pub(crate) fn of(&self, times: &Tensor) -> Tensor {
        let half = self.width / 2;
        let index = Tensor::arange(half, (Kind::Float, times.device()));
        let frequency = ((index * -MAX_PERIOD.ln()) / (half as f64 - self.shift)).exp();
        let phase = times.to_kind(Kind::Float).unsqueeze(1) * frequency.unsqueeze(0);
        let (sin, cos) = (phase.sin(), phase.cos());
        let features = if self.cosine_first { [cos, sin] } else { [sin, cos] };
        let features = Tensor::cat(&features, 1); // [n, 2 * half]
        if self.width % 2 == 1 { features.constant_pad_nd([0, 1]) } else { features }
    }
}

/// Two linear layers with `SiLU` between.
#[derive(Debug)]
struct Perceptron {
    linear_1: Linear,
    linear_2: Linear,
}

impl Perceptron {
    fn new(mut b: Builder<'_>, from: i64, to: i64) -> Self {
        Self {
            linear_1: Linear::new(b.at("linear_1"), from, to, Start::Random),
            linear_2: Linear::new(b.at("linear_2"), to, to, Start::Random),
        }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.linear_2.forward(&self.linear_1.forward(x).silu())
    }
}

#[derive(Debug)]
enum Class {
    None,
    Table(Tensor), // [classes, width]
    Timestep(Perceptron),
    Identity,
}

/// The embedding that every residual block is told: time, and class if there is one.
#[derive(Debug)]
pub(crate) struct Embedding {
    features: TimeFeatures,
    time: Perceptron,
    class: Class,
}

impl Embedding {
    pub(crate) fn new(b: &mut Builder<'_>, config: &UNetConfig) -> Self {
        let features = TimeFeatures::new(config);
        let width = config.time_embedding_width();
        let time = Perceptron::new(b.at("time_embedding"), features.width, width);
        let class = match (config.class_embed_type, config.num_class_embeds) {
            (Some(ClassEmbedding::Timestep), _) => {
                Class::Timestep(Perceptron::new(b.at("class_embedding"), features.width, width))
            }
            (Some(ClassEmbedding::Identity), _) => Class::Identity,
            (None, Some(classes)) => {
                let mut b = b.at("class_embedding");
                Class::Table(b.parameter("weight", &[classes, width], Initial::Normal))
            }
            (None, None) => Class::None,
        };
        Self { features, time, class }
    }

    /// Times `[n or 1]` and labels `[n]` to `[n, width]`; for one time without classes `[1, width]`.
    pub(crate) fn forward(&self, times: &Tensor, labels: Option<&Tensor>, kind: Kind) -> Tensor {
        let time = self.time.forward(&self.features.of(times).to_kind(kind));
        let class = labels.and_then(|labels| match &self.class {
            Class::None => None,
            Class::Table(rows) => Some(Tensor::embedding(rows, labels, -1, false, false)),
            Class::Timestep(layers) => {
                Some(layers.forward(&self.features.of(labels).to_kind(kind)))
            }
            Class::Identity => Some(labels.shallow_clone()),
        });
        class.map_or(time.shallow_clone(), |class| time + class.to_kind(kind))
    }
}
