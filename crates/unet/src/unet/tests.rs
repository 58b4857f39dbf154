//! The network as a whole: gradients, precisions, loading, refusals.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tweedie_checkpoints::{Dtype, OwnedTensor, write_safetensors};

use super::*;
use crate::gradient_check::{Call, check_gradients};
use crate::{ActivationFunction, TimeScaleShift};

/// A network that is tiny and uses attention, classes and a shortcut.
fn tiny() -> UNetConfig {
    use crate::{DownBlockType, UpBlockType};
    UNetConfig {
        in_channels: 2,
        out_channels: 2,
        block_out_channels: vec![4, 8],
        down_block_types: vec![DownBlockType::Down, DownBlockType::AttnDown],
        up_block_types: vec![UpBlockType::AttnUp, UpBlockType::Up],
        layers_per_block: 1,
        attention_head_dim: Some(4),
        norm_num_groups: Some(2),
        downsample_padding: 0,
        num_class_embeds: Some(3),
        ..UNetConfig::default()
    }
}

/// Standard normal numbers in f32. Not from libtorch's generator, which all tests share.
fn normal(rng: &mut ChaCha8Rng, size: &[i64]) -> Tensor {
    let count = size.iter().product::<i64>() as usize;
    let values: Vec<f32> = StandardNormal.sample_iter(rng).take(count).collect();
    Tensor::from_slice(&values).reshape(size)
}

/// The tiny network with every parameter drawn, those that start at zero too.
fn drawn(config: &UNetConfig, precision: Precision) -> UNet {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let unet = UNet::new(config, 5).unwrap();
    let weights = unet.parameters().iter().map(|(name, p)| {
        let width = if p.dim() > 1 { (p.numel() as i64 / p.size()[0]) as f64 } else { 4.0 };
        let noise = normal(&mut rng, &p.size()) * width.sqrt().recip();
        let ones = name.contains("norm") && name.ends_with("weight");
        (name.to_owned(), if ones { noise * 0.5 + 1.0 } else { noise })
    });
    let weights: Vec<_> = weights.collect();
    UNet::from_weights(config, weights).unwrap().for_inference(precision).unwrap()
}

fn input(precision: Precision) -> (Tensor, Tensor, Tensor) {
    let x = normal(&mut ChaCha8Rng::seed_from_u64(6), &[2, 2, 4, 6]).to_kind(precision.kind());
    (x, Tensor::from_slice(&[17i64, 903]), Tensor::from_slice(&[2i64, 0]))
}

/// sum(output^2), a scalar with a gradient that does not vanish.
fn loss(unet: &UNet, x: &Tensor) -> Tensor {
    let (_, times, labels) = input(Precision::F64);
    let output = unet.forward(x, &times, Some(&labels), false).unwrap();
    output.square().sum(unet.precision().kind())
}

#[test]
fn gradients_agree_with_finite_differences() {
    let scale_shift = UNetConfig { resnet_time_scale_shift: TimeScaleShift::ScaleShift, ..tiny() };
    for config in [tiny(), scale_shift] {
        let (_, times, labels) = input(Precision::F64);
        check_gradients(config, &Call { size: &[2, 2, 4, 6], times, labels: Some(labels) });
    }
}

#[test]
fn single_precision_follows_double_with_and_without_gradients() {
    let (wide, narrow) = (drawn(&tiny(), Precision::F64), drawn(&tiny(), Precision::F32));
    let (x, times, labels) = input(Precision::F64);
    let want = wide.forward(&x, &times, Some(&labels), false).unwrap();
    let x = x.to_kind(Kind::Float);
    let quiet = tch::no_grad(|| narrow.forward(&x, &times, Some(&labels), false)).unwrap();
    narrow.set_trainable(true);
    let recorded = narrow.forward(&x, &times, Some(&labels), true).unwrap();
    let scale = want.abs().max().double_value(&[]);
    for got in [quiet, recorded.detach()] {
        let error = (got.to_kind(Kind::Double) - &want).abs().max().double_value(&[]);
        assert!(error < 1e-5 * scale, "{error} of {scale}");
    }
    // The same gradients come out of the fused pass.
    wide.set_trainable(true);
    loss(&wide, &input(Precision::F64).0).backward();
    loss(&narrow, &x).backward();
    for ((name, a), (_, b)) in wide.parameters().iter().zip(narrow.parameters().iter()) {
        let (a, b) = (a.grad(), b.grad().to_kind(Kind::Double));
        let error = (&a - b).abs().max().double_value(&[]);
        assert!(error < 1e-3 * a.abs().max().double_value(&[]).max(1e-2), "{name}: {error}");
    }
}

#[test]
fn half_precision_is_near_and_its_master_weights_get_gradients() {
    let mut unet = drawn(&tiny(), Precision::F32);
    let (x, times, labels) = input(Precision::F32);
    let want = unet.forward(&x, &times, Some(&labels), false).unwrap();
    let half = unet.for_inference(Precision::Bf16).unwrap();
    assert!(half.parameters().iter().all(|(_, p)| p.kind() == Kind::BFloat16));
    unet.set_precision(Precision::Bf16);
    unet.set_trainable(true);
    let trained = unet.forward(&x, &times, Some(&labels), true).unwrap();
    for got in [half.forward(&x, &times, Some(&labels), false).unwrap(), trained.detach()] {
        assert_eq!(got.kind(), Kind::Float);
        let error = (got - &want).abs().max() / want.abs().max();
        assert!(error.double_value(&[]) < 0.1, "{error:?}");
    }
    trained.square().sum(Kind::Float).backward();
    for (name, parameter) in unet.parameters().iter() {
        assert_eq!((parameter.kind(), parameter.grad().defined()), (Kind::Float, true), "{name}");
    }
}

#[test]
fn a_second_derivative_exists() {
    let unet = drawn(&tiny(), Precision::F32);
    let x = input(Precision::F32).0.set_requires_grad(true);
    let dx = Tensor::run_backward(&[loss(&unet, &x)], &[&x], true, true).swap_remove(0);
    let second = Tensor::run_backward(&[dx.square().sum(Kind::Float)], &[&x], false, false);
    assert!(second[0].isfinite().all().int64_value(&[]) == 1);
    assert!(second[0].abs().max().double_value(&[]) > 0.0);
}

#[test]
fn initial_values_are_a_function_of_the_seed() {
    let value = |seed| {
        let unet = UNet::new(&tiny(), seed).unwrap();
        unet.parameters().get("conv_in.weight").unwrap().double_value(&[0, 0, 0, 0])
    };
    assert_eq!(value(0), value(0));
    assert!(value(0) != value(1));
    let unet = UNet::new(&tiny(), 0).unwrap();
    let bound = unet.parameters().get("conv_in.weight").unwrap().abs().max();
    assert!(bound.double_value(&[]) <= (2.0f64 * 9.0).sqrt().recip());
    let (x, times, labels) = input(Precision::F32);
    let start = unet.forward(&x, &times, Some(&labels), false).unwrap();
    assert_eq!(start.abs().max().double_value(&[]), 0.0);
}

#[test]
fn loading_keeps_the_identity_of_the_parameters() {
    let (unet, other) = (UNet::new(&tiny(), 0).unwrap(), drawn(&tiny(), Precision::F32));
    let held = unet.parameters().get("conv_out.weight").unwrap().shallow_clone();
    let owned = |unet: &UNet| -> Vec<(String, Tensor)> {
        unet.parameters().iter().map(|(n, t)| (n.to_owned(), t.copy())).collect()
    };
    unet.load(owned(&other)).unwrap();
    assert!(held.equal(other.parameters().get("conv_out.weight").unwrap()));
    let (x, times, labels) = input(Precision::F32);
    let output = |unet: &UNet| unet.forward(&x, &times, Some(&labels), false).unwrap();
    assert!(output(&unet).equal(&output(&other)));
}

#[test]
fn everything_wrong_with_weights_is_listed_at_once() {
    let unet = UNet::new(&tiny(), 0).unwrap();
    let mut weights: Vec<(String, Tensor)> =
        unet.parameters().iter().map(|(n, t)| (n.to_owned(), t.copy())).collect();
    weights.retain(|(name, _)| name != "conv_in.bias" && name != "conv_out.bias");
    weights.push(("extra".to_owned(), Tensor::from(1.0f32)));
    weights.iter_mut().filter(|(n, _)| n == "conv_in.weight").for_each(|(_, t)| {
        *t = t.get(0);
    });
    let error = UNet::from_weights(&tiny(), weights).unwrap_err().to_string();
    let want = "weights do not fit the network: 2 missing: conv_in.bias, conv_out.bias; \
                1 unexpected: extra; 1 of another shape: conv_in.weight [2, 3, 3], \
                expected [4, 2, 3, 3]";
    assert_eq!(error, want);
}

#[track_caller]
fn check_refused(x: [i64; 4], times: &[i64], labels: Option<&[i64]>, want: &str) {
    let unet = UNet::new(&tiny(), 0).unwrap();
    let x = Tensor::zeros(x, (Kind::Float, Device::Cpu));
    let labels = labels.map(Tensor::from_slice);
    let error = unet.forward(&x, &Tensor::from_slice(times), labels.as_ref(), false);
    let error = error.unwrap_err().to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let two: Option<&[i64]> = Some(&[0, 1]);
    check_refused([2, 2, 4, 5], &[1], two, "input is 4x5, but 2 must divide both");
    check_refused([2, 3, 4, 4], &[1], two, "[2, 3, 4, 4], expected [n, 2, height, width]");
    check_refused([2, 2, 4, 4], &[1, 2, 3], two, "times have shape [3], expected [] or [2]");
    check_refused([2, 2, 4, 4], &[1], Some(&[0, 3]), "range from 0 to 3, expected 0 to 2");
    check_refused([2, 2, 4, 4], &[1], Some(&[0]), "class labels have shape [1]");
    check_refused([2, 2, 4, 4], &[1], None, "is class-conditional, but class labels were not");
}

#[test]
fn a_norm_whose_groups_do_not_divide_is_refused() {
    let config = UNetConfig { norm_num_groups: Some(3), ..tiny() };
    let error = UNet::new(&config, 0).unwrap_err().to_string();
    assert!(error.contains("`norm_num_groups` is 3, expected a divisor of the 4"), "{error}");
    let config = UNetConfig { attention_head_dim: Some(9), ..tiny() };
    let error = UNet::new(&config, 0).unwrap_err().to_string();
    assert!(error.contains("`attention_head_dim` is 9, expected at most 8"), "{error}");
}

#[test]
fn dropout_acts_in_training_only() {
    let config = UNetConfig { dropout: 0.5, act_fn: ActivationFunction::Gelu, ..tiny() };
    let unet = drawn(&config, Precision::F32);
    let (x, times, labels) = input(Precision::F32);
    let output = |train| unet.forward(&x, &times, Some(&labels), train).unwrap();
    assert!(output(false).equal(&output(false)));
    assert!(!output(true).equal(&output(true)));
}

/// A file of a network's weights in f32, but for those that `change` gives.
fn file_of(unet: &UNet, change: impl Fn(&str) -> Option<OwnedTensor>) -> TensorFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let stored = unet.weights().into_iter().map(|(name, tensor)| {
        let shape: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        let values = Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap();
        let same = || OwnedTensor::from_f32(&shape, &values).unwrap();
        (name.to_owned(), change(name).unwrap_or_else(same))
    });
    write_safetensors(&path, stored, &Default::default()).unwrap();
    TensorFile::open(&path).unwrap()
}

fn loaded(file: &TensorFile) -> Result<UNet, UNetError> {
    UNet::from_file(&tiny(), file, Precision::F32, Device::Cpu)
}

#[test]
fn a_network_out_of_a_file_has_its_values_in_the_fastest_format() {
    let unet = drawn(&tiny(), Precision::F32);
    let halved = |name: &str| {
        let ones = [0x3f80_u16.to_le_bytes(); 4].concat();
        (name == "conv_in.bias").then(|| OwnedTensor::new(Dtype::BF16, &[4], ones).unwrap())
    };
    let opened = loaded(&file_of(&unet, halved)).unwrap();
    for ((name, got), (_, want)) in opened.weights().into_iter().zip(unet.weights()) {
        let want = if name == "conv_in.bias" { &want.ones_like() } else { want };
        assert!(got.equal(want) && got.kind() == Kind::Float, "{name}");
        assert_eq!(got.stride(), want.stride(), "{name}");
    }
}

#[test]
fn weights_that_are_no_floats_or_not_finite_are_listed() {
    let unet = drawn(&tiny(), Precision::F32);
    let change = |name: &str| match name {
        "conv_in.bias" => Some(OwnedTensor::from_i64(&[4], &[1, 2, 3, 4]).unwrap()),
        "conv_out.bias" => Some(OwnedTensor::from_f32(&[2], &[0.0, f32::NAN]).unwrap()),
        "conv_norm_out.bias" => {
            Some(OwnedTensor::from_f32(&[4], &[f32::NEG_INFINITY, 0.0, 1.0, 2.0]).unwrap())
        }
        _ => None,
    };
    let error = loaded(&file_of(&unet, change)).unwrap_err().to_string();
    let want = "weights do not fit the network: \
                1 of a type that is not F16, BF16, F32 or F64: conv_in.bias I64; \
                2 with values that are infinite or no numbers: conv_norm_out.bias, conv_out.bias";
    assert_eq!(error, want);
}
