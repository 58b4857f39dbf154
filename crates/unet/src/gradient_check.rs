//! What the tests of every family ask of whole networks: gradients that are the slopes of their losses, the
//! same answers in bf16, and from packed weights, also after the weights change.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};
use tweedie_torch_ext::{AdamW, AdamWState, adamw_step, lerp_};

use crate::{ArchitectureConfig, Precision, UNet};

/// What a network is called with.
pub(crate) struct Call<'a> {
    pub(crate) size: &'a [i64],
    pub(crate) times: Tensor,
    pub(crate) labels: Option<Tensor>,
}

/// Standard normal numbers in f32. Not from libtorch's generator, which all tests share.
fn normal(rng: &mut ChaCha8Rng, size: &[i64]) -> Tensor {
    let count = size.iter().product::<i64>() as usize;
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(count).collect();
    Tensor::from_slice(&values).reshape(size)
}

/// The network with every parameter drawn, those that start at zero too, in f64.
fn drawn(config: &ArchitectureConfig) -> UNet {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let unet = UNet::new(config, 5).unwrap();
    let mut weights: Vec<_> =
        unet.weights().into_iter().map(|(n, t)| (n.to_owned(), t.copy())).collect();
    for (name, weight) in &mut weights {
        if unet.parameters().get(name).is_none() {
            continue;
        }
        // Scales of norms are the vectors that start at one, or near it.
        let scale =
            weight.dim() == 1 && (weight.mean(Kind::Float).double_value(&[]) - 1.0).abs() < 0.1;
        let width =
            if weight.dim() > 1 { weight.numel() as f64 / weight.size()[0] as f64 } else { 4.0 };
        let noise = normal(&mut rng, &weight.size()) / width.sqrt();
        *weight = if scale { noise * 0.5 + 1.0 } else { noise };
    }
    UNet::from_weights(config, weights).unwrap().for_inference(Precision::F64).unwrap()
}

/// One value of every parameter, and of the input, has the derivative that autograd says, for the sum of
/// squares of the output.
#[track_caller]
pub(crate) fn check_gradients(config: impl Into<ArchitectureConfig>, call: &Call<'_>) {
    let unet = drawn(&config.into());
    unet.set_trainable(true);
    let x = normal(&mut ChaCha8Rng::seed_from_u64(6), call.size).to_kind(Kind::Double);
    let x = x.set_requires_grad(true);
    let loss = || {
        let output = unet.forward(&x, &call.times, call.labels.as_ref(), false).unwrap();
        output.square().sum(Kind::Double)
    };
    let total = loss();
    total.backward();
    let total = total.double_value(&[]).abs();
    for (name, parameter) in unet.parameters().iter().chain([("x", &x)]) {
        let index = parameter.numel() as i64 / 2;
        // A parameter that nothing depends on has no gradient.
        let grad = parameter.grad();
        let got = if grad.defined() { grad.reshape([-1]).double_value(&[index]) } else { 0.0 };
        let at = |h: f64| {
            let _guard = tch::no_grad_guard();
            let mut entry = entry(parameter, index);
            let _ = entry.g_add_scalar_(h);
            let value = loss().double_value(&[]);
            let _ = entry.g_add_scalar_(-h);
            value
        };
        let want = (at(1e-5) - at(-1e-5)) / 2e-5;
        // the difference of two losses is known to the rounding of a loss
        let scale = want.abs().max(1e-3 * total).max(1.0);
        assert!((got - want).abs() < 1e-6 * scale, "{name}: {got} {want}");
    }
}

/// The network answers in bf16 what it answers in f64, to a few units of its last place.
#[track_caller]
pub(crate) fn check_bf16(config: impl Into<ArchitectureConfig>, call: &Call<'_>) {
    let wide = drawn(&config.into());
    let narrow = wide.for_inference(Precision::Bf16).unwrap();
    let x = normal(&mut ChaCha8Rng::seed_from_u64(6), call.size);
    let output = |unet: &UNet| {
        let output = unet.forward(&x, &call.times, call.labels.as_ref(), false).unwrap();
        assert_eq!(output.kind(), Kind::Float);
        output.to_kind(Kind::Double)
    };
    let [want, got] = [&wide, &narrow].map(|unet| tch::no_grad(|| output(unet)));
    let error = ((got - &want).norm() / want.norm()).double_value(&[]);
    assert!(error < 0.05, "{error}");
}

/// Packed weights give what unpacked ones give, and go on doing so when the weights change in place: by a step
/// of the optimizer, towards others as an average is, over others, and by others that are loaded.
#[track_caller]
pub(crate) fn check_packing(config: impl Into<ArchitectureConfig>, call: &Call<'_>) {
    let config = config.into();
    let mut unet = drawn(&config).for_inference(Precision::F32).unwrap();
    let x = normal(&mut ChaCha8Rng::seed_from_u64(6), call.size);
    let output = |unet: &UNet| unet.forward(&x, &call.times, call.labels.as_ref(), false).unwrap();
    let mut before = Tensor::zeros_like(&tch::no_grad(|| output(&unet)));
    let mut check = |unet: &mut UNet, change: &str| {
        let [got, want] = [true, false].map(|packs| {
            unet.set_weight_packing(packs);
            tch::no_grad(|| output(unet))
        });
        unet.set_weight_packing(true);
        let _packs_again = tch::no_grad(|| output(unet));
        let largest = |t: Tensor| t.abs().max().double_value(&[]);
        let (error, scale) = (largest(&got - &want), largest(want.shallow_clone()));
        assert!(error <= 1e-5 * scale, "{change}: {error} of {scale}");
        assert!(largest(&want - &before) > 1e-3 * scale, "{change} changes nothing");
        before = want;
    };
    check(&mut unet, "nothing");
    take_a_step(&unet, || output(&unet));
    check(&mut unet, "a step");
    let others: Vec<_> = unet.parameters().tensors().iter().map(|t| t.copy() * 1.25).collect();
    tch::no_grad(|| lerp_(&unet.parameters().tensors(), &others, 0.5)).unwrap();
    check(&mut unet, "an average");
    for (parameter, other) in unet.parameters().tensors().iter().zip(&others) {
        tch::no_grad(|| parameter.shallow_clone().copy_(&(other * 0.75)));
    }
    check(&mut unet, "a copy");
    let drawn = drawn(&config).for_inference(Precision::F32).unwrap();
    unet.load(drawn.weights().into_iter().map(|(name, t)| (name.to_owned(), t.copy()))).unwrap();
    check(&mut unet, "other weights");
}

/// One step of the optimizer down the sum of squares of the output.
fn take_a_step(unet: &UNet, output: impl Fn() -> Tensor) {
    unet.set_trainable(true);
    output().square().sum(Kind::Float).backward();
    let parameters = unet.parameters().tensors();
    let gradients: Vec<_> = parameters.iter().map(|parameter| parameter.grad()).collect();
    let [exp_avg, exp_avg_sq] =
        [(); 2].map(|()| parameters.iter().map(|p| p.detach().zeros_like()).collect::<Vec<_>>());
    let state = AdamWState { exp_avg: &exp_avg, exp_avg_sq: &exp_avg_sq, step: 1 };
    let options = AdamW { learning_rate: 1e-2, ..AdamW::default() };
    adamw_step(&parameters, &gradients, state, &options).unwrap();
    unet.set_trainable(false);
}

/// The value at a place of the flattened tensor, sharing its memory whatever its layout.
fn entry(tensor: &Tensor, mut index: i64) -> Tensor {
    let mut place: Vec<i64> = Vec::new();
    for side in tensor.size().iter().rev() {
        place.push(index % side);
        index /= side;
    }
    place.iter().rev().fold(tensor.shallow_clone(), |part, at| part.get(*at))
}
