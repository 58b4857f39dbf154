//! The range in which the values of a model's data lie.

use tch::Tensor;

/// The range of data as a network was trained to draw it: a property of its checkpoint. States, noise
/// levels and latents are all in these numbers; only images cross over, when they come in and go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataRange {
    /// From -1 to 1.
    #[default]
    Symmetric,
    /// From 0 to 1.
    Unit,
}

impl From<tweedie_checkpoints::DataRange> for DataRange {
    fn from(range: tweedie_checkpoints::DataRange) -> Self {
        match range {
            tweedie_checkpoints::DataRange::Symmetric => Self::Symmetric,
            tweedie_checkpoints::DataRange::Unit => Self::Unit,
        }
    }
}

impl DataRange {
    /// The least and the largest value.
    #[must_use]
    pub fn ends(self) -> (f64, f64) {
        match self {
            Self::Symmetric => (-1.0, 1.0),
            Self::Unit => (0.0, 1.0),
        }
    }

    /// Images with values from -1 to 1 in this range.
    pub fn from_symmetric(self, images: &Tensor) -> Tensor {
        match self {
            Self::Symmetric => images.shallow_clone(),
            Self::Unit => (images + 1.0) * 0.5,
        }
    }

    /// Images in this range with values from -1 to 1.
    pub fn to_symmetric(self, images: &Tensor) -> Tensor {
        match self {
            Self::Symmetric => images.shallow_clone(),
            Self::Unit => images * 2.0 - 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_from_either_range() {
        let images = Tensor::from_slice(&[-1.0_f32, -0.5, 0.0, 1.0]);
        for range in [DataRange::Symmetric, DataRange::Unit] {
            let there = range.from_symmetric(&images);
            let (low, high) = range.ends();
            assert_eq!((there.min().double_value(&[]), there.max().double_value(&[])), (low, high));
            assert!(range.to_symmetric(&there).equal(&images));
        }
    }
}
