//! The moments of what a sampler gives, free of chance.

use crate::{Gaussian, MixtureError};
use nalgebra::DVector;
use ndarray::{ArrayD, IxDyn};
use tweedie_score::{Batch, NoiseError, NoiseSource};

/// A source whose draws show how a run answers to its noise, for runs that are affine in it.
///
/// With normal data, the exact score and a method whose coefficients do not depend on the state, a run is. It
/// is made of a batch ([`zeros`](Self::zeros)) whose first sample gets no noise at all, and ends at the
/// mean; each other one gets a single unit, in one coordinate of one draw, and so ends at the mean and a
/// column of a root of the covariance.
#[derive(Clone, Debug)]
pub struct UnitNoise {
    item: Vec<usize>,
    draws: usize,
    used: usize,
}

impl UnitNoise {
    /// For samples of this shape and up to so many draws.
    #[must_use]
    pub fn new(item: &[usize], draws: usize) -> Self {
        Self { item: item.to_vec(), draws, used: 0 }
    }

    /// Values of a sample.
    fn dimension(&self) -> usize {
        self.item.iter().product()
    }

    /// Samples of the batch.
    #[must_use]
    pub fn batch(&self) -> usize {
        1 + self.draws * self.dimension()
    }

    /// A batch of the right shape, of zeros.
    #[must_use]
    pub fn zeros(&self) -> ArrayD<f64> {
        ArrayD::zeros(IxDyn(&[&[self.batch()], self.item.as_slice()].concat()))
    }

    /// Mean and covariance of the run that ended at `end`.
    ///
    /// # Errors
    /// When `end` has another shape than the batch, or values that are not finite.
    pub fn moments(&self, end: &ArrayD<f64>) -> Result<Gaussian, MixtureError> {
        let (got, dimension) = (end.item_len(), self.dimension());
        if got != dimension || end.batch_len() != self.batch() {
            return Err(MixtureError::SampleLength { got, dimension });
        }
        let values: Vec<f64> = end.iter().copied().collect();
        let (mean, columns) = values.split_at(dimension);
        let center = DVector::from_row_slice(mean);
        let mut covariance = nalgebra::DMatrix::zeros(dimension, dimension);
        for column in columns.chunks_exact(dimension) {
            let off = DVector::from_row_slice(column) - &center;
            covariance.ger(1.0, &off, &off, 1.0);
        }
        Gaussian::new(mean.to_vec(), covariance.as_slice())
    }
}

impl NoiseSource<ArrayD<f64>> for UnitNoise {
    fn normal_like(&mut self, like: &ArrayD<f64>) -> Result<ArrayD<f64>, NoiseError> {
        if self.used == self.draws {
            return Err(NoiseError::Exhausted { recorded: self.draws });
        }
        let (got, expected) = (like.batch_len(), self.batch());
        if got != expected {
            return Err(NoiseError::BatchMismatch { got, expected });
        }
        let (dimension, first) = (self.dimension(), 1 + self.used * self.dimension());
        let unit = |index: usize| {
            let (sample, k) = (index / dimension, index % dimension);
            if sample == first + k { 1.0 } else { 0.0 }
        };
        let values = (0..like.len()).map(unit).collect();
        self.used += 1;
        Ok(ArrayD::from_shape_vec(like.raw_dim(), values).expect("as many values as in `like`"))
    }

    /// Only normal noise has answers that are moments.
    fn rademacher_like(&mut self, _: &ArrayD<f64>) -> Result<ArrayD<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn uniform_like(&mut self, _: &ArrayD<f64>) -> Result<ArrayD<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn uniform(&mut self, _: usize) -> Result<Vec<f64>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }

    fn indices(&mut self, _: usize, _: usize) -> Result<Vec<usize>, NoiseError> {
        Err(NoiseError::Exhausted { recorded: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_of_an_affine_map_of_noise_come_out() {
        let mut noise = UnitNoise::new(&[2], 2);
        let like = noise.zeros();
        let (a, b) = (noise.normal_like(&like).unwrap(), noise.normal_like(&like).unwrap());
        let moments = noise.moments(&(a * 3.0 + b * 4.0 + 0.5)).unwrap();
        assert_eq!(moments.mean(), [0.5, 0.5]);
        assert!((moments.covariance(0, 0) - 25.0).abs() < 1e-13);
        assert!(moments.covariance(0, 1).abs() < 1e-13);
        let error = noise.normal_like(&like).unwrap_err();
        assert_eq!(error, NoiseError::Exhausted { recorded: 2 });
        assert!(noise.moments(&ArrayD::zeros(IxDyn(&[3, 2]))).is_err());
    }
}
