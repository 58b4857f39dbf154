//! The non-linearity of the residual blocks.

use serde::{Deserialize, Serialize};
use tch::Tensor;

/// diffusers' `act_fn`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationFunction {
    /// x sigmoid(x), also called swish.
    #[default]
    #[serde(alias = "swish")]
    Silu,
    /// x tanh(softplus(x)).
    Mish,
    /// x Phi(x), exact.
    Gelu,
    /// max(x, 0).
    Relu,
    /// x, but exp(x) - 1 below 0; not among diffusers'.
    #[serde(skip)]
    Elu,
    /// x, but 0.2 x below 0; not among diffusers'.
    #[serde(skip)]
    LeakyRelu,
}

impl ActivationFunction {
    /// The function, element by element.
    pub(crate) fn apply(self, x: &Tensor) -> Tensor {
        match self {
            Self::Silu => x.silu(),
            Self::Mish => x.mish(),
            Self::Gelu => x.gelu("none"),
            Self::Relu => x.relu(),
            Self::Elu => x.elu(),
            Self::LeakyRelu => x.maximum(&(x * 0.2)),
        }
    }
}
