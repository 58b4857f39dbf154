//! Measurements that act on channels, rows and columns one after the other: averages over boxes, bicubic
//! downsampling, blur, and their products.
//!
//! `A = C (x) R (x) Q`, a Kronecker product of three small matrices, has the products of their singular
//! values as its own and the products of their singular vectors as its coordinates, so that pictures of
//! any size are decoupled by matrices no larger than a side. A product of two such maps is one again.

use super::{LinearOperator, SingularValues, Spectrum};
use crate::GuidanceError;
use nalgebra::DMatrix;
use tweedie_score::{Axes, Draw};

/// A linear map along each axis of a sample: channels, rows, columns.
#[derive(Clone, Debug)]
pub struct Separable {
    axes: Vec<Factor>,
    smallest: f64,
}

/// One matrix and its decomposition, full: as many coordinates as columns.
#[derive(Clone, Debug)]
struct Factor {
    matrix: DMatrix<f64>,
    /// Rows are the right singular vectors, those without a singular value last.
    right: DMatrix<f64>,
    /// From measurements to coordinates, without the singular values; rows of 0 for unseen ones.
    left: DMatrix<f64>,
    values: Vec<f64>,
}

impl Factor {
    fn new(matrix: DMatrix<f64>) -> Self {
        let (rows, columns) = matrix.shape();
        // A^T A is square, so that all right singular vectors come out, seen or not
        let square = DMatrix::from_fn(rows.max(columns), columns, |i, j| {
            if i < rows { matrix[(i, j)] } else { 0.0 }
        });
        let svd = square.svd(true, true);
        let none = || DMatrix::zeros(columns, columns);
        let right = svd.v_t.unwrap_or_else(none);
        let left = svd.u.unwrap_or_else(none).transpose().columns(0, rows).into_owned();
        Self { matrix, right, left, values: svd.singular_values.iter().copied().collect() }
    }

    fn largest(&self) -> f64 {
        self.values.iter().copied().fold(0.0, f64::max)
    }
}

/// Row-major, as states take their matrices.
fn rows_of(matrix: &DMatrix<f64>) -> Vec<f64> {
    matrix.transpose().as_slice().to_vec()
}

impl Separable {
    /// Singular values below this share of the largest count as 0: what a strong blur leaves of a
    /// coordinate is nothing that a measurement in single precision could tell.
    pub const SMALLEST: f64 = 1e-6;

    /// One matrix for each axis of a sample, given by its rows.
    ///
    /// # Errors
    /// When a matrix is empty, or its rows have different lengths or values that are not finite.
    pub fn new(matrices: &[Vec<Vec<f64>>]) -> Result<Self, GuidanceError> {
        let axes = matrices.iter().map(|rows| Ok(Factor::new(matrix(rows)?)));
        Ok(Self { axes: axes.collect::<Result<_, _>>()?, smallest: Self::SMALLEST })
    }

    /// The mean of each box of `factor * factor` pixels, for pictures of `[channels, height, width]`.
    ///
    /// # Errors
    /// When the factor is 0 or does not divide height and width.
    pub fn box_downsampling(shape: [usize; 3], factor: usize) -> Result<Self, GuidanceError> {
        let [channels, height, width] = shape;
        let along = |length: usize| {
            check_factor(length, factor)?;
            let share = 1.0 / factor as f64;
            let value = |i: usize, j: usize| if j / factor == i { share } else { 0.0 };
            Ok(DMatrix::from_fn(length / factor, length, value))
        };
        Ok(Self::of([DMatrix::identity(channels, channels), along(height)?, along(width)?]))
    }

    /// Every `factor`-th pixel of the picture after a cubic filter as wide as the factor, with the picture
    /// mirrored at its border: Keys 1981, eq. 15, with `a = -1/2`.
    ///
    /// # Errors
    /// When the factor is 0 or does not divide height and width.
    pub fn bicubic_downsampling(shape: [usize; 3], factor: usize) -> Result<Self, GuidanceError> {
        let [channels, height, width] = shape;
        let along = |length: usize| {
            check_factor(length, factor)?;
            let scale = factor as f64;
            let centre = move |i: usize| (i as f64 + 0.5) * scale - 0.5;
            let reach = 2 * factor;
            Ok(filter(length, length / factor, centre, reach, |off| cubic(off / scale)))
        };
        Ok(Self::of([DMatrix::identity(channels, channels), along(height)?, along(width)?]))
    }

    /// A blur by a normal density of standard deviation `deviation` pixels, cut at four of them, with the
    /// picture mirrored at its border.
    ///
    /// # Errors
    /// When the deviation is not positive and finite.
    pub fn blur(shape: [usize; 3], deviation: f64) -> Result<Self, GuidanceError> {
        if !(deviation > 0.0 && deviation.is_finite()) {
            let (name, allowed) = ("deviation of the blur", "a finite value above 0");
            return Err(GuidanceError::ParameterOutOfRange { name, value: deviation, allowed });
        }
        let [channels, height, width] = shape;
        let reach = (4.0 * deviation).ceil() as usize;
        let weight = |off: f64| (-0.5 * (off / deviation).powi(2)).exp();
        let along = |length: usize| filter(length, length, |i| i as f64, reach, weight);
        Ok(Self::of([DMatrix::identity(channels, channels), along(height), along(width)]))
    }

    /// The mean of the channels of a picture of `[channels, height, width]`, a picture of one channel.
    #[must_use]
    pub fn grey([channels, height, width]: [usize; 3]) -> Self {
        let mean = DMatrix::from_element(1, channels.max(1), 1.0 / channels.max(1) as f64);
        Self::of([mean, DMatrix::identity(height, height), DMatrix::identity(width, width)])
    }

    /// `self` after `first`, as one map.
    ///
    /// # Errors
    /// When `first` gives another shape than `self` takes.
    pub fn after(&self, first: &Self) -> Result<Self, GuidanceError> {
        let (got, expected) = (first.shape_of_measurement(), self.shape_of_item());
        if got != expected {
            return Err(GuidanceError::ShapeMismatch {
                what: "first map's picture",
                got,
                expected,
            });
        }
        let pairs = self.axes.iter().zip(&first.axes);
        let axes = pairs.map(|(second, first)| Factor::new(&second.matrix * &first.matrix));
        Ok(Self { axes: axes.collect(), smallest: self.smallest })
    }

    /// Shape of the samples it takes.
    #[must_use]
    pub fn shape_of_item(&self) -> Vec<usize> {
        self.axes.iter().map(|factor| factor.matrix.ncols()).collect()
    }

    /// Shape of the measurements of one sample.
    #[must_use]
    pub fn shape_of_measurement(&self) -> Vec<usize> {
        self.axes.iter().map(|factor| factor.matrix.nrows()).collect()
    }

    fn of(matrices: [DMatrix<f64>; 3]) -> Self {
        Self { axes: matrices.into_iter().map(Factor::new).collect(), smallest: Self::SMALLEST }
    }

    fn along<S: Axes>(&self, x: &S, matrix: impl Fn(&Factor) -> DMatrix<f64>) -> S {
        let start = S::combine(&[(1.0, x)]);
        let axes = self.axes.iter().enumerate();
        axes.fold(start, |x, (axis, factor)| x.along_axis(axis + 1, &rows_of(&matrix(factor))))
    }

    /// The singular values of one sample's coordinates, row-major; 0 for those too small to count.
    fn singular_values(&self) -> Vec<f64> {
        let least = self.smallest * self.axes.iter().map(Factor::largest).product::<f64>();
        let products = self.axes.iter().fold(vec![1.0], |products, factor| {
            products.iter().flat_map(|p| factor.values.iter().map(move |s| p * s)).collect()
        });
        products.into_iter().map(|value| if value > least { value } else { 0.0 }).collect()
    }
}

impl<S: Axes + Draw + tweedie_score::Elementwise> LinearOperator<S> for Separable {
    fn apply(&self, x: &S) -> S {
        self.along(x, |factor| factor.matrix.clone())
    }

    fn adjoint(&self, y: &S) -> S {
        self.along(y, |factor| factor.matrix.transpose())
    }

    fn decouple(&self, x: &S) -> S {
        self.along(x, |factor| factor.right.clone())
    }

    fn couple(&self, coordinates: &S) -> S {
        self.along(coordinates, |factor| factor.right.transpose())
    }

    fn seen_in(&self, y: &S) -> Result<S, GuidanceError> {
        let (shape, expected) = (y.shape(), self.shape_of_measurement());
        if shape.get(1..) != Some(&expected) {
            let got = shape.get(1..).unwrap_or(&[]).to_vec();
            return Err(GuidanceError::ShapeMismatch { what: "measurement", got, expected });
        }
        let coordinates = self.along(y, |factor| factor.left.clone());
        let values = self.singular_values();
        let mut each = values.iter().map(|s| if *s > 0.0 { s.recip() } else { 0.0 }).cycle();
        let inverse = S::draw_like(&coordinates, &mut || each.next().unwrap_or(0.0));
        Ok(coordinates.mul(&inverse))
    }

    fn spectrum(&self, like: &S) -> Spectrum<S> {
        let values = self.singular_values();
        let mut each = values.iter().map(|s| if *s > 0.0 { 1.0 } else { 0.0 }).cycle();
        let seen = S::draw_like(like, &mut || each.next().unwrap_or(0.0));
        Spectrum { seen, singular_values: SingularValues::Each(values) }
    }
}

fn matrix(rows: &[Vec<f64>]) -> Result<DMatrix<f64>, GuidanceError> {
    let columns = rows.first().map_or(0, Vec::len);
    let odd = rows.iter().find(|row| row.len() != columns);
    if columns == 0 || odd.is_some() {
        let got = vec![rows.len(), odd.map_or(columns, Vec::len)];
        let expected = vec![rows.len().max(1), columns.max(1)];
        return Err(GuidanceError::ShapeMismatch { what: "matrix", got, expected });
    }
    if let Some(value) = rows.iter().flatten().find(|value| !value.is_finite()) {
        let (name, allowed) = ("matrix entry", "a finite value");
        return Err(GuidanceError::ParameterOutOfRange { name, value: *value, allowed });
    }
    Ok(DMatrix::from_fn(rows.len(), columns, |i, j| rows[i][j]))
}

fn check_factor(length: usize, factor: usize) -> Result<(), GuidanceError> {
    if factor == 0 || length == 0 || !length.is_multiple_of(factor) {
        let (name, value) = ("downsampling factor", factor as f64);
        let allowed = "a divisor of height and width";
        return Err(GuidanceError::ParameterOutOfRange { name, value, allowed });
    }
    Ok(())
}

/// A matrix whose row `i` weighs the pixels within `reach` of `centre(i)` by their distance; pixels beyond
/// the border are those mirrored at it. Every row sums to 1.
fn filter(
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
fn cubic(off: f64) -> f64 {
    let (a, x) = (-0.5, off.abs());
    if x < 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0 // Keys 1981, eq. 15
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, ArrayD};

    const SHAPE: [usize; 3] = [3, 4, 6];

    fn wave(shape: &[usize], pace: f64) -> ArrayD<f64> {
        let mut k = 0.0;
        ArrayD::from_shape_simple_fn(shape, || {
            k += pace;
            f64::sin(k)
        })
    }

    fn operators() -> Vec<Separable> {
        let grey = Separable::grey([3, 4, 6]);
        let boxes = Separable::box_downsampling([1, 4, 6], 2).unwrap();
        vec![
            Separable::box_downsampling(SHAPE, 2).unwrap(),
            Separable::bicubic_downsampling(SHAPE, 2).unwrap(),
            Separable::blur(SHAPE, 0.7).unwrap(),
            boxes.after(&grey).unwrap(),
        ]
    }

    #[test]
    fn the_adjoint_is_one_and_the_coordinates_are_orthonormal() {
        for operator in operators() {
            let x = wave(&[2, 3, 4, 6], 1.7);
            let y = LinearOperator::<ArrayD<f64>>::apply(&operator, &x);
            let other = wave(y.shape(), 0.9);
            let (forth, back) = ((&y * &other).sum(), (&x * &operator.adjoint(&other)).sum());
            assert!((forth - back).abs() < 1e-12, "{forth} against {back}");
            let coordinates = operator.decouple(&x);
            assert!(((&x * &x).sum() - (&coordinates * &coordinates).sum()).abs() < 1e-11);
            assert!((operator.couple(&coordinates) - &x).iter().all(|off| off.abs() < 1e-12));
        }
    }

    #[test]
    fn a_measurement_says_what_the_seen_coordinates_are() {
        for operator in operators() {
            let x = wave(&[2, 3, 4, 6], 1.3);
            let seen = operator.seen_in(&operator.apply(&x)).unwrap();
            let mask = operator.spectrum(&x).seen;
            let expected: ArrayD<f64> = operator.decouple(&x) * mask;
            assert!((seen - expected).iter().all(|off| off.abs() < 1e-9), "{operator:?}");
        }
    }

    #[test]
    fn filters_keep_a_flat_picture_flat_and_boxes_are_means() {
        let flat = ArrayD::from_elem(vec![1, 3, 4, 6], 0.4);
        for operator in operators() {
            let y: ArrayD<f64> = operator.apply(&flat);
            assert!(y.iter().all(|value| (value - 0.4).abs() < 1e-12));
        }
        let x = wave(&[1, 3, 4, 6], 1.1);
        let y: ArrayD<f64> = operators()[0].apply(&x);
        let mean = 0.25 * (x[[0, 1, 2, 4]] + x[[0, 1, 2, 5]] + x[[0, 1, 3, 4]] + x[[0, 1, 3, 5]]);
        assert!((y[[0, 1, 1, 2]] - mean).abs() < 1e-14);
    }

    #[test]
    fn bicubic_downsampling_keeps_a_slope_away_from_the_border() {
        let line = Array::from_iter((0..16).map(f64::from)).into_dyn();
        let line = line.into_shape_with_order(vec![1, 1, 1, 16]).unwrap();
        let rows = |length: usize| {
            let scale = 2.0;
            filter(
                length,
                length / 2,
                |i| (i as f64 + 0.5) * scale - 0.5,
                4,
                |off| cubic(off / scale),
            )
        };
        let y = line.along_axis(3, &rows_of(&rows(16)));
        for i in 2..6 {
            assert!((y[[0, 0, 0, i]] - (2.0 * i as f64 + 0.5)).abs() < 1e-12);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Separable::box_downsampling(SHAPE, 4).is_err());
        assert!(Separable::bicubic_downsampling(SHAPE, 0).is_err());
        assert!(Separable::blur(SHAPE, 0.0).is_err());
        assert!(Separable::new(&[vec![vec![1.0, 2.0], vec![1.0]]]).is_err());
        let boxes = Separable::box_downsampling(SHAPE, 2).unwrap();
        assert!(boxes.after(&Separable::grey(SHAPE)).is_err());
        let error = boxes.seen_in(&wave(&[1, 3, 4, 6], 1.0)).unwrap_err();
        let text = "the measurement has shape [3, 4, 6], expected [3, 2, 3]";
        assert_eq!(error.to_string(), text);
    }
}
