//! The Frechet distance between two sets of images, each taken as a Gaussian over its pixels.
//!
//! With means `m_a`, `m_b` and covariances `A`, `B` (divided by `n - 1`):
//!
//! `|m_a - m_b|^2 + tr(A) + tr(B) - 2 tr((A^1/2 B A^1/2)^1/2)`
//!
//! This is the squared 2-Wasserstein distance of the two Gaussians, the figure that FID computes on
//! features of a network instead of pixels.

use nalgebra::{DMatrix, SymmetricEigen};
use ndarray::{Array1, Array2, ArrayView2, Axis, linalg::general_mat_mul};
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{error::EvaluationError, pixels::check};

/// Images centred at a time while a covariance is summed.
const BLOCK: usize = 1024;

/// Mean and covariance of a set of images.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    mean: Array1<f64>,
    covariance: Array2<f64>,
}

impl Moments {
    /// Of images in rows `[n, pixels]`; the covariance is divided by `n - 1`.
    ///
    /// # Errors
    /// When there are fewer than two images, or a pixel is not finite.
    pub fn of(images: ArrayView2<'_, f32>) -> Result<Self, EvaluationError> {
        check("the set", images, images.ncols(), 2)?;
        let (count, pixels) = (images.nrows() as f64, images.ncols());
        let mut mean = Array1::<f64>::zeros(pixels);
        for image in images.rows() {
            mean.zip_mut_with(&image, |sum, &pixel| *sum += f64::from(pixel));
        }
        mean /= count;
        let mut covariance = Array2::zeros((pixels, pixels));
        for block in images.axis_chunks_iter(Axis(0), BLOCK) {
            let centred = block.mapv(f64::from) - &mean;
            general_mat_mul(1.0 / (count - 1.0), &centred.t(), &centred, 1.0, &mut covariance);
        }
        Ok(Self { mean, covariance })
    }

    /// Frechet distance (already squared, as is customary) to other moments.
    ///
    /// Singular covariances are fine. The cost is two eigen decompositions of pixels by pixels.
    ///
    /// # Precision
    /// Eigenvalues are right to about 1e-16 of the largest, and their roots are summed: for `d`
    /// pixels and covariances of trace `t` the result is right to about `1e-8 t sqrt(d)`, worst when
    /// covariances are singular. A distance below zero by less than that is given as 0.
    ///
    /// # Errors
    /// When the two have different numbers of pixels.
    pub fn frechet_distance(&self, other: &Self) -> Result<f64, EvaluationError> {
        let (got, expected) = (self.mean.len(), other.mean.len());
        if got != expected {
            return Err(EvaluationError::PixelCount { what: "the set", got, expected });
        }
        let offset = (&self.mean - &other.mean).mapv(|x| x * x).sum();
        let traces = self.covariance.diag().sum() + other.covariance.diag().sum();
        let root = square_root(matrix(&self.covariance));
        let product = &root * matrix(&other.covariance) * &root;
        // Rounding makes the product slightly unsymmetric, and its zero eigenvalues negative.
        let product = (&product + product.transpose()) * 0.5;
        let cross: f64 = product.symmetric_eigenvalues().iter().map(|&x| x.max(0.0).sqrt()).sum();
        Ok((offset + traces - 2.0 * cross).max(0.0))
    }
}

/// Frechet distance on raw pixels between two sets of images, each `[n, pixels]`.
///
/// # Errors
/// When a set has fewer than two images or a pixel that is not finite, or when the numbers of pixels
/// differ.
pub fn frechet_distance(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
) -> Result<f64, EvaluationError> {
    Moments::of(a)?.frechet_distance(&Moments::of(b)?)
}

/// Frechet distances between two random halves of a set, one for each of `splits` divisions: how far
/// apart two sets of real images of that size are. Of an odd number of images one is left out.
///
/// # Errors
/// When the set has fewer than four images, or a pixel is not finite.
pub fn frechet_between_halves(
    images: ArrayView2<'_, f32>,
    splits: usize,
    seed: u64,
) -> Result<Vec<f64>, EvaluationError> {
    check("the set", images, images.ncols(), 4)?;
    let half = images.nrows() / 2;
    let mut order: Vec<_> = (0..images.nrows()).collect();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..splits)
        .map(|_| {
            order.shuffle(&mut random);
            let part = |rows: &[usize]| images.select(Axis(0), rows);
            frechet_distance(part(&order[..half]).view(), part(&order[half..2 * half]).view())
        })
        .collect()
}

fn matrix(covariance: &Array2<f64>) -> DMatrix<f64> {
    DMatrix::from_iterator(covariance.nrows(), covariance.ncols(), covariance.iter().copied())
}

/// The symmetric square root; eigenvalues that rounding took below zero count as zero.
fn square_root(matrix: DMatrix<f64>) -> DMatrix<f64> {
    let SymmetricEigen { eigenvectors, mut eigenvalues } = matrix.symmetric_eigen();
    eigenvalues.apply(|value| *value = value.max(0.0).sqrt());
    &eigenvectors * DMatrix::from_diagonal(&eigenvalues) * eigenvectors.transpose()
}

#[cfg(test)]
mod tests {
    use approx::assert_relative_eq;
    use ndarray::array;
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn moments(mean: Array1<f64>, covariance: Array2<f64>) -> Moments {
        Moments { mean, covariance }
    }

    fn diagonal(variances: &[f64]) -> Array2<f64> {
        Array2::from_diag(&Array1::from(variances.to_vec()))
    }

    #[test]
    fn moments_are_those_of_a_small_set_by_hand() {
        let moments = Moments::of(array![[1.0, 0.0], [2.0, 4.0], [3.0, 2.0]].view()).unwrap();
        assert_eq!(moments.mean, array![2.0, 2.0]);
        assert_eq!(moments.covariance, array![[1.0, 1.0], [1.0, 4.0]]);
    }

    #[test]
    fn a_covariance_is_the_same_in_one_block_or_many() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let images = Array2::from_shape_simple_fn((2 * BLOCK + 77, 3), || {
            Distribution::<f32>::sample(&StandardNormal, &mut random)
        });
        let wide = images.mapv(f64::from);
        let centred = &wide - &wide.mean_axis(Axis(0)).unwrap();
        let expected = centred.t().dot(&centred) / (images.nrows() as f64 - 1.0);
        let got = Moments::of(images.view()).unwrap().covariance;
        assert!((&got - &expected).iter().all(|x| x.abs() < 1e-12));
    }

    proptest! {
        #[test]
        fn diagonal_gaussians_match_the_closed_form(
            means in prop::collection::vec((-2.0..2.0, -2.0..2.0), 5),
            deviations in prop::collection::vec((0.0..3.0, 0.0..3.0), 5),
        ) {
            // Independent pixels: the sum over pixels of (m_a - m_b)^2 + (s_a - s_b)^2.
            let expected: f64 = means.iter().chain(&deviations).map(|(a, b): &(f64, f64)| (a - b).powi(2)).sum();
            let side = |pick: fn(&(f64, f64)) -> f64| moments(
                means.iter().map(pick).collect(),
                diagonal(&deviations.iter().map(|s| pick(s).powi(2)).collect::<Vec<_>>()),
            );
            let (a, b) = (side(|pair| pair.0), side(|pair| pair.1));
            prop_assert!((a.frechet_distance(&b).unwrap() - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn correlated_gaussians_match_the_closed_form_for_two_pixels() {
        // For 2x2, tr((AB)^1/2) = sqrt(tr(AB) + 2 sqrt(det A det B)).
        let (a, b) = (array![[2.0, 0.5], [0.5, 1.0]], array![[1.0, -0.3], [-0.3, 3.0]]);
        let determinant = |m: &Array2<f64>| m[[0, 0]] * m[[1, 1]] - m[[0, 1]] * m[[1, 0]];
        let product = a.dot(&b).diag().sum();
        let root = (product + 2.0 * (determinant(&a) * determinant(&b)).sqrt()).sqrt();
        let expected = a.diag().sum() + b.diag().sum() - 2.0 * root + 0.25;
        let got = moments(array![0.0, 0.5], a).frechet_distance(&moments(array![0.0, 0.0], b));
        assert_relative_eq!(got.unwrap(), expected, max_relative = 1e-12);
    }

    #[test]
    fn singular_covariances_are_fine() {
        let zero = Array1::zeros(3);
        let line = |direction: Array1<f64>| {
            let column = direction.insert_axis(Axis(1));
            moments(zero.clone(), column.dot(&column.t()))
        };
        let (a, b) = (line(array![1.0, 2.0, 2.0]), line(array![0.0, 3.0, 4.0]));
        // For u u' and v v': |u|^2 + |v|^2 - 2 |u . v|.
        assert_relative_eq!(a.frechet_distance(&b).unwrap(), 9.0 + 25.0 - 28.0, epsilon = 1e-6);
        let point = moments(zero.clone(), Array2::zeros((3, 3)));
        assert_relative_eq!(a.frechet_distance(&point).unwrap(), 9.0, epsilon = 1e-12);
        assert_eq!(point.frechet_distance(&point).unwrap(), 0.0);
        assert!(a.frechet_distance(&a).unwrap() < 1e-6);
    }

    #[test]
    fn the_distance_is_symmetric_and_turns_with_the_pixels() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut draw = || {
            Array2::from_shape_simple_fn((50, 6), || -> f32 { StandardNormal.sample(&mut random) })
        };
        let (a, b) = (draw(), draw() * 0.5 + 0.25);
        let there = frechet_distance(a.view(), b.view()).unwrap();
        let back = frechet_distance(b.view(), a.view()).unwrap();
        assert_relative_eq!(there, back, max_relative = 1e-9);
        let order = [3, 1, 5, 0, 2, 4];
        let (a, b) = (a.select(Axis(1), &order), b.select(Axis(1), &order));
        let permuted = frechet_distance(a.view(), b.view()).unwrap();
        assert_relative_eq!(there, permuted, max_relative = 1e-9);
    }

    #[test]
    fn bad_sets_are_refused() {
        let error = |a: Array2<f32>, b: Array2<f32>| {
            frechet_distance(a.view(), b.view()).unwrap_err().to_string()
        };
        let good = || Array2::zeros((3, 2));
        assert_eq!(
            error(good(), Array2::zeros((1, 2))),
            "the set holds 1 images, expected at least 2"
        );
        assert_eq!(
            error(Array2::zeros((3, 4)), good()),
            "the set has 4 pixels an image, expected 2 as in the reference"
        );
        assert_eq!(
            error(array![[0.0, 1.0], [0.0, f32::NAN]], good()),
            "pixel 1 of image 1 in the set is NaN, expected a finite number"
        );
        assert!(frechet_between_halves(good().view(), 1, 0).is_err());
    }
}
