//! The non-linearities of `score_sde` and `NCSNv2`, by their names there.

use serde::{Deserialize, Serialize};

use crate::ActivationFunction;

/// `nonlinearity` of a configuration of `score_sde` or `NCSNv2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nonlinearity {
    /// x, but exp(x) - 1 below 0.
    Elu,
    /// max(x, 0).
    Relu,
    /// x, but 0.2 x below 0.
    LRelu,
    /// x sigmoid(x).
    Swish,
}

impl From<Nonlinearity> for ActivationFunction {
    fn from(nonlinearity: Nonlinearity) -> Self {
        match nonlinearity {
            Nonlinearity::Elu => Self::Elu,
            Nonlinearity::Relu => Self::Relu,
            Nonlinearity::LRelu => Self::LeakyRelu,
            Nonlinearity::Swish => Self::Silu,
        }
    }
}
