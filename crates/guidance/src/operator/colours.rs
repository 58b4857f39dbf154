//! Measurements of a mixture of the channels: a grey picture is one coordinate of the colours.

use super::{LinearOperator, SingularValues, Spectrum};
use crate::GuidanceError;
use nalgebra::DMatrix;
use tweedie_score::{Axes, Draw};

/// Coordinates of the channels (the first axis of a sample), of which the first ones are known.
///
/// Measured are pictures of as many channels as the data, such as a grey one with its values three
/// times: their first coordinates count, the rest of them does not.
#[derive(Clone, Debug, PartialEq)]
pub struct ColourBasis {
    /// From channels to coordinates, row-major.
    into: Vec<f64>,
    /// Back.
    back: Vec<f64>,
    channels: usize,
    known: usize,
}

impl ColourBasis {
    /// Grey and two colours, orthonormal: the grey coordinate is the sum of the three channels by the
    /// root of 3.
    #[must_use]
    pub fn grey() -> Self {
        let (grey, blue, half) = (3_f64.sqrt().recip(), 6_f64.sqrt().recip(), 0.5_f64.sqrt());
        let rows = [[grey, grey, grey], [-2.0 * blue, blue, blue], [0.0, half, -half]];
        let into = rows.concat();
        let back = transposed(&into, 3);
        Self { into, back, channels: 3, known: 1 }
    }

    /// The coordinates as published with Song et al. 2021: those of [`grey`](Self::grey) rounded to
    /// single precision, orthonormal to about 1e-7, with the inverse of the rounded matrix for the way
    /// back.
    ///
    /// # Errors
    /// Never: the rounded matrix has an inverse.
    pub fn published_grey() -> Result<Self, GuidanceError> {
        // one row a coordinate
        let rows = [
            [0.577_350_14, 0.577_350_26, 0.577_350_26],
            [-0.816_496_49, 0.408_248_34, 0.408_248_22],
            [4.700_869_7e-8, 0.707_106_71, -0.707_106_83],
        ];
        Self::new(&rows.concat(), 3, 1)
    }

    /// Coordinates `rows * channels`, of which the first `known` are measured. `rows` is a square matrix,
    /// row-major; where it is not orthonormal the unknown coordinates get noise of another size than the
    /// forward process has.
    ///
    /// # Errors
    /// When the matrix is not of `channels * channels` values or has no inverse, or `known` is not from
    /// 1 to `channels - 1`.
    pub fn new(rows: &[f64], channels: usize, known: usize) -> Result<Self, GuidanceError> {
        if rows.len() != channels * channels {
            let (got, expected) = (vec![rows.len()], vec![channels * channels]);
            return Err(GuidanceError::ShapeMismatch { what: "colour matrix", got, expected });
        }
        if known == 0 || known >= channels {
            let values = channels;
            return Err(if known == 0 {
                GuidanceError::NothingKnown { values }
            } else {
                GuidanceError::EverythingKnown { values }
            });
        }
        let inverse = DMatrix::from_row_slice(channels, channels, rows).try_inverse();
        let inverse =
            inverse.ok_or(GuidanceError::NotInvertible { rows: channels, columns: channels })?;
        // nalgebra stores columns one after the other
        let back = transposed(inverse.as_slice(), channels);
        Ok(Self { into: rows.to_vec(), back, channels, known })
    }

    /// The coordinates with 0 for those that are not measured.
    fn kept<S: Axes>(&self, x: &S) -> S {
        let kept = |(index, value): (usize, &f64)| {
            if index / self.channels < self.known { *value } else { 0.0 }
        };
        let rows: Vec<f64> = self.into.iter().enumerate().map(kept).collect();
        x.along_axis(1, &rows)
    }
}

fn transposed(matrix: &[f64], size: usize) -> Vec<f64> {
    (0..size * size).map(|index| matrix[index % size * size + index / size]).collect()
}

impl<S: Axes + Draw> LinearOperator<S> for ColourBasis {
    fn apply(&self, x: &S) -> S {
        self.kept(x).along_axis(1, &self.back)
    }

    fn adjoint(&self, y: &S) -> S {
        let kept = y.along_axis(1, &transposed(&self.back, self.channels));
        let keep = |index: usize| {
            let (row, column) = (index / self.channels, index % self.channels);
            if row == column && row < self.known { 1.0 } else { 0.0 }
        };
        let keep: Vec<f64> = (0..self.channels * self.channels).map(keep).collect();
        kept.along_axis(1, &keep).along_axis(1, &transposed(&self.into, self.channels))
    }

    fn decouple(&self, x: &S) -> S {
        x.along_axis(1, &self.into)
    }

    fn couple(&self, coordinates: &S) -> S {
        coordinates.along_axis(1, &self.back)
    }

    fn measured(&self, y: &S) -> S {
        self.apply(y)
    }

    fn seen_in(&self, y: &S) -> Result<S, GuidanceError> {
        let shape = y.shape();
        let channels = shape.get(1).copied().unwrap_or(0);
        if channels != self.channels {
            let (got, expected) = (vec![channels], vec![self.channels]);
            return Err(GuidanceError::ShapeMismatch { what: "list of channels", got, expected });
        }
        Ok(self.kept(y))
    }

    fn spectrum(&self, like: &S) -> Spectrum<S> {
        let plane = like.item_len() / self.channels.max(1);
        let mut index = 0;
        let mut next = || {
            let channel = index / plane.max(1) % self.channels;
            index += 1;
            if channel < self.known { 1.0 } else { 0.0 }
        };
        Spectrum { seen: S::draw_like(like, &mut next), singular_values: SingularValues::One }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, ArrayD};

    fn picture() -> ArrayD<f64> {
        let values = (0..24).map(|k| (f64::from(k) * 1.7).sin());
        Array::from_iter(values).into_shape_with_order((2, 3, 2, 2)).unwrap().into_dyn()
    }

    fn assert_near(a: &ArrayD<f64>, b: &ArrayD<f64>, tolerance: f64) {
        assert!((a - b).iter().all(|off| off.abs() < tolerance), "{a} against {b}");
    }

    #[test]
    fn a_picture_comes_back_from_its_coordinates() {
        let x = picture();
        for basis in [ColourBasis::grey(), ColourBasis::published_grey().unwrap()] {
            assert_near(&basis.couple(&basis.decouple(&x)), &x, 1e-14);
        }
    }

    #[test]
    fn the_grey_coordinate_is_all_that_is_measured() {
        let x = picture();
        let grey = ColourBasis::grey().apply(&x);
        let mean = (x[[1, 0, 0, 1]] + x[[1, 1, 0, 1]] + x[[1, 2, 0, 1]]) / 3.0;
        for channel in 0..3 {
            assert!((grey[[1, channel, 0, 1]] - mean).abs() < 1e-14);
        }
        let (once, twice) = (&grey, ColourBasis::grey().apply(&grey));
        assert_near(once, &twice, 1e-14);
    }

    #[test]
    fn the_published_matrix_is_orthonormal_to_single_precision_alone() {
        let (exact, rounded) = (ColourBasis::grey(), ColourBasis::published_grey().unwrap());
        let off = exact.into.iter().zip(&rounded.into).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f64::max);
        assert!((1e-8..3e-7).contains(&off), "{off}");
    }

    #[test]
    fn the_adjoint_is_one() {
        let (x, y) = (picture(), picture().mapv(|value| (3.0 * value).cos()));
        for basis in [
            ColourBasis::grey(),
            ColourBasis::published_grey().unwrap(),
            ColourBasis::new(&[1.0, 0.5, 0.2, 0.0, 1.0, -0.3, 0.4, 0.0, 2.0], 3, 2).unwrap(),
        ] {
            let (forth, back) = ((basis.apply(&x) * &y).sum(), (&x * basis.adjoint(&y)).sum());
            assert!((forth - back).abs() < 1e-12, "{forth} against {back}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(ColourBasis::new(&[1.0, 2.0, 2.0, 4.0], 2, 1).is_err());
        assert!(ColourBasis::new(&[1.0; 4], 3, 1).is_err());
        assert!(ColourBasis::new(&[1.0, 0.0, 0.0, 1.0], 2, 0).is_err());
        assert!(ColourBasis::new(&[1.0, 0.0, 0.0, 1.0], 2, 2).is_err());
        let two = ArrayD::<f64>::zeros(vec![1, 2, 4, 4]);
        let error = ColourBasis::grey().seen_in(&two).unwrap_err();
        assert_eq!(error.to_string(), "the list of channels has shape [2], expected [3]");
    }
}
