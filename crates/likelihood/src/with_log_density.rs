//! A state that carries its log density along.

use tweedie_score::{Batch, ErrorNorm, Tolerance, VectorSpace};

/// A batch and the change of its log density since the run began: one state of one equation, so that
/// any Runge-Kutta method carries both with one error norm over both.
#[derive(Clone, Debug, PartialEq)]
pub struct WithLogDensity<S> {
    /// The samples.
    pub x: S,
    /// One number a sample, in nats.
    pub log_density: Vec<f64>,
}

impl<S: VectorSpace> VectorSpace for WithLogDensity<S> {
    fn combine(terms: &[(f64, &Self)]) -> Self {
        let states: Vec<_> = terms.iter().map(|(factor, term)| (*factor, &term.x)).collect();
        let samples = terms.first().map_or(0, |(_, term)| term.log_density.len());
        let sum =
            |sample| terms.iter().map(|(factor, term)| factor * term.log_density[sample]).sum();
        Self { x: S::combine(&states), log_density: (0..samples).map(sum).collect() }
    }

    fn combine_reusing(mut self, own: f64, terms: &[(f64, &Self)]) -> Self {
        let states: Vec<_> = terms.iter().map(|(factor, term)| (*factor, &term.x)).collect();
        for (sample, value) in self.log_density.iter_mut().enumerate() {
            *value = terms
                .iter()
                .fold(own * *value, |sum, (factor, term)| sum + factor * term.log_density[sample]);
        }
        Self { x: self.x.combine_reusing(own, &states), log_density: self.log_density }
    }
}

impl<S: Batch + ErrorNorm> WithLogDensity<S> {
    /// The scaled error of each sample's log density.
    fn scaled(&self, a: &Self, b: &Self, tolerance: Tolerance) -> impl Iterator<Item = f64> {
        let ends = a.log_density.iter().zip(&b.log_density);
        self.log_density
            .iter()
            .zip(ends)
            .map(move |(error, (a, b))| error / tolerance.allowed(a.abs().max(b.abs())))
    }
}

impl<S: Batch + ErrorNorm> ErrorNorm for WithLogDensity<S> {
    /// A sample's log density counts as one more of its values.
    fn scaled_rms_each(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64> {
        let (values, states) =
            (self.x.item_len() as f64, self.x.scaled_rms_each(&a.x, &b.x, tolerance));
        let joined = |(state, density): (f64, f64)| {
            ((values * state * state + density * density) / (values + 1.0)).sqrt()
        };
        states.into_iter().zip(self.scaled(a, b, tolerance)).map(joined).collect()
    }

    /// The samples and their log densities apart.
    fn scaled_rms_parts(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64> {
        let samples = self.log_density.len() as f64;
        let squares: f64 = self.scaled(a, b, tolerance).map(|error| error * error).sum();
        let mut parts = self.x.scaled_rms_parts(&a.x, &b.x, tolerance);
        parts.push((squares / samples).sqrt());
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, array};

    fn state(x: [[f64; 2]; 2], log_density: [f64; 2]) -> WithLogDensity<ArrayD<f64>> {
        WithLogDensity { x: array![x[0], x[1]].into_dyn(), log_density: log_density.to_vec() }
    }

    #[test]
    fn sums_take_both_along() {
        let (a, b) =
            (state([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]), state([[1.0; 2]; 2], [1.0, -1.0]));
        let want = state([[4.0, 6.0], [8.0, 10.0]], [12.0, 10.0]);
        assert_eq!(WithLogDensity::combine(&[(2.0, &a), (2.0, &b)]), want);
        assert_eq!(a.combine_reusing(2.0, &[(2.0, &b)]), want);
    }

    #[test]
    fn one_norm_covers_both_as_one_flat_system() {
        let error = state([[0.3, 0.1], [0.2, 0.4]], [0.5, 0.6]);
        let (a, b) = (state([[1.0; 2]; 2], [0.0, -3.0]), state([[0.5; 2]; 2], [1.0, 2.0]));
        let tolerance = Tolerance::Sum { absolute: 1.0, relative: 1.0 };
        let rms = |values: &[f64]| {
            (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
        };
        let flat = [0.15, 0.05, 0.25, 0.1, 0.2, 0.15]; // each over 1 + the larger size
        let each = error.scaled_rms_each(&a, &b, tolerance);
        assert!(
            (each[0] - rms(&flat[..3])).abs() < 1e-15 && (each[1] - rms(&flat[3..])).abs() < 1e-15
        );
        assert!((rms(&each) - rms(&flat)).abs() < 1e-15);
        let parts = error.scaled_rms_parts(&a, &b, tolerance);
        assert!((parts[0] - rms(&[0.15, 0.05, 0.1, 0.2])).abs() < 1e-15);
        assert!((parts[1] - rms(&[0.25, 0.15])).abs() < 1e-15);
    }
}
