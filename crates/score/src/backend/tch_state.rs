//! libtorch tensors as states; the first axis is the batch, type and device are kept.

use crate::{Batch, Draw, Elementwise, Threshold, VectorSpace};
use tch::{Kind, Tensor};

impl VectorSpace for Tensor {
    fn combine(terms: &[(f64, &Self)]) -> Self {
        tweedie_torch_ext::linear_combination(terms)
    }
}

impl Batch for Tensor {
    fn shape(&self) -> Vec<usize> {
        self.size().into_iter().map(|size| size as usize).collect()
    }

    fn scale_each(&self, factors: &[f64]) -> Self {
        self * one_each(self, factors)
    }

    fn dot_each(&self, other: &Self) -> Vec<f64> {
        Vec::try_from(dots(self, other)).expect("one number a sample")
    }

    fn dot_sum_each(pairs: &[(&Self, &Self)]) -> Vec<f64> {
        let sum = pairs.iter().map(|(a, b)| dots(a, b)).reduce(|sum, dots| sum + dots);
        sum.map_or_else(Vec::new, |sum| Vec::try_from(sum).expect("one number a sample"))
    }

    fn concat(parts: &[&Self]) -> Self {
        Tensor::cat(parts, 0)
    }

    fn split(&self, sizes: &[usize]) -> Vec<Self> {
        let sizes: Vec<i64> = sizes.iter().map(|size| *size as i64).collect();
        self.split_with_sizes(&sizes, 0)
    }
}

impl Elementwise for Tensor {
    fn mul(&self, other: &Self) -> Self {
        assert_eq!(self.size(), other.size(), "states of different shapes");
        self * other
    }

    fn exp(&self) -> Self {
        Tensor::exp(self)
    }

    fn sqrt(&self) -> Self {
        Tensor::sqrt(self)
    }

    fn clamp(&self, low: f64, high: f64) -> Self {
        Tensor::clamp(self, low, high)
    }
}

impl Threshold for Tensor {
    fn abs_quantile_each(&self, quantile: f64) -> Vec<f64> {
        // sorted rather than by libtorch's own quantile, which refuses large samples
        let rows = self.abs().to_kind(Kind::Double).reshape([self.size()[0], -1]);
        let (sorted, _) = rows.sort(-1, false);
        let place = quantile * (rows.size()[1] - 1) as f64;
        let (below, above) = (place.floor() as i64, place.ceil() as i64);
        let low = sorted.select(1, below);
        let between = &low + (sorted.select(1, above) - &low) * (place - place.floor());
        Vec::try_from(between).expect("one number a sample")
    }

    fn clamp_each(&self, limits: &[f64]) -> Self {
        let limits = one_each(self, limits);
        self.minimum(&limits).maximum(&-&limits)
    }
}

/// Inner product of each sample with its counterpart, `[batch]`, still on the device.
fn dots(a: &Tensor, b: &Tensor) -> Tensor {
    assert_eq!(a.size(), b.size(), "states of different shapes");
    let product = (a.to_kind(Kind::Double) * b.to_kind(Kind::Double)).reshape([a.size()[0], -1]);
    product.sum_dim_intlist([-1].as_slice(), false, Kind::Double)
}

/// One number a sample, in a shape that spreads over the sample's values.
fn one_each(state: &Tensor, values: &[f64]) -> Tensor {
    assert_eq!(values.len(), state.batch_len(), "one number for each sample");
    let mut shape = vec![1; state.dim()];
    shape[0] = values.len() as i64;
    let values = Tensor::from_slice(values).to_kind(state.kind()).to_device(state.device());
    values.view(shape.as_slice())
}

impl Draw for Tensor {
    fn draw_like(like: &Self, next: &mut dyn FnMut() -> f64) -> Self {
        let values = (0..like.numel()).map(|_| next());
        let drawn = if like.kind() == Kind::Double {
            Tensor::from_slice(&values.collect::<Vec<f64>>())
        } else {
            Tensor::from_slice(&values.map(|value| value as f32).collect::<Vec<f32>>())
        };
        drawn.reshape(like.size()).to_kind(like.kind()).to_device(like.device())
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn tensors_conform() {
        let zeros = |kind: Kind| {
            move |shape: Vec<usize>| {
                let shape: Vec<i64> = shape.into_iter().map(|size| size as i64).collect();
                Tensor::zeros(shape.as_slice(), (kind, Device::Cpu))
            }
        };
        conformance::check(&zeros(Kind::Double), 1e-12);
        conformance::check(&zeros(Kind::Float), 1e-5);
        conformance::check_threshold(&zeros(Kind::Double), 1e-12);
        conformance::check_threshold(&zeros(Kind::Float), 1e-5);
    }
}
