//! Scaled dot-product attention.

use tch::Tensor;

use crate::ffi;

/// softmax(q kᵀ / sqrt(d)) v, for q, k, v of shape [n, heads, tokens, d].
///
/// The faster way is taken: on a CPU libtorch's fused kernel in f32 and f64 and plain products in
/// bf16; on a GPU the fused kernel where no gradient is recorded. The gradient can be differentiated
/// again: it is then formed from plain products, since the CPU's fused kernel lacks that derivative.
///
/// # Panics
/// If the shapes or kinds differ.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    // SAFETY: the tensors live through the call; libtorch checks their shapes.
    ffi::expect(ffi::tensor("attention", |out| unsafe {
        ffi::tweedie_attention(q.as_ptr(), k.as_ptr(), v.as_ptr(), out)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn plain(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
        let scale = (*q.size().last().unwrap() as f64).sqrt().recip();
        (q.matmul(&k.transpose(-2, -1)) * scale).softmax(-1, None).matmul(v)
    }

    #[track_caller]
    fn assert_close(got: &Tensor, want: &Tensor, tolerance: f64) {
        let error = (got.to_kind(Kind::Double) - want).abs().max().double_value(&[]);
        assert!(error < tolerance, "{error}");
    }

    #[test]
    fn values_and_both_derivatives_agree_with_plain_products() {
        tch::manual_seed(2);
        let draw = || Tensor::randn([2, 2, 6, 4], (Kind::Double, Device::Cpu));
        let inputs = [draw(), draw(), draw()].map(|t| t.set_requires_grad(true));
        let derivatives = |f: fn(&Tensor, &Tensor, &Tensor) -> Tensor| {
            let [q, k, v] = &inputs;
            let y = f(q, k, v);
            let first =
                Tensor::run_backward(&[y.square().sum(Kind::Double)], &[q, k, v], true, true);
            let norm = first.iter().map(|g| g.square().sum(Kind::Double)).sum::<Tensor>();
            let second = Tensor::run_backward(&[norm], &[q, k, v], false, false);
            let once =
                Tensor::run_backward(&[f(q, k, v).square().sum(Kind::Double)], &[q], false, false);
            [vec![y], first, second, once].into_iter().flatten().collect::<Vec<_>>()
        };
        for (got, want) in derivatives(attention).iter().zip(derivatives(plain)) {
            assert_close(got, &want, 1e-10);
        }
    }

    #[test]
    fn single_and_half_precision_agree_with_double() {
        tch::manual_seed(3);
        let draw = || Tensor::randn([2, 3, 20, 8], (Kind::Double, Device::Cpu));
        let (q, k, v) = (draw(), draw(), draw());
        let want = plain(&q, &k, &v);
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::BFloat16, 5e-2)] {
            let [q, k, v] = [&q, &k, &v].map(|t| t.to_kind(kind));
            assert_close(&attention(&q, &k, &v), &want, tolerance);
        }
    }
}
