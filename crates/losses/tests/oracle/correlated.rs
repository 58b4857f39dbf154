//! Normal data of two values that depend on each other.

use ndarray::{Array1, Array2, ArrayD, array};
use tweedie_schedules::NoiseLevel;

/// Normal data of two correlated values, `mean + root z`.
pub(crate) struct Correlated {
    mean: Array1<f64>,
    root: Array2<f64>,
}

/// Data and noise at two nodes for each of their values, at which means of squares are exact.
pub(crate) struct Cases {
    pub(crate) x0: ArrayD<f64>,
    pub(crate) eps: ArrayD<f64>,
    pub(crate) count: usize,
}

impl Correlated {
    pub(crate) fn new() -> Self {
        Self { mean: array![0.3, -0.2], root: array![[0.5, 0.0], [0.3, 0.2]] }
    }

    /// The 16 points at which data and noise are one deviation off, each as likely as any other.
    pub(crate) fn cases(&self) -> Cases {
        let sign = |k: usize, bit: usize| if k >> bit & 1 == 1 { 1.0 } else { -1.0 };
        let z = Array2::from_shape_fn((16, 2), |(k, axis)| sign(k, axis));
        let eps = Array2::from_shape_fn((16, 2), |(k, axis)| sign(k, 2 + axis)).into_dyn();
        Cases { x0: (z.dot(&self.root.t()) + &self.mean).into_dyn(), eps, count: 16 }
    }

    /// The score of the noisy data, which is linear: a matrix and an offset.
    pub(crate) fn score(&self, level: NoiseLevel) -> (Array2<f64>, Array1<f64>) {
        let data = self.root.dot(&self.root.t());
        let covariance = level.alpha.powi(2) * data + level.sigma.powi(2) * Array2::<f64>::eye(2);
        let (a, b, d) = (covariance[[0, 0]], covariance[[0, 1]], covariance[[1, 1]]);
        let inverse = array![[d, -b], [-b, a]] / (a * d - b * b);
        let offset = inverse.dot(&self.mean) * level.alpha;
        (-inverse, offset)
    }
}

/// All sign patterns of two values: their mean is the expectation over Rademacher directions.
pub(crate) fn all_signs(count: usize) -> Vec<ArrayD<f64>> {
    let patterns = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
    patterns.map(|signs| Array2::from_shape_fn((count, 2), |(_, i)| signs[i]).into_dyn()).to_vec()
}
