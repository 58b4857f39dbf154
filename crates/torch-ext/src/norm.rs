//! Group normalization, with a shift before it and an activation after it in the same pass.

use std::ptr::null;

use tch::Tensor;

use crate::ffi;

/// What follows the normalization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// u sigmoid(u).
    Silu,
}

/// A group normalization: y = weight (x - mean) / sqrt(variance + eps) + bias, the moments over the
/// channels of a group and all pixels.
#[derive(Clone, Copy, Debug)]
pub struct GroupNorm<'a> {
    /// Factor, `[c]`, or `[n or 1, c]` where every sample has its own.
    pub weight: &'a Tensor,
    /// Summand, likewise.
    pub bias: &'a Tensor,
    /// Number of groups; it divides the channels.
    pub groups: i64,
    /// Added to the variance.
    pub eps: f64,
}

/// `activation(group_norm(x + shift))` of x `[n, c, h, w]`; `shift` is `[n, c]` or `[1, c]`.
///
/// On a CPU with x channels-last in f32 or bf16 this is one fused pass with its own gradient, which
/// keeps only x: neither the sum nor the value before the activation is stored. Elsewhere, and when
/// the gradient itself is differentiated, it is made of plain operations. Moments are two-pass, in
/// f32 with f64 partial sums. Weight, bias and shift may be f32 where x is bf16.
///
/// # Panics
/// If the shapes do not fit.
pub fn group_norm(
    x: &Tensor,
    norm: GroupNorm<'_>,
    shift: Option<&Tensor>,
    activation: Activation,
) -> Tensor {
    let GroupNorm { weight, bias, groups, eps } = norm;
    check_shapes(x, norm, shift);
    let silu = i32::from(activation == Activation::Silu);
    let added = shift.map_or(null(), Tensor::as_ptr);
    // SAFETY: the tensors live through the call and their shapes fit; `shift` may be null.
    ffi::expect(ffi::tensor("group_norm", |out| unsafe {
        ffi::tweedie_group_norm(
            x.as_ptr(),
            weight.as_ptr(),
            bias.as_ptr(),
            added,
            groups,
            eps,
            silu,
            out,
        )
    }))
}

/// The fused pass reads memory by these shapes, so they are checked in every build.
fn check_shapes(x: &Tensor, norm: GroupNorm<'_>, shift: Option<&Tensor>) {
    let size = x.size();
    let [n, c, _, _] = size[..] else { panic!("group_norm expects [n, c, h, w], got {size:?}") };
    let groups = norm.groups;
    assert!(groups > 0 && c % groups == 0, "{groups} groups do not divide {c} channels");
    for (name, tensor) in [("weight", norm.weight), ("bias", norm.bias)] {
        let got = tensor.size();
        let fits = got == [c] || got == [n, c] || got == [1, c];
        assert!(fits, "group_norm's {name} has shape {got:?}, expected [{c}] or [{n} or 1, {c}]");
        assert!(tensor.device() == x.device(), "group_norm's {name} is on another device");
    }
    if let Some(shift) = shift {
        let got = shift.size();
        let fits = got == [n, c] || got == [1, c];
        assert!(fits, "group_norm's shift has shape {got:?}, expected [{n}, {c}] or [1, {c}]");
        assert!(shift.device() == x.device(), "group_norm's shift is on another device");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawn::Drawn;
    use crate::{MemoryFormat, to_format};
    use tch::{Device, Kind};

    struct Case {
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        shift: Tensor,
        groups: i64,
        eps: f64,
    }

    fn case(size: [i64; 4], groups: i64, shift_rows: i64) -> Case {
        let mut drawn = Drawn::new(1);
        let mut draw = |size: &[i64]| drawn.normal(size);
        Case {
            x: draw(&size) * 2.0 + 1.0,
            weight: draw(&size[1..2]),
            bias: draw(&size[1..2]),
            shift: draw(&[shift_rows, size[1]]),
            groups,
            eps: 1e-6,
        }
    }

    /// The result and the gradients of x, weight, bias and shift, computed in the given kind.
    fn run(case: &Case, kind: Kind, activation: Activation) -> Vec<Tensor> {
        let leaf = |t: &Tensor| t.to_kind(kind).copy().set_requires_grad(true);
        let x = to_format(&case.x.to_kind(kind).copy(), MemoryFormat::ChannelsLast);
        let x = x.set_requires_grad(true);
        let (weight, bias, shift) = (leaf(&case.weight), leaf(&case.bias), leaf(&case.shift));
        let norm = GroupNorm { weight: &weight, bias: &bias, groups: case.groups, eps: case.eps };
        let y = group_norm(&x, norm, Some(&shift), activation);
        let pattern = (Tensor::arange(y.numel() as i64, (Kind::Double, Device::Cpu)) * 0.37).sin();
        (&y * pattern.view_as(&y).to_kind(kind)).sum(kind).backward();
        vec![y, x.grad(), weight.grad(), bias.grad(), shift.grad()]
    }

    #[track_caller]
    fn check_against_double(case: &Case, kind: Kind, tolerance: f64) {
        for activation in [Activation::None, Activation::Silu] {
            // In f64 the plain operations run.
            let wants = run(case, Kind::Double, activation);
            let fused = run(case, kind, activation);
            for (index, (got, want)) in fused.iter().zip(&wants).enumerate() {
                let scale = want.abs().max().double_value(&[]).max(1e-3);
                let error = (got.to_kind(Kind::Double) - want).abs().max().double_value(&[]);
                assert!(error <= tolerance * scale, "{activation:?} {index}: {}", error / scale);
            }
        }
    }

    #[test]
    fn the_fused_pass_agrees_with_plain_operations() {
        check_against_double(&case([3, 32, 5, 7], 8, 3), Kind::Float, 1e-5);
        check_against_double(&case([1, 64, 8, 8], 4, 1), Kind::Float, 1e-5);
        check_against_double(&case([2, 24, 9, 6], 6, 1), Kind::Float, 1e-5);
        check_against_double(&case([2, 8, 1, 1], 2, 2), Kind::Float, 1e-4);
    }

    #[test]
    fn every_sample_may_have_its_own_factor_and_summand() {
        for (rows, kind, tolerance) in
            [(3, Kind::Float, 1e-5), (1, Kind::Float, 1e-5), (3, Kind::BFloat16, 4e-2)]
        {
            let mut case = case([3, 32, 5, 7], 8, 1);
            let mut drawn = Drawn::new(7);
            case.weight = drawn.normal(&[rows, 32]);
            case.bias = drawn.normal(&[rows, 32]);
            check_against_double(&case, kind, tolerance);
        }
    }

    #[test]
    fn the_fused_pass_agrees_in_bf16() {
        check_against_double(&case([2, 32, 8, 8], 8, 2), Kind::BFloat16, 4e-2);
    }

    #[test]
    fn not_a_number_stays_in_bf16() {
        let case = case([1, 16, 2, 2], 4, 1);
        let x = to_format(&case.x.to_kind(Kind::BFloat16), MemoryFormat::ChannelsLast);
        let weight = case.weight.to_kind(Kind::Float);
        // All bits set: rounded like a number it would carry over to zero.
        let bias = Tensor::from_slice(&[f32::from_bits(u32::MAX); 16]);
        let norm = GroupNorm { weight: &weight, bias: &bias, groups: 4, eps: 1e-6 };
        let y = group_norm(&x, norm, None, Activation::None);
        assert_eq!(y.isnan().sum(Kind::Int64).int64_value(&[]), 64);
    }

    #[test]
    fn a_large_mean_costs_no_accuracy() {
        let mut low_variance = case([2, 32, 16, 16], 8, 2);
        low_variance.x = &low_variance.x * 1e-3 + 1.0;
        low_variance.x = low_variance.x.to_kind(Kind::Float).to_kind(Kind::Double);
        low_variance.shift = low_variance.shift.zeros_like();
        low_variance.eps = 1e-12;
        let [want, got] = [Kind::Double, Kind::Float]
            .map(|kind| run(&low_variance, kind, Activation::Silu).swap_remove(0));
        let error = (got.to_kind(Kind::Double) - want).abs().max().double_value(&[]);
        assert!(error < 1e-3, "{error}");
    }

    #[test]
    fn the_gradient_can_be_differentiated() {
        let second = |kind| {
            let case = case([2, 8, 3, 4], 4, 2);
            let x = to_format(&case.x.to_kind(kind).copy(), MemoryFormat::ChannelsLast);
            let x = x.set_requires_grad(true);
            let (weight, bias) = (case.weight.to_kind(kind), case.bias.to_kind(kind));
            let norm = GroupNorm { weight: &weight, bias: &bias, groups: 4, eps: 1e-6 };
            let y = group_norm(&x, norm, None, Activation::Silu).pow_tensor_scalar(2);
            let dx = Tensor::run_backward(&[y.sum(kind)], &[&x], true, true).swap_remove(0);
            let ddx = Tensor::run_backward(&[dx.square().sum(kind)], &[&x], false, false);
            ddx[0].to_kind(Kind::Double)
        };
        let (want, got) = (second(Kind::Double), second(Kind::Float));
        let scale = want.abs().max().double_value(&[]);
        assert!((got - want).abs().max().double_value(&[]) < 1e-4 * scale);
    }

    #[test]
    #[should_panic(expected = "weight has shape [4], expected [8] or [1 or 1, 8]")]
    fn wrong_shapes_panic() {
        let x = Tensor::zeros([1, 8, 2, 2], (Kind::Float, Device::Cpu));
        let w = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        let norm = GroupNorm { weight: &w, bias: &w, groups: 2, eps: 1e-5 };
        let _ = group_norm(&x, norm, None, Activation::None);
    }
}
