//! What the network computes in.

use serde::{Deserialize, Serialize};
use tch::Kind;

/// The kind of number that activations and products are made of; parameters stay f32 in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bfloat16: activations take half the memory. Faster on a GPU and on a processor with tiles for it
    /// (AMX); another multiplies f32 numbers faster, so there bf16 numbers are widened for every product,
    /// and it takes about as long as f32.
    Bf16,
    /// Double precision, for numerical checks.
    F64,
}

impl Precision {
    /// The kind of tensor this means.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::F64 => Kind::Double,
        }
    }
}
