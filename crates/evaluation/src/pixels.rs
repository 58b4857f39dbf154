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

/// Images given as dequantized numbers in `[-1, 1]`, the level whose interval holds the number, as
/// `level / (levels - 1)`: shape `[n, pixels]`.
///
/// A level `v` of `L` fills the interval from `2 v / L - 1` to `2 (v + 1) / L - 1`, so what a network
/// draws that was trained on dequantized images is compared with [`pixels_of_levels`] level by level.
/// Numbers beyond `[-1, 1]` become the lowest or highest level. Not-a-number stays, and is refused by
/// every figure.
///
/// # Errors
/// When the values are no whole number of images.
pub fn pixels_of_dequantized(
    values: &[f32],
    pixels: usize,
    levels: u32,
) -> Result<Array2<f32>, EvaluationError> {
    let top = f64::from(levels.saturating_sub(1).max(1));
    let level = |x: f32| ((f64::from(x) + 1.0) / 2.0 * f64::from(levels)).floor().clamp(0.0, top);
    rows(values.iter().map(|&x| (level(x) / top) as f32).collect(), pixels)
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
    fn dequantized_numbers_become_the_pixels_of_their_levels() {
        for levels in [2, 17, 256] {
            let all: Vec<u8> = (0..levels).map(|level| level as u8).collect();
            let want = pixels_of_levels(&all, 1, levels).unwrap();
            for uniform in [0.01, 0.5, 0.99] {
                let noisy = all.iter().map(|&v| tweedie_datasets::dequantize(v, levels, uniform));
                let noisy: Vec<f32> = noisy.collect();
                assert_eq!(pixels_of_dequantized(&noisy, 1, levels).unwrap(), want);
            }
        }
        let beyond = pixels_of_dequantized(&[-7.0, 3.0, 1.0, f32::NAN], 4, 17).unwrap();
        assert_eq!(beyond.as_slice().unwrap()[..3], [0.0, 1.0, 1.0]);
        assert!(beyond[[0, 3]].is_nan());
    }

    #[test]
    fn half_an_image_is_refused() {
        let error = pixels_of_levels(&[0; 5], 2, 17).unwrap_err().to_string();
        assert_eq!(error, "5 values are no whole number of images of 2 pixels");
        assert!(pixels_of_scaled(&[0.0], 0).is_err());
        assert!(pixels_of_dequantized(&[0.0; 3], 2, 17).is_err());
    }
}
