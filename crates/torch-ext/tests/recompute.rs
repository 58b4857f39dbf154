//! Layers that are computed again. In a process of its own: the test draws from libtorch's generator,
//! which all threads of a process share.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tch::{Device, Kind, Tensor};
use tweedie_torch_ext::recomputed;

/// dropout(tanh(w x)) x, a layer with a parameter, a random part and a product.
fn layer(x: &Tensor, w: &Tensor) -> Tensor {
    (w * x).tanh().dropout(0.5, true) * x
}

/// The value, what is drawn next, and the derivatives.
fn results(recompute: bool, twice: bool) -> Vec<Tensor> {
    let index = Tensor::arange(40, (Kind::Double, Device::Cpu));
    let [x, w] = [index.sin(), (index * 0.7).cos()].map(|t| t.set_requires_grad(true));
    tch::manual_seed(3);
    let y = if recompute {
        let held = w.shallow_clone();
        recomputed(&[&x], &[&w], true, move |inputs| layer(&inputs[0], &held))
    } else {
        layer(&x, &w)
    };
    let loss = y.square().sum(Kind::Double);
    let first = Tensor::run_backward(&[&loss], &[&x, &w], twice, twice);
    let mut all = vec![y.detach(), Tensor::rand([1], (Kind::Double, Device::Cpu))];
    if twice {
        let norm: Tensor = first.iter().map(|g| g.square().sum(Kind::Double)).sum();
        all.extend(Tensor::run_backward(&[&norm], &[&x, &w], false, false));
    }
    all.extend(first.iter().map(Tensor::detach));
    all
}

fn check_a_panic_is_reported() {
    let x = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        recomputed(&[&x], &[], false, |_| panic!("it panics on purpose"))
    }));
    let message = *outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("a recomputed layer panicked"), "{message}");
}

#[test]
fn values_draws_and_both_derivatives_are_those_of_a_plain_call() {
    for twice in [false, true] {
        for (got, want) in results(true, twice).iter().zip(&results(false, twice)) {
            // a gradient that comes by two ways may be summed in another order
            let error = (got - want).abs().max().double_value(&[]);
            assert!(error < 1e-13, "{error}");
        }
    }
    check_a_panic_is_reported();
}
