//! The bound's operations on tensors, differentiable.

use super::{Bins, BoundState, NormalCdf};
use crate::loss_space::sum_kind;
use tch::{Scalar, Tensor};
use tweedie_score::Batch;

impl BoundState for Tensor {
    fn ln(&self) -> Self {
        self.log()
    }

    fn exp_m1(&self) -> Self {
        self.expm1()
    }

    fn detached(&self) -> Self {
        self.detach()
    }

    fn bin_log_probability(&self, mean: &Self, log_variance: &Self, bins: &Bins) -> Self {
        let shapes = (mean.size(), log_variance.size());
        assert_eq!(shapes, (self.size(), self.size()), "states of different shapes");
        let (centred, per_std) = (self - mean, (log_variance * -0.5).exp());
        let upper = (&centred + bins.half) * &per_std;
        let lower = (&centred - bins.half) * &per_std;
        let (lowest, highest) = bins.edges();
        // Ho et al. 2020, eq. 13
        let cdf = bins.cdf;
        let probability = below(cdf, &upper).where_self(
            &self.lt(lowest),
            &above(cdf, &lower).where_self(&self.gt(highest), &between(cdf, &lower, &upper)),
        );
        probability.clamp_min(Scalar::from(cdf.floor())).log()
    }

    fn mean_each_times(&self, factor: f64) -> Tensor {
        let kind = sum_kind(self);
        let rows = self.to_kind(kind).reshape([self.batch_len() as i64, -1]);
        rows.mean_dim([1].as_slice(), false, kind) * factor
    }

    fn ones(&self) -> Self {
        self.ones_like()
    }
}

/// The probability below `x`, as [`NormalCdf::below`].
fn below(cdf: NormalCdf, x: &Tensor) -> Tensor {
    match cdf {
        NormalCdf::Exact => (x * -std::f64::consts::FRAC_1_SQRT_2).erfc() * 0.5,
        NormalCdf::Tanh => {
            let argument =
                (x + x.pow_tensor_scalar(3) * 0.044715) * std::f64::consts::FRAC_2_PI.sqrt();
            argument.tanh() * 0.5 + 0.5
        }
    }
}

fn above(cdf: NormalCdf, x: &Tensor) -> Tensor {
    match cdf {
        NormalCdf::Exact => below(cdf, &-x),
        NormalCdf::Tanh => below(cdf, x) * -1.0 + 1.0,
    }
}

fn between(cdf: NormalCdf, lower: &Tensor, upper: &Tensor) -> Tensor {
    let plain = below(cdf, upper) - below(cdf, lower);
    match cdf {
        NormalCdf::Exact => {
            let mirrored = above(cdf, lower) - above(cdf, upper);
            mirrored.where_self(&lower.gt(0.0), &plain)
        }
        NormalCdf::Tanh => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};
    use tch::{Device, Kind};

    fn both(values: &[f64]) -> (Tensor, ArrayD<f64>) {
        let array = ArrayD::from_shape_vec(IxDyn(&[2, values.len() / 2]), values.to_vec()).unwrap();
        (Tensor::from_slice(values).reshape([2, -1]), array)
    }

    #[test]
    fn tensors_and_arrays_agree() {
        let (x, x_array) = both(&[-1.0, -0.5, 0.0, 0.5, 1.0, 0.9]);
        let (mean, mean_array) = both(&[-0.7, -0.5, 0.4, -0.5, 0.7, -0.9]);
        let (log, log_array) = both(&[-3.0, -6.0, -2.0, -4.0, -1.0, -9.0]);
        for cdf in [NormalCdf::Exact, NormalCdf::Tanh] {
            let bins = Bins::new(17, -1.0, 1.0).unwrap().with_cdf(cdf);
            let tensor = x.bin_log_probability(&mean, &log, &bins);
            let array = x_array.bin_log_probability(&mean_array, &log_array, &bins);
            let got = Vec::<f64>::try_from(tensor.flatten(0, -1)).unwrap();
            for (got, want) in got.into_iter().zip(array) {
                assert!((got - want).abs() < 1e-12 * want.abs(), "{cdf:?}: {got}, expected {want}");
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_numbers_by_finite_differences() {
        let bins = Bins::new(17, -1.0, 1.0).unwrap();
        let x = Tensor::from_slice(&[-1.0, 0.25, 0.5, 1.0]).reshape([1, 4]);
        let at = |shift: f64| Tensor::from_slice(&[-0.8, 0.3, -0.1, 0.95]).reshape([1, 4]) + shift;
        let log = Tensor::full([1, 4], -3.0, (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let mean = at(0.0).set_requires_grad(true);
        x.bin_log_probability(&mean, &log, &bins).sum(Kind::Double).backward();
        let total = |mean: &Tensor, log: &Tensor| {
            x.bin_log_probability(mean, log, &bins).sum(Kind::Double).double_value(&[])
        };
        let (step, flat) = (1e-5, log.detach());
        let by_mean = (total(&at(step), &flat) - total(&at(-step), &flat)) / (2.0 * step);
        let raised = |sign: f64| total(&at(0.0), &(&flat + sign * step));
        let by_log = (raised(1.0) - raised(-1.0)) / (2.0 * step);
        let sum = |tensor: Tensor| tensor.sum(Kind::Double).double_value(&[]);
        assert!((sum(mean.grad()) - by_mean).abs() < 1e-7 * by_mean.abs());
        assert!((sum(log.grad()) - by_log).abs() < 1e-7 * by_log.abs());
    }
}
