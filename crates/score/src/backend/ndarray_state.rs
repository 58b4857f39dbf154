//! `ndarray` arrays of any float type as states; the first axis is the batch.

use crate::{Batch, Draw, Elementwise, Threshold, VectorSpace};
use ndarray::{ArrayD, Axis, IxDyn, Slice, Zip};
use num_traits::Float;
use num_traits::FromPrimitive;

/// The floats a state may hold.
trait Real: Float + FromPrimitive + 'static {
    fn of(value: f64) -> Self {
        Self::from_f64(value).unwrap_or_else(Self::nan)
    }
}

impl Real for f32 {}
impl Real for f64 {}

macro_rules! state_of {
    ($real:ty) => {
        impl VectorSpace for ArrayD<$real> {
            fn combine(terms: &[(f64, &Self)]) -> Self {
                combine(terms)
            }

            fn combine_reusing(self, own: f64, terms: &[(f64, &Self)]) -> Self {
                combine_reusing(self, own, terms)
            }
        }

        impl Batch for ArrayD<$real> {
            fn shape(&self) -> Vec<usize> {
                self.shape().to_vec()
            }

            fn scale_each(&self, factors: &[f64]) -> Self {
                assert_eq!(factors.len(), self.batch_len(), "one factor for each sample");
                let mut scaled = self.clone();
                for (mut item, factor) in scaled.outer_iter_mut().zip(factors) {
                    item.mapv_inplace(|value| value * <$real>::of(*factor));
                }
                scaled
            }

            fn dot_each(&self, other: &Self) -> Vec<f64> {
                assert_eq!(self.shape(), other.shape(), "states of different shapes");
                let dot = |(a, b): (ndarray::ArrayViewD<$real>, ndarray::ArrayViewD<$real>)| {
                    a.iter().zip(b.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
                };
                self.outer_iter().zip(other.outer_iter()).map(dot).collect()
            }

            fn concat(parts: &[&Self]) -> Self {
                let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
                ndarray::concatenate(Axis(0), &views).expect("samples of one shape")
            }

            fn split(&self, sizes: &[usize]) -> Vec<Self> {
                assert_eq!(sizes.iter().sum::<usize>(), self.batch_len(), "sizes of the pieces");
                let ends = sizes.iter().scan(0, |end, size| {
                    *end += size;
                    Some(*end)
                });
                let piece = |(end, size): (usize, &usize)| {
                    self.slice_axis(Axis(0), Slice::from(end - size..end)).to_owned()
                };
                ends.zip(sizes).map(piece).collect()
            }
        }

        impl Elementwise for ArrayD<$real> {
            fn mul(&self, other: &Self) -> Self {
                assert_eq!(self.shape(), other.shape(), "states of different shapes");
                self * other
            }

            fn exp(&self) -> Self {
                self.mapv(Float::exp)
            }

            fn sqrt(&self) -> Self {
                self.mapv(Float::sqrt)
            }

            fn clamp(&self, low: f64, high: f64) -> Self {
                let (low, high) = (<$real>::of(low), <$real>::of(high));
                self.mapv(|value| clamp(value, low, high))
            }
        }

        impl Threshold for ArrayD<$real> {
            fn abs_quantile_each(&self, quantile: f64) -> Vec<f64> {
                let of_item = |item: ndarray::ArrayViewD<$real>| {
                    quantile_of(item.iter().map(|value| f64::from(value.abs())).collect(), quantile)
                };
                self.outer_iter().map(of_item).collect()
            }

            fn clamp_each(&self, limits: &[f64]) -> Self {
                assert_eq!(limits.len(), self.batch_len(), "one limit for each sample");
                let mut clamped = self.clone();
                for (mut item, limit) in clamped.outer_iter_mut().zip(limits) {
                    let limit = <$real>::of(*limit);
                    item.mapv_inplace(|value| clamp(value, -limit, limit));
                }
                clamped
            }
        }

        impl Draw for ArrayD<$real> {
            fn draw_like(like: &Self, next: &mut dyn FnMut() -> f64) -> Self {
                let values = (0..like.len()).map(|_| <$real>::of(next())).collect();
                ArrayD::from_shape_vec(IxDyn(like.shape()), values).expect("one value an entry")
            }
        }
    };
}

state_of!(f32);
state_of!(f64);

/// One pass over two operands at a time; the result is the only array made.
fn combine<R: Real>(terms: &[(f64, &ArrayD<R>)]) -> ArrayD<R> {
    let Some(((first, x), rest)) = terms.split_first() else {
        panic!("a combination of no terms");
    };
    let first = R::of(*first);
    let Some(((second, y), rest)) = rest.split_first() else {
        return x.mapv(|value| first * value);
    };
    assert_eq!(x.shape(), y.shape(), "states of different shapes");
    let second = R::of(*second);
    let mut sum = Zip::from(*x).and(*y).map_collect(|x, y| first * *x + second * *y);
    for (coefficient, term) in rest {
        assert_eq!(sum.shape(), term.shape(), "states of different shapes");
        let coefficient = R::of(*coefficient);
        sum.zip_mut_with(term, |sum, term| *sum = *sum + coefficient * *term);
    }
    sum
}

/// A value held within `[low, high]`; NaN stays what it is.
fn clamp<R: Real>(value: R, low: R, high: R) -> R {
    if value.is_nan() { value } else { value.max(low).min(high) }
}

/// The quantile of some values, linear between the two nearest ranks.
fn quantile_of(mut values: Vec<f64>, quantile: f64) -> f64 {
    let Some(last) = values.len().checked_sub(1) else {
        return 0.0;
    };
    let rank = quantile * last as f64;
    let below = (rank as usize).min(last);
    let (_, low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    match above.iter().copied().min_by(f64::total_cmp) {
        Some(high) => low + (rank - below as f64) * (high - low),
        None => low,
    }
}

/// The same sum, in the memory of its first term.
fn combine_reusing<R: Real>(mut x: ArrayD<R>, own: f64, terms: &[(f64, &ArrayD<R>)]) -> ArrayD<R> {
    let own = R::of(own);
    let Some(((first, y), rest)) = terms.split_first() else {
        x.mapv_inplace(|value| own * value);
        return x;
    };
    assert_eq!(x.shape(), y.shape(), "states of different shapes");
    let first = R::of(*first);
    x.zip_mut_with(y, |x, y| *x = own * *x + first * *y);
    for (coefficient, term) in rest {
        assert_eq!(x.shape(), term.shape(), "states of different shapes");
        let coefficient = R::of(*coefficient);
        x.zip_mut_with(term, |x, term| *x = *x + coefficient * *term);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn f64_arrays_conform() {
        conformance::check(&|shape| ArrayD::<f64>::zeros(shape), 1e-12);
        conformance::check_threshold(&|shape| ArrayD::<f64>::zeros(shape), 1e-12);
    }

    #[test]
    fn f32_arrays_conform() {
        conformance::check(&|shape| ArrayD::<f32>::zeros(shape), 1e-5);
        conformance::check_threshold(&|shape| ArrayD::<f32>::zeros(shape), 1e-5);
    }

    #[test]
    fn a_quantile_is_linear_between_ranks() {
        let values = vec![4.0, 1.0, 3.0, 0.0];
        for (quantile, expected) in [(0.0, 0.0), (0.5, 2.0), (0.75, 3.25), (1.0, 4.0)] {
            assert_eq!(quantile_of(values.clone(), quantile), expected, "{quantile}");
        }
        assert_eq!(quantile_of(vec![2.0], 0.3), 2.0);
    }

    #[test]
    #[should_panic(expected = "states of different shapes")]
    fn nothing_is_broadcast() {
        let (a, b) = (ArrayD::<f64>::zeros(vec![2, 3]), ArrayD::<f64>::zeros(vec![1, 3]));
        let _ = ArrayD::combine(&[(1.0, &a), (1.0, &b)]);
    }
}
