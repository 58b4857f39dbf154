//! Scaled dot-product attention.

use tch::Tensor;

use crate::ffi;

/// softmax(q kᵀ / sqrt(d)) v, for q `[n, heads, tokens, d]` and k, v `[n, heads, other_tokens, d]`.
///
/// The faster way is taken: on a CPU libtorch's fused kernel, to which bf16 numbers go widened to f32
/// where the processor multiplies those faster, and else as plain products; on a GPU the kernel that
/// libtorch chooses. The gradient can be differentiated again: it is then formed from plain products,
/// since the fused kernels lack that derivative.
///
/// # Panics
/// If one of them has not four dimensions, if k and v have different shapes, if q has another n,
/// number of heads or head width d than k, or if kinds or devices differ or no such product exists for
/// the kind.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor) -> Tensor {
    check_operands(q, k, v);
    // SAFETY: the tensors live through the call, and their shapes, kinds and devices fit.
    ffi::expect(ffi::tensor("attention", |out| unsafe {
        ffi::tweedie_attention(q.as_ptr(), k.as_ptr(), v.as_ptr(), out)
    }))
}

/// The fused kernel reads memory by these shapes unchecked, so they are checked in every build.
fn check_operands(q: &Tensor, k: &Tensor, v: &Tensor) {
    let [n, heads, _, width] = size_of("q", q);
    let [_, _, tokens, _] = size_of("k", k);
    let expected = [n, heads, tokens, width];
    for (name, tensor) in [("k", k), ("v", v)] {
        let got = size_of(name, tensor);
        assert!(got == expected, "attention's {name} has shape {got:?}, expected {expected:?}");
        let (got, want) = (tensor.kind(), q.kind());
        assert!(got == want, "attention's {name} is of kind {got:?}, its q of {want:?}");
        let (got, want) = (tensor.device(), q.device());
        assert!(got == want, "attention's {name} is on {got:?}, its q on {want:?}");
    }
}

fn size_of(name: &str, tensor: &Tensor) -> [i64; 4] {
    let size = tensor.size();
    <[i64; 4]>::try_from(&size[..]).unwrap_or_else(|_| {
        panic!("attention's {name} has shape {size:?}, expected [n, heads, tokens, width]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawn::Drawn;
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
        let mut drawn = Drawn::new(2);
        let mut draw = || drawn.normal(&[2, 2, 6, 4]);
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

    /// The value and the gradients of a plain sum, whose own gradient is one number for all elements.
    fn summed(f: fn(&Tensor, &Tensor, &Tensor) -> Tensor, inputs: &[Tensor; 3]) -> Vec<Tensor> {
        let [q, k, v] = inputs;
        let y = f(q, k, v);
        let mut out = Tensor::run_backward(&[y.sum(Kind::Double)], &[q, k, v], true, false);
        // A gradient whose last dimension is strided.
        let turned = y.transpose(-2, -1).contiguous().square().sum(Kind::Double);
        out.extend(Tensor::run_backward(&[turned], &[q, k, v], false, false));
        out.push(y);
        out
    }

    #[test]
    fn any_layout_in_memory_gives_the_same() {
        let mut drawn = Drawn::new(4);
        let mut draw = || drawn.normal(&[2, 2, 4, 6]);
        let leaf = |t: Tensor| t.detach().set_requires_grad(true);
        let turned = [draw(), draw(), draw()].map(|t| leaf(t.transpose(-2, -1)));
        let one = Drawn::new(6).normal(&[2, 2, 1, 6]);
        let repeated = [draw(), one.copy(), one].map(|t| leaf(t.expand([2, 2, 4, 6], false)));
        let every_other = [draw(), draw(), draw()].map(|t| leaf(t.slice(-1, 0, 6, 2)));
        for inputs in [turned, repeated, every_other] {
            for (got, want) in summed(attention, &inputs).iter().zip(summed(plain, &inputs)) {
                assert_close(got, &want, 1e-10);
            }
            let [q, k, v] = &inputs;
            let unrecorded = tch::no_grad(|| attention(q, k, v));
            assert_close(&unrecorded, &plain(q, k, v), 1e-10);
        }
    }

    #[test]
    fn more_keys_than_queries_and_none_at_all() {
        let mut drawn = Drawn::new(5);
        let mut draw = |tokens| drawn.normal(&[2, 3, tokens, 4]);
        for (queries, keys) in [(3, 40), (40, 3), (0, 2), (2, 0)] {
            let (q, k, v) = (draw(queries), draw(keys), draw(keys));
            let got = attention(&q, &k, &v);
            assert_eq!(got.size(), [2, 3, queries, 4]);
            if queries > 0 {
                assert_close(&got, &plain(&q, &k, &v), 1e-10);
            }
        }
    }

    #[track_caller]
    fn check_refused(q: Tensor, k: Tensor, v: Tensor, want: &str) {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = attention(&q, &k, &v);
        }));
        let message = *outcome.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains(want), "{message}");
    }

    #[test]
    fn operands_that_do_not_fit_panic() {
        let make = |size: &[i64]| Tensor::ones(size, (Kind::Float, Device::Cpu));
        let good = || make(&[2, 3, 4, 5]);
        for wrong in [[1, 3, 4, 5], [2, 1, 4, 5], [2, 3, 4, 6]] {
            let want = format!("k has shape {wrong:?}, expected [2, 3, 4, 5]");
            check_refused(good(), make(&wrong), make(&wrong), &want);
        }
        let want = "v has shape [2, 3, 3, 5], expected [2, 3, 4, 5]";
        check_refused(good(), good(), make(&[2, 3, 3, 5]), want);
        for flat in [&[3, 4, 5][..], &[], &[1, 2, 3, 4, 5]] {
            check_refused(make(flat), make(flat), make(flat), "expected [n, heads, tokens, width]");
        }
        let double = good().to_kind(Kind::Double);
        check_refused(good(), double, good(), "k is of kind Double, its q of Float");
        let whole = || good().to_kind(Kind::Int64);
        check_refused(whole(), whole(), whole(), "libtorch failed in attention");
    }

    #[test]
    fn single_and_half_precision_agree_with_double() {
        let mut drawn = Drawn::new(3);
        let mut draw = || drawn.normal(&[2, 3, 20, 8]);
        let (q, k, v) = (draw(), draw(), draw());
        let want = plain(&q, &k, &v);
        for (kind, tolerance) in [(Kind::Float, 1e-5), (Kind::BFloat16, 5e-2)] {
            let [q, k, v] = [&q, &k, &v].map(|t| t.to_kind(kind));
            assert_close(&attention(&q, &k, &v), &want, tolerance);
        }
    }
}
