//! Embeddings of time and class.

use std::f64::consts::PI;

use tch::{Kind, Tensor};

use crate::ActivationFunction;
use crate::builder::{Builder, Initial};
use crate::layers::{Linear, Start};

/// The longest wavelength of the time features is 2 pi times this.
const MAX_PERIOD: f64 = 10000.0;

/// The features of a time, computed in f32 as the peers do: times near 1000 carry the rounding of a
/// frequency into the phase.
#[derive(Debug)]
pub enum Features {
    /// Sines and cosines (Vaswani et al. 2017, sec. 3.5, as in Ho et al. 2020): feature k has the
    /// frequency exp(-ln(10000) k / (half - shift)), half being half of the width.
    Waves {
        /// The number of features.
        width: i64,
        /// Whether cosines come before sines.
        cosine_first: bool,
        /// What is subtracted from half of the width.
        shift: f64,
    },
    /// Sines, then cosines, of ln(t) at random frequencies (Song et al. 2021, app. C).
    Fourier {
        /// The frequencies `[half]`, in full turns.
        frequencies: Tensor,
    },
    /// A learned row for every index of a time.
    Table {
        /// The rows `[times, width]`.
        rows: Tensor,
    },
}

impl Features {
    pub(crate) fn fourier(mut b: Builder<'_>, name: &str, half: i64, scale: f64) -> Self {
        Self::Fourier { frequencies: b.constant(name, &[half], Initial::Normal(scale)) }
    }

    pub(crate) fn table(mut b: Builder<'_>, times: i64, width: i64) -> Self {
        Self::Table { rows: b.parameter("weight", &[times, width], Initial::Normal(1.0)) }
    }

    pub(crate) fn width(&self) -> i64 {
        match self {
            Self::Waves { width, .. } => *width,
            Self::Fourier { frequencies } => 2 * frequencies.size()[0],
            Self::Table { rows } => rows.size()[1],
        }
    }

    /// Times `[n]` to features `[n, width]`.
    ///
    /// # Panics
    /// If there are more dimensions, or a time is no index of the rows.
    pub fn of(&self, times: &Tensor) -> Tensor {
        match self {
            Self::Waves { width, cosine_first, shift } => {
                waves(times, *width, *cosine_first, *shift)
            }
            Self::Fourier { frequencies } => {
                let log = times.to_kind(Kind::Float).log().unsqueeze(1);
                let phase = log * frequencies.unsqueeze(0) * 2.0 * PI;
                Tensor::cat(&[phase.sin(), phase.cos()], 1)
            }
            Self::Table { rows } => {
                Tensor::embedding(rows, &times.to_kind(Kind::Int64), -1, false, false)
            }
        }
    }
}

fn waves(times: &Tensor, width: i64, cosine_first: bool, shift: f64) -> Tensor {
    let half = width / 2;
    let index = Tensor::arange(half, (Kind::Float, times.device()));
    let frequency = ((index * -MAX_PERIOD.ln()) / (half as f64 - shift)).exp();
    let phase = times.to_kind(Kind::Float).unsqueeze(1) * frequency.unsqueeze(0);
    let (sin, cos) = (phase.sin(), phase.cos());
    let features = if cosine_first { [cos, sin] } else { [sin, cos] };
    let features = Tensor::cat(&features, 1); // [n, 2 * half]
    if width % 2 == 1 { features.constant_pad_nd([0, 1]) } else { features }
}

/// Two linear layers with a non-linearity between.
#[derive(Debug)]
pub(crate) struct Perceptron {
    first: Linear,
    second: Linear,
    between: ActivationFunction,
}

impl Perceptron {
    /// The layers are called `names` under `b`.
    pub(crate) fn new(
        b: &mut Builder<'_>,
        names: [&str; 2],
        from: i64,
        to: i64,
        between: ActivationFunction,
    ) -> Self {
        Self {
            first: Linear::new(b.at(names[0]), from, to, Start::Random),
            second: Linear::new(b.at(names[1]), to, to, Start::Random),
            between,
        }
    }

    /// Of layers that were made elsewhere.
    pub(crate) fn of(first: Linear, second: Linear, between: ActivationFunction) -> Self {
        Self { first, second, between }
    }

    fn multiply_adds(&self) -> u64 {
        self.first.multiply_adds(1) + self.second.multiply_adds(1)
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.second.forward(&self.between.apply(&self.first.forward(x)))
    }
}

/// What class labels go through.
#[derive(Debug)]
pub(crate) enum ClassEmbedding {
    /// There are no classes.
    None,
    /// A learned row [classes, width] for every class.
    Table(Tensor),
    /// The features of time and two linear layers.
    Timestep(Perceptron),
    /// Nothing: labels are vectors as wide as the embedding.
    Identity,
}

impl ClassEmbedding {
    pub(crate) fn table(mut b: Builder<'_>, classes: i64, width: i64) -> Self {
        Self::Table(b.parameter("weight", &[classes, width], Initial::Normal(1.0)))
    }
}

/// The embedding that every residual block is told: time, and class if there is one.
#[derive(Debug)]
pub(crate) struct Embedding {
    pub(crate) features: Features,
    pub(crate) time: Perceptron,
    pub(crate) class: ClassEmbedding,
}

impl Embedding {
    pub(crate) fn width(&self) -> i64 {
        self.time.second.to()
    }

    /// The products for one image.
    pub(crate) fn multiply_adds(&self) -> u64 {
        let class = match &self.class {
            ClassEmbedding::Timestep(layers) => layers.multiply_adds(),
            _ => 0,
        };
        self.time.multiply_adds() + class
    }

    /// Times `[n or 1]` and labels `[n]` to `[n, width]`; for one time without classes `[1, width]`.
    pub(crate) fn forward(&self, times: &Tensor, labels: Option<&Tensor>, kind: Kind) -> Tensor {
        let features = |times: &Tensor| self.features.of(times).to_kind(kind);
        let time = self.time.forward(&features(times));
        let class = labels.and_then(|labels| match &self.class {
            ClassEmbedding::None => None,
            ClassEmbedding::Table(rows) => Some(Tensor::embedding(rows, labels, -1, false, false)),
            ClassEmbedding::Timestep(layers) => Some(layers.forward(&features(labels))),
            ClassEmbedding::Identity => Some(labels.shallow_clone()),
        });
        class.map_or(time.shallow_clone(), |class| time + class.to_kind(kind))
    }
}
