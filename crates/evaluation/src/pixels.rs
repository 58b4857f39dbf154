//! Images as rows of pixels in `[0, 1]`, which is what every figure here is computed on.

use ndarray::{Array2, ArrayView2};

use crate::error::EvaluationError;

/// Images given as levels, `level / (levels - 1)`: shape `[n, pixels]`.
///
/// `values` holds the levels of all images one after the other, `pixels` is the number of values an
/// image (channels times height times width), `levels` the number of values a pixel can take.
///
/// # Errors
/// When the values are no whole number of images.
pub fn pixels_of_levels(
    values: &[u8],
    pixels: usize,
    levels: u32,
) -> Result<Array2<f32>, EvaluationError> {
    let top = f64::from(levels.saturating_sub(1).max(1));
    rows(values.iter().map(|&level| (f64::from(level) / top) as f32).collect(), pixels)
}

/// Images given as numbers in `[-1, 1]`, `(x + 1) / 2` clipped to `[0, 1]`: shape `[n, pixels]`.
///
/// Not-a-number stays, and is refused by every figure.
///
/// # Errors
/// When the values are no whole number of images.
pub fn pixels_of_scaled(values: &[f32], pixels: usize) -> Result<Array2<f32>, EvaluationError> {
    rows(values.iter().map(|&x| ((x + 1.0) / 2.0).clamp(0.0, 1.0)).collect(), pixels)
}

fn rows(values: Vec<f32>, pixels: usize) -> Result<Array2<f32>, EvaluationError> {
    let error = EvaluationError::ValueCount { values: values.len(), pixels };
    if pixels == 0 {
        return Err(error);
    }
    Array2::from_shape_vec((values.len() / pixels, pixels), values).map_err(|_| error)
}

/// Refuses a set that is too small, of other pixels than `pixels`, or not finite.
pub(crate) fn check(
    what: &'static str,
    images: ArrayView2<'_, f32>,
    pixels: usize,
    at_least: usize,
) -> Result<(), EvaluationError> {
    if images.ncols() != pixels {
        return Err(EvaluationError::PixelCount { what, got: images.ncols(), expected: pixels });
    }
    if images.nrows() < at_least {
        return Err(EvaluationError::TooFew { what, got: images.nrows(), expected: at_least });
    }
    match images.indexed_iter().find(|(_, value)| !value.is_finite()) {
        None => Ok(()),
        Some(((image, pixel), &value)) => {
            Err(EvaluationError::NotFinite { what, image, pixel, value })
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn levels_and_scaled_numbers_become_the_unit_interval() {
        let levels = pixels_of_levels(&[0, 4, 16, 8], 2, 17).unwrap();
        assert_eq!(levels, array![[0.0, 0.25], [1.0, 0.5]]);
        let scaled = pixels_of_scaled(&[-1.0, -0.5, 3.0, -7.0], 2).unwrap();
        assert_eq!(scaled, array![[0.0, 0.25], [1.0, 0.0]]);
    }

    #[test]
    fn half_an_image_is_refused() {
        let error = pixels_of_levels(&[0; 5], 2, 17).unwrap_err().to_string();
        assert_eq!(error, "5 values are no whole number of images of 2 pixels");
        assert!(pixels_of_scaled(&[0.0], 0).is_err());
    }
}
