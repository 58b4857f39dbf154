//! The error norm of libtorch tensors, computed where they lie.

use super::{ErrorNorm, Tolerance};
use tch::{Kind, Tensor};

impl ErrorNorm for Tensor {
    fn scaled_rms_each(&self, a: &Self, b: &Self, tolerance: Tolerance) -> Vec<f64> {
        assert_eq!(self.size(), a.size(), "states of different shapes");
        assert_eq!(self.size(), b.size(), "states of different shapes");
        let size = a.abs().maximum(&b.abs()).to_kind(Kind::Double);
        let allowed = match tolerance {
            Tolerance::Sum { absolute, relative } => size * relative + absolute,
            Tolerance::Larger { absolute, relative } => (size * relative).clamp_min(absolute),
        };
        let squares = (self.to_kind(Kind::Double) / allowed).square();
        let batch = self.size()[0];
        let means = squares.reshape([batch, -1]).mean_dim([-1].as_slice(), false, Kind::Double);
        Vec::try_from(means.sqrt()).expect("one number a sample")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_measured_against_the_larger_state() {
        let row = |values: [f64; 2]| Tensor::from_slice(&values).reshape([1, 2]);
        let (error, a, b) = (row([0.3, 0.4]), row([0.0, -3.0]), row([1.0, 2.0]));
        let sum = Tolerance::Sum { absolute: 1.0, relative: 1.0 };
        let larger = Tolerance::Larger { absolute: 1.0, relative: 0.5 };
        for (tolerance, x, y) in [(sum, 0.15_f64, 0.1_f64), (larger, 0.3, 0.4 / 1.5)] {
            let expected = (0.5 * (x * x + y * y)).sqrt();
            let got = error.scaled_rms_each(&a, &b, tolerance)[0];
            assert!((got - expected).abs() < 1e-15, "{got} against {expected}");
        }
    }
}
