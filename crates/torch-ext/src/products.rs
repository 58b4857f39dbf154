//! Convolutions and linear layers, by the faster of the processor's products.

use std::ptr::{null, null_mut};

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::ffi;

/// A convolution of images, square in all that it has.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// The taps, `[out, in, side, side]`.
    pub weight: &'a Tensor,
    /// What is added, `[out]`.
    pub bias: Option<&'a Tensor>,
    /// Pixels from one output to the next.
    pub stride: i64,
    /// Zeros on every side.
    pub padding: i64,
    /// Pixels from one tap to the next.
    pub dilation: i64,
}

impl Conv2d<'_> {
    fn geometry(&self) -> [i64; 3] {
        [self.stride, self.padding, self.dilation]
    }

    fn bias_address(&self) -> *const C_tensor {
        self.bias.map_or(null(), Tensor::as_ptr)
    }
}

/// The convolution of x `[n, in, h, w]` in the kind of x, whatever the kind of the parameters: they are
/// cast, which is differentiable.
///
/// On a CPU whose products of bf16 numbers are slower than those of f32, bf16 numbers are widened for
/// the product and its sum rounded once; what is kept for the gradient stays in bf16. The gradient can be
/// differentiated.
///
/// # Panics
/// If the shapes do not fit.
pub fn conv2d(x: &Tensor, conv: Conv2d<'_>) -> Tensor {
    let geometry = conv.geometry();
    // SAFETY: the tensors live through the call, `geometry` has three numbers; the bias may be null.
    ffi::expect(ffi::tensor("conv2d", |out| unsafe {
        let (weight, bias) = (conv.weight.as_ptr(), conv.bias_address());
        ffi::tweedie_conv2d(x.as_ptr(), weight, bias, geometry.as_ptr(), out)
    }))
}

/// x weightᵀ + bias over the last dimension of x, in the kind of x, as [`conv2d`] does it.
///
/// # Panics
/// If the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    // SAFETY: the tensors live through the call.
    ffi::expect(ffi::tensor("linear", |out| unsafe {
        ffi::tweedie_linear(x.as_ptr(), weight.as_ptr(), bias.as_ptr(), out)
    }))
}

/// Whether products of these numbers are widened to f32: they are bf16 on a CPU that multiplies f32 faster.
#[must_use]
pub fn widens(x: &Tensor) -> bool {
    // SAFETY: the tensor lives through the call.
    unsafe { ffi::tweedie_widens(x.as_ptr()) != 0 }
}

/// How often the tensor was written to.
pub(crate) fn version(x: &Tensor) -> u32 {
    // SAFETY: the tensor lives through the call.
    unsafe { ffi::tweedie_version(x.as_ptr()) }
}

/// What tells whether a tensor still is what it was: where and how its values lie, and how often they were
/// written to.
#[derive(Debug, PartialEq, Eq)]
struct State {
    address: usize,
    device: Device,
    kind: Kind,
    size: Vec<i64>,
    stride: Vec<i64>,
    version: u32,
}

impl State {
    fn of(x: &Tensor) -> Self {
        Self {
            address: x.data_ptr() as usize,
            device: x.device(),
            kind: x.kind(),
            size: x.size(),
            stride: x.stride(),
            version: version(x),
        }
    }
}

/// The weight of a convolution in the order in which the processor reads it.
///
/// A convolution brings its weight into that order in every call, which for small images takes as long as
/// a good part of the products. This copy is not written along with the weight:
/// [`PackedWeight::is_current`] tells. Where libtorch has no such convolution it holds no copy.
#[derive(Debug)]
pub struct PackedWeight {
    packed: Option<Tensor>,
    weight: State,
    /// The kind of the input.
    kind: Kind,
}

impl PackedWeight {
    /// The weight of a convolution, packed for inputs like x.
    #[must_use]
    pub fn new(x: &Tensor, conv: Conv2d<'_>) -> Self {
        Self { packed: pack(x, conv), weight: State::of(conv.weight), kind: x.kind() }
    }

    /// Whether the weight is still what was packed, and x of the kind that it was packed for.
    #[must_use]
    pub fn is_current(&self, x: &Tensor, weight: &Tensor) -> bool {
        x.kind() == self.kind && State::of(weight) == self.weight
    }

    /// As [`conv2d`], which records no gradient.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn conv2d(&self, x: &Tensor, conv: Conv2d<'_>) -> Tensor {
        let Some(packed) = &self.packed else { return conv2d(x, conv) };
        let geometry = conv.geometry();
        // SAFETY: the tensors live through the call, `geometry` has three numbers; the bias may be null.
        ffi::expect(ffi::tensor("packed conv2d", |out| unsafe {
            let (packed, bias) = (packed.as_ptr(), conv.bias_address());
            ffi::tweedie_packed_conv2d(x.as_ptr(), packed, bias, geometry.as_ptr(), out)
        }))
    }
}

/// The packed weight; `None` where libtorch has no such convolution, and of a weight that does not tell when
/// it is written to.
fn pack(x: &Tensor, conv: Conv2d<'_>) -> Option<Tensor> {
    let size = <[i64; 4]>::try_from(&x.size()[..]).ok()?;
    if conv.weight.is_inference() {
        return None;
    }
    let geometry = conv.geometry();
    let kind = if widens(x) { Kind::Float } else { x.kind() };
    let weight = conv.weight.to_kind(kind);
    let mut packed = null_mut();
    // SAFETY: the tensor lives through the call, which reads three and four numbers.
    let outcome = unsafe {
        let (geometry, size) = (geometry.as_ptr(), size.as_ptr());
        ffi::tweedie_pack_conv2d(weight.as_ptr(), geometry, size, &mut packed)
    };
    ffi::check("pack_conv2d", outcome).ok()?;
    // SAFETY: where it is not null, the shim wrote the address of a tensor made by `new`, which passes to us.
    (!packed.is_null()).then(|| unsafe { Tensor::from_ptr(packed) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawn::Drawn;
    use crate::{MemoryFormat, to_format};

    struct Case {
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
    }

    fn case() -> Case {
        let mut drawn = Drawn::new(5);
        Case {
            x: drawn.normal(&[3, 8, 6, 10]),
            weight: drawn.normal(&[12, 8, 3, 3]) * 0.1,
            bias: drawn.normal(&[12]),
        }
    }

    fn conv<'a>(weight: &'a Tensor, bias: &'a Tensor) -> Conv2d<'a> {
        Conv2d { weight, bias: Some(bias), stride: 2, padding: 2, dilation: 2 }
    }

    #[track_caller]
    fn assert_close(got: &Tensor, want: &Tensor, tolerance: f64) {
        assert_eq!(got.size(), want.size());
        let scale = want.abs().max().double_value(&[]);
        let error = (got.to_kind(Kind::Double) - want.to_kind(Kind::Double)).abs().max();
        assert!(error.double_value(&[]) <= tolerance * scale, "{error:?} of {scale}");
    }

    /// Values and gradients with x in one kind and the parameters in another.
    fn derivatives(
        kind: Kind,
        parameters: Kind,
        layer: impl Fn(&[Tensor; 3]) -> Tensor,
    ) -> Vec<Tensor> {
        let Case { x, weight, bias } = case();
        let leaf =
            |t: Tensor, kind| t.to_kind(Kind::BFloat16).to_kind(kind).set_requires_grad(true);
        let all = [leaf(x, kind), leaf(weight, parameters), leaf(bias, parameters)];
        let y = layer(&all);
        y.square().sum(Kind::Float).to_kind(kind).backward();
        let grads: Vec<_> = all.iter().map(Tensor::grad).collect();
        assert_eq!(grads[1].kind(), parameters);
        std::iter::once(y).chain(grads).collect()
    }

    #[track_caller]
    fn check_against_double(layer: impl Fn(&[Tensor; 3]) -> Tensor) {
        let want = derivatives(Kind::Double, Kind::Double, &layer);
        for (kind, parameters, tolerance) in [
            (Kind::Float, Kind::Float, 1e-5),
            (Kind::BFloat16, Kind::Float, 2e-2),
            (Kind::BFloat16, Kind::BFloat16, 2e-2),
        ] {
            for (got, want) in derivatives(kind, parameters, &layer).iter().zip(&want) {
                assert_close(got, want, tolerance);
            }
        }
    }

    #[test]
    fn a_convolution_agrees_with_doubles_in_every_kind() {
        check_against_double(|[x, weight, bias]| conv2d(x, conv(weight, bias)));
    }

    #[test]
    fn a_linear_layer_agrees_with_doubles_in_every_kind() {
        check_against_double(|[x, weight, bias]| {
            // [3, 8, 60]: enough rows to be widened.
            let rows = x.permute([0, 2, 3, 1]);
            linear(&rows, &weight.select(3, 0).select(2, 0), bias)
        });
    }

    #[test]
    fn the_gradient_of_a_convolution_can_be_differentiated() {
        let second = |kind| {
            let Case { x, weight, bias } = case();
            let [weight, bias] = [weight, bias].map(|t| t.to_kind(kind));
            let x = x.to_kind(kind).set_requires_grad(true);
            let y = conv2d(&x, conv(&weight, &bias)).square();
            let dx = Tensor::run_backward(&[y.sum(Kind::Float).to_kind(kind)], &[&x], true, true);
            let ddx = Tensor::run_backward(&[dx[0].square().sum(kind)], &[&x], false, false);
            ddx[0].shallow_clone()
        };
        assert_close(&second(Kind::BFloat16), &second(Kind::Double), 4e-2);
    }

    #[test]
    fn a_packed_weight_gives_the_same_until_the_weight_changes() {
        let Case { x, weight, bias } = case();
        for kind in [Kind::Float, Kind::BFloat16] {
            let x = to_format(&x.to_kind(kind), MemoryFormat::ChannelsLast);
            let [mut weight, bias] = [&weight, &bias].map(|t| t.to_kind(kind));
            let packed = PackedWeight::new(&x, conv(&weight, &bias));
            assert!(packed.is_current(&x, &weight));
            let tolerance = if kind == Kind::Float { 1e-6 } else { 1e-2 };
            let (got, want) =
                (packed.conv2d(&x, conv(&weight, &bias)), conv2d(&x, conv(&weight, &bias)));
            assert_eq!(got.kind(), kind);
            assert_close(&got, &want, tolerance);
            // An input of another size than it was packed for.
            let small = to_format(&x.narrow(2, 0, 5).copy(), MemoryFormat::ChannelsLast);
            let want = conv2d(&small, conv(&weight, &bias));
            assert_close(&packed.conv2d(&small, conv(&weight, &bias)), &want, tolerance);
            let _ = weight.g_mul_scalar_(2.0);
            assert!(!packed.is_current(&x, &weight));
        }
    }

    #[test]
    fn a_packed_weight_is_not_current_for_another_weight() {
        let Case { x, weight, bias } = case();
        let packed = PackedWeight::new(&x, conv(&weight, &bias));
        // as often written to, of the same shape, elsewhere in memory
        let other = weight.copy();
        assert!(!packed.is_current(&x, &other));
        // in the same place, in another order
        assert!(!packed.is_current(&x, &weight.transpose(2, 3)));
        // the same tensor, made to hold other values without being written to
        let mut weight = weight;
        weight.set_data(&other);
        assert!(!packed.is_current(&x, &weight));
    }

    #[test]
    fn what_has_no_packed_form_is_computed_from_the_weight() {
        let Case { x, weight, bias } = case();
        let [x, weight, bias] = [x, weight, bias].map(|t| t.to_kind(Kind::Double));
        let packed = PackedWeight::new(&x, conv(&weight, &bias));
        assert!(packed.packed.is_none() && packed.is_current(&x, &weight));
        let want = conv2d(&x, conv(&weight, &bias));
        assert_close(&packed.conv2d(&x, conv(&weight, &bias)), &want, 0.0);
    }
}
