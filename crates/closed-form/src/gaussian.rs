//! A normal distribution with any covariance, and what a linear measurement leaves of it.

use crate::MixtureError;
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
use tweedie_score::{Batch, DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A normal distribution of several coordinates.
///
/// As a score function it is the network without error that predicts data, for states whose samples have
/// as many values as it has coordinates, in any shape.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
    /// Principal axes, one a column, and the variance along each.
    axes: DMatrix<f64>,
    variances: DVector<f64>,
}

impl Gaussian {
    /// The distribution of this mean and covariance, the latter row-major.
    ///
    /// # Errors
    /// When there is no coordinate, the covariance is not square or not symmetric, or it has a negative
    /// variance along some axis.
    pub fn new(mean: Vec<f64>, covariance: &[f64]) -> Result<Self, MixtureError> {
        let dimension = mean.len();
        if dimension == 0 || covariance.len() != dimension * dimension {
            let (part, got, expected) = (0, covariance.len(), dimension.max(1).pow(2));
            return Err(MixtureError::DimensionMismatch { part, got, expected });
        }
        let covariance = DMatrix::from_row_slice(dimension, dimension, covariance);
        let skew = (&covariance - covariance.transpose()).amax();
        let size = covariance.amax();
        if skew.is_nan() || skew > 1e-9 * size {
            let (name, allowed) = ("asymmetry of the covariance", "0");
            return Err(MixtureError::PartOutOfRange { name, part: 0, value: skew, allowed });
        }
        Self::of(DVector::from_vec(mean), covariance)
    }

    fn of(mean: DVector<f64>, covariance: DMatrix<f64>) -> Result<Self, MixtureError> {
        let covariance = 0.5 * (&covariance + covariance.transpose());
        let SymmetricEigen { eigenvalues, eigenvectors } = covariance.clone().symmetric_eigen();
        let least = eigenvalues.min();
        if least.is_nan() || least < -1e-9 * covariance.amax() {
            let (name, allowed) = ("variance along an axis", "a value of at least 0");
            return Err(MixtureError::PartOutOfRange { name, part: 0, value: least, allowed });
        }
        let variances = eigenvalues.map(|variance| variance.max(0.0));
        Ok(Self { mean, covariance, axes: eigenvectors, variances })
    }

    /// The mean.
    #[must_use]
    pub fn mean(&self) -> &[f64] {
        self.mean.as_slice()
    }

    /// The covariance of coordinates `i` and `j`.
    ///
    /// # Panics
    /// When there is no such coordinate.
    #[must_use]
    pub fn covariance(&self, i: usize, j: usize) -> f64 {
        self.covariance[(i, j)]
    }

    /// Draws of it, made of standard normal numbers `z` of as many values a sample as it has coordinates, in
    /// any shape.
    ///
    /// # Errors
    /// When the samples have another number of values.
    pub fn shaped(&self, z: &ArrayD<f64>) -> Result<ArrayD<f64>, ScoreError> {
        self.each_sample(z, |_, z| {
            let along = DVector::from_row_slice(z).component_mul(&self.variances.map(f64::sqrt));
            z.copy_from_slice((&self.mean + &self.axes * along).as_slice());
        })
    }

    /// The distribution given `y = A x + n`, with the rows of `A` and the deviation of the noise `n`, 0
    /// for none.
    ///
    /// # Errors
    /// When a row or `y` has another length than fits, or two rows measure the same without noise.
    pub fn given(
        &self,
        rows: &[Vec<f64>],
        y: &[f64],
        deviation: f64,
    ) -> Result<Self, MixtureError> {
        let dimension = self.mean.len();
        let odd = rows.iter().find(|row| row.len() != dimension);
        if odd.is_some() || rows.len() != y.len() {
            let got = odd.map_or(y.len(), Vec::len);
            let expected = if odd.is_some() { dimension } else { rows.len() };
            return Err(MixtureError::DimensionMismatch { part: 0, got, expected });
        }
        let a = DMatrix::from_fn(rows.len(), dimension, |i, j| rows[i][j]);
        let of_y = &a * &self.covariance * a.transpose()
            + DMatrix::identity(rows.len(), rows.len()) * deviation.powi(2);
        let Some(inverse) = of_y.try_inverse() else {
            let (name, value, allowed) = ("variance of a measurement", 0.0, "a value above 0");
            return Err(MixtureError::PartOutOfRange { name, part: 0, value, allowed });
        };
        let gain = &self.covariance * a.transpose() * inverse;
        let mean = &self.mean + &gain * (DVector::from_row_slice(y) - &a * &self.mean);
        Self::of(mean, &self.covariance - &gain * a * &self.covariance)
    }

    /// `E[x_0 | x]` at a level, the regression of jointly normal variables, in the place of `x`.
    fn estimate(&self, x: &mut [f64], level: NoiseLevel) {
        let offset = DVector::from_row_slice(x) - level.alpha * &self.mean;
        x.copy_from_slice((&self.mean + self.regression(&offset, level)).as_slice());
    }

    /// `J v` with `J` the Jacobian of the estimate, which is symmetric.
    fn regression(
        &self,
        v: &DVector<f64>,
        NoiseLevel { alpha, sigma }: NoiseLevel,
    ) -> DVector<f64> {
        let mut along = self.axes.tr_mul(v);
        for (value, variance) in along.iter_mut().zip(self.variances.iter()) {
            let total = alpha.powi(2) * variance + sigma.powi(2);
            *value *= if total > 0.0 { alpha * variance / total } else { 0.0 };
        }
        &self.axes * along
    }

    /// A batch with each sample changed, by its index, in its place.
    fn each_sample(
        &self,
        x: &ArrayD<f64>,
        mut change: impl FnMut(usize, &mut [f64]),
    ) -> Result<ArrayD<f64>, ScoreError> {
        let (got, dimension) = (x.item_len(), self.mean.len());
        if got != dimension {
            let error = MixtureError::SampleLength { got, dimension };
            return Err(ScoreError::Network(Box::new(error)));
        }
        let mut values: Vec<f64> = x.iter().copied().collect();
        for (index, sample) in values.chunks_exact_mut(dimension).enumerate() {
            change(index, sample);
        }
        Ok(ArrayD::from_shape_vec(x.raw_dim(), values).expect("as many values as before"))
    }
}

impl ScoreFn<ArrayD<f64>> for Gaussian {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        at.check(x.batch_len())?;
        self.each_sample(x, |index, sample| self.estimate(sample, at.of(index).level))
    }
}

impl DifferentiableScoreFn<ArrayD<f64>> for Gaussian {
    fn predict_vjps(
        &self,
        x: &ArrayD<f64>,
        at: TimePoint,
        cotangents: &[ArrayD<f64>],
    ) -> Result<(ArrayD<f64>, Vec<ArrayD<f64>>), ScoreError> {
        let product = |cotangent: &ArrayD<f64>| {
            assert_eq!(x.shape(), cotangent.shape(), "a state and a cotangent of different shapes");
            self.each_sample(cotangent, |_, v| {
                let product = self.regression(&DVector::from_row_slice(v), at.level);
                v.copy_from_slice(product.as_slice());
            })
        };
        let products = cotangents.iter().map(product).collect::<Result<_, _>>()?;
        Ok((self.predict(x, Times::Shared(at))?, products))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExactScore, Mixture, UnitNoise};
    use ndarray::arr2;
    use tweedie_score::NoiseSource;

    fn pair(correlation: f64) -> Gaussian {
        Gaussian::new(vec![0.5, -1.0], &[1.0, correlation, correlation, 1.0]).unwrap()
    }

    #[test]
    fn a_round_one_is_a_mixture_of_one_part() {
        let gaussian = Gaussian::new(vec![0.5, -1.0], &[0.09, 0.0, 0.0, 0.09]).unwrap();
        let mixture = Mixture::gaussian(vec![0.5, -1.0], 0.3).unwrap();
        let level = NoiseLevel { alpha: 0.8, sigma: 0.6 };
        let at = Times::Shared(TimePoint { t: 0.5, level });
        let x = arr2(&[[0.1, 0.7], [-1.4, 0.2]]).into_dyn();
        let expected = ExactScore::new(mixture, Prediction::Data).predict(&x, at).unwrap();
        let off = gaussian.predict(&x, at).unwrap() - expected;
        assert!(off.iter().all(|off| off.abs() < 1e-14));
    }

    #[test]
    fn the_pull_back_is_the_slope_of_the_estimate() {
        let at = TimePoint { t: 0.5, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } };
        let (data, x) = (pair(0.8), arr2(&[[0.1, 0.7]]).into_dyn());
        let cotangent = arr2(&[[0.3, -1.2]]).into_dyn();
        let (output, product) = data.predict_vjp(&x, at, &cotangent).unwrap();
        for axis in 0..2 {
            let mut moved = x.clone();
            moved[[0, axis]] += 1.0;
            let slope = (data.predict(&moved, Times::Shared(at)).unwrap() - &output) * &cotangent;
            assert!((slope.sum() - product[[0, axis]]).abs() < 1e-14);
        }
    }

    #[test]
    fn what_is_shaped_of_unit_noise_has_its_moments() {
        let (data, mut noise) = (pair(0.8), UnitNoise::new(&[1, 2], 1));
        let z = noise.normal_like(&noise.zeros()).unwrap();
        let back = noise.moments(&data.shaped(&z).unwrap()).unwrap();
        assert_eq!(back.mean(), data.mean());
        for (i, j) in [(0, 0), (0, 1), (1, 1)] {
            assert!((back.covariance(i, j) - data.covariance(i, j)).abs() < 1e-14);
        }
    }

    #[test]
    fn a_known_coordinate_moves_and_narrows_the_other() {
        let left = pair(0.8).given(&[vec![1.0, 0.0]], &[1.5], 0.0).unwrap();
        assert!((left.mean()[0] - 1.5).abs() < 1e-14);
        assert!((left.mean()[1] - (-1.0 + 0.8)).abs() < 1e-14);
        assert!((left.covariance(1, 1) - 0.36).abs() < 1e-14);
        assert!(left.covariance(0, 0).abs() < 1e-14);
    }

    #[test]
    fn a_noisy_measurement_counts_by_its_precision() {
        let left = pair(0.0).given(&[vec![0.0, 1.0]], &[1.0], 2.0).unwrap();
        assert!((left.covariance(1, 1) - 0.8).abs() < 1e-14);
        assert!((left.mean()[1] - (-1.0 + 0.2 * 2.0)).abs() < 1e-14);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Gaussian::new(vec![], &[]).is_err());
        assert!(Gaussian::new(vec![0.0], &[1.0, 0.0]).is_err());
        assert!(Gaussian::new(vec![0.0; 2], &[1.0, 0.5, 0.0, 1.0]).is_err());
        assert!(Gaussian::new(vec![0.0; 2], &[1.0, 2.0, 2.0, 1.0]).is_err());
        assert!(pair(0.5).given(&[vec![1.0]], &[0.0], 0.0).is_err());
        assert!(pair(0.5).given(&[vec![1.0, 0.0], vec![1.0, 0.0]], &[0.0; 2], 0.0).is_err());
    }
}
