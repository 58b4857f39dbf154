//! Matrices that average, filter or blur one axis.

use crate::GuidanceError;
use nalgebra::DMatrix;

pub(super) fn check_factor(length: usize, factor: usize) -> Result<(), GuidanceError> {
    if factor == 0 || length == 0 || !length.is_multiple_of(factor) {
        let (name, value) = ("downsampling factor", factor as f64);
        let allowed = "a divisor of height and width";
        return Err(GuidanceError::ParameterOutOfRange { name, value, allowed });
    }
    Ok(())
}

/// The means of `factor` neighbours each.
pub(super) fn box_means(length: usize, factor: usize) -> DMatrix<f64> {
    let share = 1.0 / factor as f64;
    let value = |i: usize, j: usize| if j / factor == i { share } else { 0.0 };
    DMatrix::from_fn(length / factor, length, value)
}

/// A matrix whose row `i` weighs the pixels within `reach` of `centre(i)` by their distance; pixels beyond
/// the border are those mirrored at it. Every row sums to 1.
pub(super) fn filter(
    length: usize,
    rows: usize,
    centre: impl Fn(usize) -> f64,
    reach: usize,
    weight: impl Fn(f64) -> f64,
) -> DMatrix<f64> {
    let mut matrix = DMatrix::zeros(rows, length);
    let period = 2 * length as i64;
    for row in 0..rows {
        let (middle, reach) = (centre(row), reach as i64);
        let first = middle.floor() as i64 - reach;
        for pixel in first..=first + 2 * reach + 1 {
            let folded = pixel.rem_euclid(period);
            let inside = folded.min(period - 1 - folded) as usize;
            matrix[(row, inside)] += weight(pixel as f64 - middle);
        }
        let sum = matrix.row(row).sum();
        matrix.row_mut(row).unscale_mut(sum);
    }
    matrix
}

/// The cubic convolution kernel.
pub(super) fn cubic(off: f64) -> f64 {
    let (a, x) = (-0.5, off.abs());
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 // Keys 1981, eq. 15
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
