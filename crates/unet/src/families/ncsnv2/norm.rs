//! What stands before every convolution of a residual block.

use tch::{Kind, Tensor};

use super::{NcsnV2Model, NcsnV2Norm};
use crate::ActivationFunction;
use crate::builder::{Builder, Initial};
use crate::layers::cast;
use crate::outline::Shape;
use crate::program::{Layer, Told};

/// Added to variances.
const EPS: f64 = 1e-5;

/// A normalisation of features.
#[derive(Debug)]
pub(super) enum FeatureNorm {
    /// gamma (instance norm + alpha (means normalised over channels)) + beta.
    InstancePlus {
        alpha: Tensor,
        gamma: Tensor,
        beta: Tensor,
    },
    Instance {
        eps: f64,
    },
    /// alpha x / deviation.
    Variance {
        alpha: Tensor,
    },
    Batch {
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: f64,
    },
    Nothing,
}

impl FeatureNorm {
    pub(super) fn new(b: Builder<'_>, channels: i64, kind: NcsnV2Norm) -> Self {
        Self::with_eps(b, channels, kind, EPS)
    }

    /// The norm of the output. The published code passes it the number of noise levels where the norms
    /// of torch take their eps, and its networks were trained so.
    pub(super) fn last(b: Builder<'_>, channels: i64, model: &NcsnV2Model) -> Self {
        Self::with_eps(b, channels, model.normalization, model.num_classes as f64)
    }

    fn with_eps(mut b: Builder<'_>, channels: i64, kind: NcsnV2Norm, eps: f64) -> Self {
        let size = [channels];
        let near_one = Initial::NearOne(0.02);
        match kind {
            NcsnV2Norm::InstancePlus => Self::InstancePlus {
                alpha: b.parameter("alpha", &size, near_one),
                gamma: b.parameter("gamma", &size, near_one),
                beta: b.parameter("beta", &size, Initial::Zeros),
            },
            NcsnV2Norm::Instance => Self::Instance { eps },
            NcsnV2Norm::Variance => Self::Variance { alpha: b.parameter("alpha", &size, near_one) },
            NcsnV2Norm::Batch => {
                b.count("num_batches_tracked");
                Self::Batch {
                    weight: b.parameter("weight", &size, Initial::Ones),
                    bias: b.parameter("bias", &size, Initial::Zeros),
                    mean: b.constant("running_mean", &size, Initial::Zeros),
                    variance: b.constant("running_var", &size, Initial::Ones),
                    eps,
                }
            }
            NcsnV2Norm::Nothing => Self::Nothing,
        }
    }

    pub(super) fn forward(&self, x: &Tensor, told: Told<'_>) -> Tensor {
        let own = |t: &Tensor| cast(t, wide(x));
        match self {
            Self::InstancePlus { alpha, gamma, beta } => {
                let (mean, variance) = moments(x, 0);
                let pattern = standardised(&mean) * own(alpha);
                let factor = own(gamma) * (variance + EPS).rsqrt();
                let summand = own(gamma) * pattern - &mean * &factor + own(beta);
                scaled(x, &factor, Some(&summand))
            }
            Self::Instance { eps } => {
                let (mean, variance) = moments(x, 0);
                let factor = (variance + *eps).rsqrt();
                scaled(x, &factor, Some(&(-mean * &factor)))
            }
            Self::Variance { alpha } => {
                let (_, variance) = moments(x, 1);
                scaled(x, &(own(alpha) * (variance + EPS).rsqrt()), None)
            }
            Self::Batch { weight, bias, mean, variance, eps } => {
                // Running averages are written where they are, so they are not cast.
                let kind = mean.kind();
                let (weight, bias) = (cast(weight, kind), cast(bias, kind));
                let train = told.train;
                // In training they move and are not read, so one who comes again needs none.
                let moments = (!(train && told.again)).then_some((mean, variance));
                let (mean, variance) = moments.unzip();
                x.to_kind(kind)
                    .batch_norm(Some(&weight), Some(&bias), mean, variance, train, 0.1, *eps, false)
                    .to_kind(x.kind())
            }
            Self::Nothing => x.shallow_clone(),
        }
    }
}

/// Moments of bf16 are taken in f32.
fn wide(x: &Tensor) -> Kind {
    if x.kind() == Kind::BFloat16 { Kind::Float } else { x.kind() }
}

/// Mean and variance over the pixels of every channel, [n, c]; `correction` is taken off the number of
/// pixels that the variance is divided by.
fn moments(x: &Tensor, correction: i64) -> (Tensor, Tensor) {
    let (variance, mean) = x.to_kind(wide(x)).var_mean_correction(&[2, 3][..], correction, false);
    (mean, variance)
}

/// Means [n, c] with mean 0 and variance 1 over the channels.
fn standardised(means: &Tensor) -> Tensor {
    let (variance, mean) = means.var_mean_correction(&[-1][..], 1, true);
    (means - mean) / (variance + EPS).sqrt()
}

/// factor x + summand, both [n, c], in the kind of x.
fn scaled(x: &Tensor, factor: &Tensor, summand: Option<&Tensor>) -> Tensor {
    let on_pixels = |t: &Tensor| t.to_kind(x.kind()).unsqueeze(-1).unsqueeze(-1);
    match summand {
        Some(summand) => on_pixels(summand).addcmul(x, &on_pixels(factor)),
        None => x * on_pixels(factor),
    }
}

/// A norm and the non-linearity behind it, as a layer.
#[derive(Debug)]
pub(super) struct NormThenActivation {
    pub(super) norm: FeatureNorm,
    pub(super) then: ActivationFunction,
}

impl Layer for NormThenActivation {
    fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        self.then.apply(&self.norm.forward(&x, told))
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
