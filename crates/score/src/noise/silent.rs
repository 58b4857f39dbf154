//! No noise at all.

use super::NoiseSource;
use crate::{NoiseError, VectorSpace};

/// Noise that is zero everywhere: a step run with it gives the mean of the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silent;

impl<S: VectorSpace> NoiseSource<S> for Silent {
    fn normal_like(&mut self, like: &S) -> Result<S, NoiseError> {
        Ok(S::combine(&[(0.0, like)]))
    }

    fn rademacher_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.normal_like(like)
    }

    fn uniform_like(&mut self, like: &S) -> Result<S, NoiseError> {
        self.normal_like(like)
    }

    fn uniform(&mut self, count: usize) -> Result<Vec<f64>, NoiseError> {
        Ok(vec![0.0; count])
    }

    fn indices(&mut self, count: usize, _below: usize) -> Result<Vec<usize>, NoiseError> {
        Ok(vec![0; count])
    }
}
