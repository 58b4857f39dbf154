//! Changes of size.

use tch::Tensor;

use crate::fir::Fir;
use crate::layers::Conv;
use crate::program::{Layer, Told};

/// A change of size without parameters.
#[derive(Clone, Debug)]
pub(crate) enum Resize {
    Keep,
    /// The mean of every 2x2 pixels.
    Halve,
    /// Every pixel twice in both directions.
    Double,
    /// Filtered, then every second pixel of both directions.
    FirHalve(Fir),
    /// Zeros between the pixels of both directions, then filtered.
    FirDouble(Fir),
}

impl Resize {
    pub(crate) fn apply(&self, x: Tensor) -> Tensor {
        match self {
            Self::Keep => x,
            Self::FirHalve(fir) => fir.downsample(&x),
            Self::FirDouble(fir) => fir.upsample(&x),
            Self::Halve => x.avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None),
            Self::Double => {
                let size = x.size();
                x.upsample_nearest2d([size[2] * 2, size[3] * 2], None, None)
            }
        }
    }
}

/// A change of size, and perhaps a convolution behind it.
#[derive(Debug)]
pub(crate) struct Resample {
    pub(crate) resize: Resize,
    pub(crate) then: Option<Conv>,
}

impl Layer for Resample {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        let resized = self.resize.apply(x);
        self.then.as_ref().map_or(resized.shallow_clone(), |conv| conv.forward(&resized))
    }
}

/// A filter and a convolution in one change of size.
#[derive(Debug)]
pub(crate) enum FilteredConv {
    /// Filtered, then convolved with a stride of 2.
    Halving { fir: Fir, conv: Conv },
    /// Zeros between the pixels, convolved, then filtered.
    Doubling { fir: Fir, conv: Conv },
}

impl Layer for FilteredConv {
    fn forward(&self, x: Tensor, _: Told<'_>) -> Tensor {
        let (resized, conv) = match self {
            Self::Halving { fir, conv } => {
                (fir.downsample_convolved(&x, &conv.weight(x.kind())), conv)
            }
            Self::Doubling { fir, conv } => {
                (fir.upsample_convolved(&x, &conv.weight(x.kind())), conv)
            }
        };
        match conv.bias(x.kind()) {
            Some(bias) => resized + bias.reshape([-1, 1, 1]),
            None => resized,
        }
    }
}
