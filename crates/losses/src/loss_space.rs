//! The one place where an objective meets values.

use crate::{Distance, Reduction};
use ndarray::{ArrayD, ArrayViewD, IxDyn};
use tweedie_score::{Batch, Elementwise};

/// How errors become one loss a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counting {
    /// How the error of one value is counted.
    pub distance: Distance,
    /// How the values of a sample become one number.
    pub reduction: Reduction,
}

/// A state whose errors can be counted: arrays give numbers, libtorch tensors a differentiable
/// tensor. All that comes before is arithmetic on `f64` coefficients and the same for both.
pub trait LossSpace: Batch + Elementwise {
    /// One loss a sample.
    type Losses;

    /// `weights[i]` times the distance of sample `i` of `self` from that of `target`.
    ///
    /// # Panics
    /// When the shapes differ or there is not one weight a sample.
    fn losses(&self, target: &Self, weights: &[f64], counting: Counting) -> Self::Losses;

    /// Inner product of each sample with its counterpart, as a state of one value a sample.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    fn dots(&self, other: &Self) -> Self;

    /// A state of one value a sample as losses.
    ///
    /// # Panics
    /// When a sample has another number of values.
    fn into_losses(self) -> Self::Losses;
}

macro_rules! losses_of_arrays {
    ($real:ty) => {
        impl LossSpace for ArrayD<$real> {
            type Losses = Vec<f64>;

            fn losses(&self, target: &Self, weights: &[f64], counting: Counting) -> Vec<f64> {
                assert_eq!(self.shape(), target.shape(), "states of different shapes");
                assert_eq!(weights.len(), self.batch_len(), "one weight for each sample");
                let factor = counting.reduction.of_sum(self.item_len());
                let distance =
                    |(a, b): (&$real, &$real)| counting.distance.of(f64::from(*a) - f64::from(*b));
                let items = self.outer_iter().zip(target.outer_iter()).zip(weights);
                let loss = |((a, b), weight): ((ArrayViewD<$real>, ArrayViewD<$real>), &f64)| {
                    weight * factor * a.iter().zip(b.iter()).map(distance).sum::<f64>()
                };
                items.map(loss).collect()
            }

            fn dots(&self, other: &Self) -> Self {
                let each = self.dot_each(other).into_iter().map(|dot| dot as $real).collect();
                ArrayD::from_shape_vec(IxDyn(&[self.batch_len(), 1]), each).expect("one a sample")
            }

            fn into_losses(self) -> Vec<f64> {
                assert_eq!(self.item_len(), 1, "values of a sample");
                self.into_iter().map(f64::from).collect()
            }
        }
    };
}

losses_of_arrays!(f32);
losses_of_arrays!(f64);

/// Losses are a tensor `[batch]`, double where the states are and else single precision.
#[cfg(feature = "tch")]
impl LossSpace for tch::Tensor {
    type Losses = tch::Tensor;

    fn losses(&self, target: &Self, weights: &[f64], counting: Counting) -> tch::Tensor {
        assert_eq!(self.size(), target.size(), "states of different shapes");
        assert_eq!(weights.len(), self.batch_len(), "one weight for each sample");
        let kind = sum_kind(self);
        let each = counting.distance.of_tensors(&self.to_kind(kind), &target.to_kind(kind));
        let factor = counting.reduction.of_sum(self.item_len());
        let factors: Vec<f64> = weights.iter().map(|weight| weight * factor).collect();
        sum_each(&each).scale_each(&factors).into_losses()
    }

    fn dots(&self, other: &Self) -> Self {
        assert_eq!(self.size(), other.size(), "states of different shapes");
        let kind = sum_kind(self);
        sum_each(&(self.to_kind(kind) * other.to_kind(kind)))
    }

    fn into_losses(self) -> tch::Tensor {
        assert_eq!(self.item_len(), 1, "values of a sample");
        self.flatten(0, -1)
    }
}

/// The type in which sums are formed: never a half one.
#[cfg(feature = "tch")]
pub(crate) fn sum_kind(state: &tch::Tensor) -> tch::Kind {
    if state.kind() == tch::Kind::Double { tch::Kind::Double } else { tch::Kind::Float }
}

/// The sum of each sample's values, `[batch, 1]`.
#[cfg(feature = "tch")]
fn sum_each(values: &tch::Tensor) -> tch::Tensor {
    let rows = values.reshape([values.batch_len() as i64, -1]);
    rows.sum_dim_intlist([1].as_slice(), true, values.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn errors() -> ArrayD<f64> {
        array![[0.5, -2.0], [1.0, 3.0]].into_dyn()
    }

    fn countings() -> [Counting; 4] {
        let huber = Distance::Huber { delta: 0.7 };
        let counting = |distance, reduction| Counting { distance, reduction };
        [
            Counting::default(),
            counting(Distance::SquaredError, Reduction::HalfSum),
            counting(Distance::AbsoluteError, Reduction::Mean),
            counting(huber, Reduction::HalfSum),
        ]
    }

    #[test]
    fn each_sample_has_its_own_weight() {
        let zero = ArrayD::zeros(errors().raw_dim());
        let losses = |counting| errors().losses(&zero, &[2.0, 10.0], counting);
        let [mean, half_sum, absolute, _] = countings().map(losses);
        assert_eq!(mean, [4.25, 50.0]);
        assert_eq!(half_sum, [4.25, 50.0]); // two values a sample: half their sum is their mean
        assert_eq!(absolute, [2.5, 20.0]);
    }

    #[cfg(feature = "tch")]
    #[test]
    fn tensors_and_arrays_agree() {
        use tch::{Kind, Tensor};
        let of =
            |array: &ArrayD<f64>| Tensor::from_slice(array.as_slice().unwrap()).reshape([2, 2]);
        let target = errors().mapv(|error| 0.3 * error + 0.1);
        for counting in countings() {
            let arrays = errors().losses(&target, &[2.0, 10.0], counting);
            for (kind, within) in [(Kind::Double, 1e-14), (Kind::Float, 1e-5)] {
                let (a, b) = (of(&errors()).to_kind(kind), of(&target).to_kind(kind));
                let losses = a.losses(&b, &[2.0, 10.0], counting);
                assert_eq!(losses.kind(), kind);
                let tensors = Vec::<f64>::try_from(losses.to_kind(Kind::Double)).unwrap();
                for (a, b) in arrays.iter().zip(tensors) {
                    assert!((a - b).abs() < within * (1.0 + a), "{counting:?}: {a}, {b}");
                }
            }
        }
    }
}
