//! Linear combinations of tensors.

use tch::{Kind, Tensor};

use crate::ffi;

/// a0 x0 + a1 x1 + ..., summed left to right.
///
/// Differentiable in every x. Without a gradient to record there is one temporary, the result.
///
/// # Panics
/// If there are no terms, if two shapes differ (nothing is broadcast), or if devices differ.
pub fn linear_combination(terms: &[(f64, &Tensor)]) -> Tensor {
    let (_, first) = terms.first().expect("a linear combination needs at least one term");
    let shape = first.size();
    for (index, (_, term)) in terms.iter().enumerate() {
        let got = term.size();
        assert!(got == shape, "term {index} has shape {got:?}, term 0 has {shape:?}");
    }
    let factors: Vec<f64> =
        terms.iter().map(|(factor, tensor)| within_range(*factor, tensor)).collect();
    let tensors: Vec<&Tensor> = terms.iter().map(|(_, tensor)| *tensor).collect();
    let addresses = ffi::addresses(&tensors);
    // SAFETY: both arrays have `terms.len()` entries; the tensors outlive the call.
    ffi::expect(ffi::tensor("linear_combination", |out| unsafe {
        ffi::tweedie_linear_combination(factors.as_ptr(), addresses.as_ptr(), terms.len(), out)
    }))
}

/// `factor`, or an infinity where the numbers of `tensor` end before it: libtorch would refuse the factor, and a
/// result out of range is what such a factor gives.
fn within_range(factor: f64, tensor: &Tensor) -> f64 {
    if tensor.kind() == Kind::Double || factor.abs() <= f64::from(f32::MAX) {
        return factor;
    }
    factor * f64::INFINITY
}

/// a + b, written over the memory of `a` unless autograd records the sum.
///
/// Whoever shares the memory of `a` sees the sum, so `a` should be a result nobody else holds.
///
/// # Panics
/// If the shapes do not broadcast to that of `a`.
pub fn add_reusing(mut a: Tensor, b: &Tensor) -> Tensor {
    // SAFETY: both tensors live through the call.
    ffi::expect(ffi::tensor("add_reusing", |out| unsafe {
        ffi::tweedie_add_into(a.as_mut_ptr(), b.as_ptr(), out)
    }))
}

/// (a + b) factor, written over the memory of `a` as [`add_reusing`] does.
///
/// # Panics
/// If the shapes do not broadcast to that of `a`.
pub fn add_scaled(mut a: Tensor, b: &Tensor, factor: f64) -> Tensor {
    // SAFETY: both tensors live through the call.
    ffi::expect(ffi::tensor("add_scaled", |out| unsafe {
        ffi::tweedie_add_scaled(a.as_mut_ptr(), b.as_ptr(), factor, out)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_scaled_and_summed() {
        let x = Tensor::from_slice(&[1.0f64, 2.0]);
        let y = Tensor::from_slice(&[10.0f64, 20.0]);
        let sum = linear_combination(&[(2.0, &x), (-0.5, &y), (1.0, &x)]);
        assert_eq!(Vec::<f64>::try_from(&sum).unwrap(), [-2.0, -4.0]);
        assert_eq!(Vec::<f64>::try_from(&x).unwrap(), [1.0, 2.0]);
    }

    #[test]
    fn a_factor_out_of_range_gives_a_result_out_of_range() {
        let x = Tensor::from_slice(&[1.0f32, -2.0]);
        let sum = linear_combination(&[(1e39, &x), (1.0, &x)]);
        assert_eq!(Vec::<f32>::try_from(&sum).unwrap(), [f32::INFINITY, f32::NEG_INFINITY]);
        let x = x.to_kind(Kind::Double);
        let sum = linear_combination(&[(1e39, &x)]);
        assert_eq!(Vec::<f64>::try_from(&sum).unwrap(), [1e39, -2e39]);
    }

    #[test]
    fn gradients_are_the_factors() {
        let x = Tensor::from_slice(&[1.0f64, 2.0]).set_requires_grad(true);
        let y = Tensor::from_slice(&[3.0f64, 4.0]).set_requires_grad(true);
        linear_combination(&[(2.0, &x), (-3.0, &y)]).sum(Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [2.0, 2.0]);
        assert_eq!(Vec::<f64>::try_from(y.grad()).unwrap(), [-3.0, -3.0]);
    }

    #[test]
    fn a_scaled_sum_is_written_in_place_and_has_its_gradient() {
        let values = || (Tensor::from_slice(&[1.0f64, 2.0]), Tensor::from_slice(&[3.0f64, 5.0]));
        let (a, b) = values();
        let sum = add_scaled(a.shallow_clone(), &b, 0.5);
        assert_eq!(Vec::<f64>::try_from(&sum).unwrap(), [2.0, 3.5]);
        assert_eq!(a.data_ptr(), sum.data_ptr());
        let (a, b) = values();
        let a = a.set_requires_grad(true);
        add_scaled(a.shallow_clone(), &b, 0.5).square().sum(Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(a.grad()).unwrap(), [2.0, 3.5]);
    }

    #[test]
    #[should_panic(expected = "term 1 has shape [1], term 0 has [2]")]
    fn nothing_is_broadcast() {
        let x = Tensor::from_slice(&[1.0f64, 2.0]);
        let y = Tensor::from_slice(&[1.0f64]);
        let _ = linear_combination(&[(1.0, &x), (1.0, &y)]);
    }
}
