//! The error norm of `ndarray` states.

use super::{ErrorNorm, Tolerance};
use crate::Batch;
use ndarray::ArrayD;

macro_rules! error_norm_of {
    ($real:ty) => {
        impl ErrorNorm for ArrayD<$real> {
            fn scaled_rms_each(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64> {
                assert_eq!(self.shape(), a.shape(), "states of different shapes");
                assert_eq!(self.shape(), b.shape(), "states of different shapes");
                let count = self.item_len() as f64;
                let samples = self.outer_iter().zip(a.outer_iter()).zip(b.outer_iter());
                let rms = samples.map(|((error, a), b)| {
                    let squares = error.iter().zip(&a).zip(&b).map(|((error, a), b)| {
                        let allowed = tolerance.allowed(f64::from(a.abs().max(b.abs())));
                        (f64::from(*error) / allowed).powi(2)
                    });
                    (squares.sum::<f64>() / count).sqrt()
                });
                rms.collect()
            }
        }
    };
}

error_norm_of!(f32);
error_norm_of!(f64);

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn each_value_is_measured_against_the_larger_state() {
        let error = array![[0.3, 0.4], [1.0, 1.0]].into_dyn();
        let a = array![[0.0, -3.0], [9.0, 1.0]].into_dyn();
        let b = array![[1.0, 2.0], [-9.0, 0.0]].into_dyn();
        let sum = Tolerance::Sum { absolute: 1.0, relative: 1.0 };
        let expected =
            [(0.15_f64, 0.1_f64), (0.1, 0.5)].map(|(x, y)| (0.5 * (x * x + y * y)).sqrt());
        for (got, expected) in error.scaled_rms_each(&a, &b, sum).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-15, "{got} against {expected}");
        }
    }

    #[test]
    fn a_state_of_one_part_is_measured_over_the_whole_batch() {
        let error = array![[1.0, 1.0], [7.0, 7.0]].into_dyn();
        let (x, tolerance) = (&error * 0.0, Tolerance::Sum { absolute: 1.0, relative: 0.0 });
        assert_eq!(error.scaled_rms_parts(&x, &x, tolerance), [5.0]);
    }

    #[test]
    fn the_larger_of_two_tolerances_holds() {
        let tolerance = Tolerance::Larger { absolute: 0.5, relative: 0.1 };
        assert_eq!([tolerance.allowed(1.0), tolerance.allowed(20.0)], [0.5, 2.0]);
    }

    #[test]
    fn an_error_that_is_not_a_number_is_not_small() {
        let (x, error) = (array![[1.0]].into_dyn(), array![[f64::NAN]].into_dyn());
        let tolerance = Tolerance::Sum { absolute: 1.0, relative: 1.0 };
        assert!(error.scaled_rms_each(&x, &x, tolerance)[0].is_nan());
    }
}
