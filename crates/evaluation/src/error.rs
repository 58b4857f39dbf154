//! What can be wrong with images to judge.

/// Why images cannot be judged.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// Values that are no whole number of images.
    #[error("{values} values are no whole number of images of {pixels} pixels")]
    ValueCount {
        /// Values given.
        values: usize,
        /// Pixels of an image.
        pixels: usize,
    },
    /// Two sets of images of different sizes.
    #[error("{what} has {got} pixels an image, expected {expected} as in the reference")]
    PixelCount {
        /// Which set.
        what: &'static str,
        /// Pixels of its images.
        got: usize,
        /// Pixels of the reference's images.
        expected: usize,
    },
    /// Too few images for the figure.
    #[error("{what} holds {got} images, expected at least {expected}")]
    TooFew {
        /// Which set.
        what: &'static str,
        /// Images there.
        got: usize,
        /// Images needed.
        expected: usize,
    },
    /// A pixel that is no number.
    #[error("pixel {pixel} of image {image} in {what} is {value}, expected a finite number")]
    NotFinite {
        /// Which set.
        what: &'static str,
        /// Which image.
        image: usize,
        /// Which of its pixels.
        pixel: usize,
        /// Its value.
        value: f32,
    },
    /// As many classes as images are needed.
    #[error("{what} holds {classes} classes for {images} images")]
    ClassCount {
        /// Which set.
        what: &'static str,
        /// Classes given.
        classes: usize,
        /// Images there.
        images: usize,
    },
}
