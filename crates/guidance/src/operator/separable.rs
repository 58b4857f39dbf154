//! Measurements that act on groups of axes one after the other: averages over boxes, bicubic downsampling,
//! blur, mixtures of the channels, masks, and their products.
//!
//! `A = C (x) R (x) Q`, a Kronecker product of three small matrices for channels, rows and columns, has the
//! products of their singular values as its own and the products of their singular vectors as its
//! coordinates, so that pictures of any size are decoupled by matrices no larger than a side. A product
//! of two such maps is one again. A mask belongs to rows and columns together: in a product with a
//! blur, the two are one factor with a matrix of all pixels.

mod factor;
mod filter;

use super::{LinearOperator, SingularValues, Spectrum};
use crate::GuidanceError;
use factor::Factor;
use filter::{box_means, check_factor, cubic, filter};
use nalgebra::DMatrix;
use tweedie_score::{Axes, Draw, Elementwise};

/// A linear map along each axis of a sample, or along several of them together.
#[derive(Clone, Debug)]
pub struct Separable {
    item: Vec<usize>,
    measured: Vec<usize>,
    /// From the first axis of a sample to the last.
    factors: Vec<Factor>,
}

impl Separable {
    /// Singular values below this share of the largest count as 0: what a strong blur leaves of a
    /// coordinate is nothing that a measurement in single precision could tell.
    pub const SMALLEST: f64 = 1e-6;

    /// The most pixels that a mask in a product may mix, 32 by 32: it takes the decomposition of a matrix of
    /// that many rows and columns, under a second for 256 and some twenty seconds for this many.
    pub const LARGEST_MASKED: usize = 1024;

    /// One matrix for each axis of a sample, given by its rows.
    ///
    /// # Errors
    /// When a matrix is empty, or its rows have different lengths or values that are not finite.
    pub fn new(matrices: &[Vec<Vec<f64>>]) -> Result<Self, GuidanceError> {
        let matrices = matrices.iter().map(|rows| matrix(rows));
        Ok(Self::of(matrices.collect::<Result<_, _>>()?))
    }

    /// The mean of each box of `factor * factor` pixels, for pictures of `[channels, height, width]`.
    ///
    /// # Errors
    /// When the factor is 0 or does not divide height and width.
    pub fn box_downsampling(shape: [usize; 3], factor: usize) -> Result<Self, GuidanceError> {
        Self::of_pixels(shape, |length| {
            check_factor(length, factor)?;
            Ok(box_means(length, factor))
        })
    }

    /// Every `factor`-th pixel of the picture after a cubic filter as wide as the factor, with the picture
    /// mirrored at its border: Keys 1981, eq. 15, with `a = -1/2`.
    ///
    /// # Errors
    /// When the factor is 0 or does not divide height and width.
    pub fn bicubic_downsampling(shape: [usize; 3], factor: usize) -> Result<Self, GuidanceError> {
        Self::of_pixels(shape, |length| {
            check_factor(length, factor)?;
            let scale = factor as f64;
            let centre = move |i: usize| (i as f64 + 0.5) * scale - 0.5;
            Ok(filter(length, length / factor, centre, 2 * factor, |off| cubic(off / scale)))
        })
    }

    /// A blur by a normal density of standard deviation `deviation` pixels, cut at four of them, with the
    /// picture mirrored at its border.
    ///
    /// # Errors
    /// When the deviation is not positive and at most 1000 pixels.
    pub fn blur(shape: [usize; 3], deviation: f64) -> Result<Self, GuidanceError> {
        if !(deviation > 0.0 && deviation <= 1000.0) {
            let (name, allowed) = ("deviation of the blur", "a value above 0 and up to 1000");
            return Err(GuidanceError::ParameterOutOfRange { name, value: deviation, allowed });
        }
        let reach = (4.0 * deviation).ceil() as usize;
        let weight = |off: f64| (-0.5 * (off / deviation).powi(2)).exp();
        Self::of_pixels(shape, |length| Ok(filter(length, length, |i| i as f64, reach, weight)))
    }

    /// The mean of the channels of a picture of `[channels, height, width]`, a picture of one channel.
    #[must_use]
    pub fn grey([channels, height, width]: [usize; 3]) -> Self {
        let mean = DMatrix::from_element(1, channels, 1.0 / channels as f64);
        Self::of(vec![mean, DMatrix::identity(height, height), DMatrix::identity(width, width)])
    }

    /// The known pixels of a picture of `[channels, height, width]`, with 0 for the others; `known` in rows,
    /// the same for every channel. It is for products: a mask alone is [`Mask`](super::Mask), which takes
    /// pictures of any size, and has a value for each channel.
    ///
    /// # Errors
    /// When there is not one value for each pixel, or there are more than
    /// [`LARGEST_MASKED`](Self::LARGEST_MASKED) of them.
    pub fn mask(
        [channels, height, width]: [usize; 3],
        known: &[bool],
    ) -> Result<Self, GuidanceError> {
        let pixels = height.saturating_mul(width);
        if known.len() != pixels {
            let (got, expected) = (vec![known.len()], vec![height, width]);
            return Err(GuidanceError::ShapeMismatch { what: "mask", got, expected });
        }
        check_masked(pixels)?;
        let kept = known.iter().map(|known| f64::from(u8::from(*known)));
        let kept = DMatrix::from_diagonal(&nalgebra::DVector::from_iterator(pixels, kept));
        let factors =
            vec![Factor::new(1, DMatrix::identity(channels, channels)), Factor::new(2, kept)];
        let shape = vec![channels, height, width];
        Ok(Self { item: shape.clone(), measured: shape, factors })
    }

    /// `self` after `first`, as one map.
    ///
    /// # Errors
    /// When `first` gives another shape than `self` takes, or a mask would mix more than
    /// [`LARGEST_MASKED`](Self::LARGEST_MASKED) values.
    pub fn after(&self, first: &Self) -> Result<Self, GuidanceError> {
        if first.measured != self.item {
            let (got, expected) = (first.measured.clone(), self.item.clone());
            let what = "first map's picture";
            return Err(GuidanceError::ShapeMismatch { what, got, expected });
        }
        let (mut last, mut early) = (self.factors.iter(), first.factors.iter());
        let mut factors = Vec::new();
        while let (Some(mut second), Some(mut first)) =
            (last.next().cloned(), early.next().cloned())
        {
            // a factor of several axes meets as many of the other map, made one
            while second.axes() != first.axes() {
                let (shorter, more) = if second.axes() < first.axes() {
                    (&mut second, &mut last)
                } else {
                    (&mut first, &mut early)
                };
                let Some(next) = more.next() else { break };
                check_masked(shorter.matrix().ncols().saturating_mul(next.matrix().ncols()))?;
                *shorter = shorter.and(next);
            }
            factors.push(second.after(&first));
        }
        Ok(Self { item: first.item.clone(), measured: self.measured.clone(), factors })
    }

    /// Shape of the samples it takes.
    #[must_use]
    pub fn shape_of_item(&self) -> Vec<usize> {
        self.item.clone()
    }

    /// Shape of the measurements of one sample.
    #[must_use]
    pub fn shape_of_measurement(&self) -> Vec<usize> {
        self.measured.clone()
    }

    /// Whether a measurement without noise determines all that it is of, to within ten times its rounding.
    #[must_use]
    pub fn knows_every_value(&self) -> bool {
        let values = self.singular_values();
        values.iter().all(|value| *value > 0.0) && SingularValues::Each(values).are_alike()
    }

    /// Channels as they are, and a matrix for the rows and one for the columns by their length.
    fn of_pixels(
        [channels, height, width]: [usize; 3],
        along: impl Fn(usize) -> Result<DMatrix<f64>, GuidanceError>,
    ) -> Result<Self, GuidanceError> {
        let matrices = vec![DMatrix::identity(channels, channels), along(height)?, along(width)?];
        Ok(Self::of(matrices))
    }

    fn of(matrices: Vec<DMatrix<f64>>) -> Self {
        let item = matrices.iter().map(DMatrix::ncols).collect();
        let measured = matrices.iter().map(DMatrix::nrows).collect();
        let factors = matrices.into_iter().map(|matrix| Factor::new(1, matrix)).collect();
        Self { item, measured, factors }
    }

    /// Each factor's matrix along its group of axes; the result in samples of shape `item`.
    fn along<S: Axes>(&self, x: &S, item: &[usize], matrix: impl Fn(&Factor) -> DMatrix<f64>) -> S {
        let matrices: Vec<_> = self.factors.iter().map(matrix).collect();
        let grouped: Vec<_> = matrices.iter().map(DMatrix::ncols).collect();
        let mut x = x.with_item_shape(&grouped);
        for (axis, matrix) in matrices.iter().enumerate() {
            // nalgebra stores columns one after the other, states take rows
            x = x.along_axis(axis + 1, matrix.transpose().as_slice());
        }
        x.with_item_shape(item)
    }

    /// The singular values of one sample's coordinates, row-major; 0 for those too small to count.
    fn singular_values(&self) -> Vec<f64> {
        let products = self.factors.iter().fold(vec![1.0], |products, factor| {
            let values = factor.singular_values();
            products.iter().flat_map(|p| values.iter().map(move |s| p * s)).collect()
        });
        let least = Self::SMALLEST * products.iter().copied().fold(0.0, f64::max);
        products.into_iter().map(|value| if value > least { value } else { 0.0 }).collect()
    }
}

impl<S: Axes + Draw + Elementwise> LinearOperator<S> for Separable {
    fn apply(&self, x: &S) -> S {
        self.along(x, &self.measured, |factor| factor.matrix().clone())
    }

    fn adjoint(&self, y: &S) -> S {
        self.along(y, &self.item, |factor| factor.matrix().transpose())
    }

    fn decouple(&self, x: &S) -> S {
        self.along(x, &self.item, |factor| factor.right().clone())
    }

    fn couple(&self, coordinates: &S) -> S {
        self.along(coordinates, &self.item, |factor| factor.right().transpose())
    }

    fn measured(&self, y: &S) -> S {
        S::combine(&[(1.0, y)])
    }

    fn seen_in(&self, y: &S) -> Result<S, GuidanceError> {
        let (shape, expected) = (y.shape(), self.measured.clone());
        if shape.get(1..) != Some(&expected) {
            let got = shape.get(1..).unwrap_or(&[]).to_vec();
            return Err(GuidanceError::ShapeMismatch { what: "measurement", got, expected });
        }
        let coordinates = self.along(y, &self.item, |factor| factor.left().clone());
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

fn check_masked(values: usize) -> Result<(), GuidanceError> {
    if values <= Separable::LARGEST_MASKED {
        return Ok(());
    }
    Err(GuidanceError::MaskTooLarge { values, most: Separable::LARGEST_MASKED })
}

#[cfg(test)]
mod tests;
