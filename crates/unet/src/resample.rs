//! Changes of size.

use tch::Tensor;

use crate::fir::Fir;
use crate::layers::Conv;
use crate::outline::Shape;
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

impl Resize {
    /// The shape that one image's features have afterwards.
    pub(crate) fn output(&self, x: Shape) -> Shape {
        match self {
            Self::Keep => x,
            Self::Halve | Self::FirHalve(_) => {
                Shape { height: x.height / 2, width: x.width / 2, ..x }
            }
            Self::Double | Self::FirDouble(_) => {
                Shape { height: x.height * 2, width: x.width * 2, ..x }
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

    fn kind(&self) -> &'static str {
        match (&self.resize, &self.then) {
            (Resize::FirHalve(_), _) => "filtered halving",
            (Resize::FirDouble(_), _) => "filtered doubling",
            (Resize::Halve, _) => "halving",
            (_, None) => "doubling",
            (_, Some(_)) => "doubling and convolution",
        }
    }

    fn output(&self, x: Shape) -> Shape {
        let resized = self.resize.output(x);
        self.then.as_ref().map_or(resized, |conv| Layer::output(conv, resized))
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        let resized = self.resize.output(x);
        self.then.as_ref().map_or(0, |conv| Layer::multiply_adds(conv, resized))
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

    fn kind(&self) -> &'static str {
        match self {
            Self::Halving { .. } => "filter and strided convolution",
            Self::Doubling { .. } => "doubling convolution and filter",
        }
    }

    fn output(&self, x: Shape) -> Shape {
        match self {
            Self::Halving { conv, .. } => {
                Shape { height: x.height / 2, width: x.width / 2, ..Layer::output(conv, x) }
            }
            Self::Doubling { conv, .. } => {
                let channels = Layer::output(conv, x).channels;
                Shape { channels, height: x.height * 2, width: x.width * 2 }
            }
        }
    }

    fn multiply_adds(&self, x: Shape) -> u64 {
        match self {
            Self::Halving { conv, .. } => conv.multiply_adds_at(self.output(x)),
            // Every pixel of the input meets the whole kernel once.
            Self::Doubling { conv, .. } => conv.multiply_adds_at(x),
        }
    }
}
