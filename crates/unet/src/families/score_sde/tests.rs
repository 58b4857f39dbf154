//! What the networks of `score_sde` are held to beside recorded cases.

use serde_json::{Map, Value, json};
use tch::Tensor;

use super::*;
use crate::families::nonlinearity::Nonlinearity;
use crate::gradient_check::{Call, check_bf16, check_gradients, check_packing};
use crate::{ArchitectureConfig, UNet};

fn entries(value: Value) -> Map<String, Value> {
    let Value::Object(entries) = value else { panic!("not an object") };
    entries
}

/// The network of the published CIFAR-10 runs: NCSN++ and DDPM++ differ from here in a few keys.
fn cifar10(blocks: usize) -> ScoreSdeConfig {
    let model = ScoreSdeModel {
        num_res_blocks: blocks,
        resblock_type: ResblockType::BigGan,
        skip_rescale: true,
        ..ScoreSdeModel::default()
    };
    ScoreSdeConfig { model, ..ScoreSdeConfig::default() }
}

fn ncsnpp(blocks: usize) -> ScoreSdeConfig {
    let mut config = cifar10(blocks);
    config.training.continuous = true;
    config.model.fir = true;
    config.model.progressive_input = ProgressiveInput::Residual;
    config.model.embedding_type = EmbeddingType::Fourier;
    config
}

#[test]
fn published_networks_have_their_numbers_of_parameters() {
    let check = |config: ScoreSdeConfig, want: u64| {
        assert_eq!(UNet::count_parameters(&config).unwrap(), want);
    };
    // DDPM++ of four blocks: 61.8 million; the deep one has eight.
    check(cifar10(4), 61_804_419);
    check(cifar10(8), 106_632_579);
    // 128 random frequencies are not trained and not counted.
    check(ncsnpp(4), 62_758_787);
    check(ncsnpp(8), 107_586_947);
    let mut ddpm = cifar10(2);
    ddpm.model.name = ScoreSdeName::Ddpm;
    check(ddpm, 35_218_947);
}

#[test]
fn the_recipes_of_the_published_runs_build_the_published_networks() {
    let network = |recipe: &str| -> ArchitectureConfig {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/");
        let text = std::fs::read_to_string(format!("{folder}{recipe}.toml")).unwrap();
        let mut table: toml::Table = toml::from_str(&text).unwrap();
        table.remove("network").unwrap().try_into().unwrap()
    };
    let check = |recipe: &str, same: ScoreSdeConfig| {
        let counts =
            [network(recipe), same.into()].map(|net| UNet::count_parameters(&net).unwrap());
        assert_eq!(counts[0], counts[1], "{recipe}");
    };
    for kind in ["vp", "subvp"] {
        check(&format!("cifar10-ddpmpp-{kind}"), cifar10(4));
        check(&format!("cifar10-ddpmpp-deep-{kind}"), cifar10(8));
    }
    check("cifar10-ncsnpp-ve", ncsnpp(4));
    check("cifar10-ncsnpp-deep-ve", ncsnpp(8));
}

/// A tiny network with every choice made one way; the tests below turn them over.
fn tiny() -> ScoreSdeConfig {
    let mut config = ncsnpp(1);
    config.data = ScoreSdeData { image_size: 8, centered: false, num_channels: 2 };
    config.model = ScoreSdeModel {
        nf: 8,
        ch_mult: vec![1, 2],
        attn_resolutions: vec![4],
        scale_by_sigma: true,
        num_scales: 10,
        progressive: Progressive::OutputSkip,
        ..config.model
    };
    config
}

#[test]
fn gradients_agree_with_finite_differences() {
    let sigmas =
        || Call { size: &[2, 2, 8, 4], times: Tensor::from_slice(&[0.7f32, 3.0]), labels: None };
    check_gradients(tiny(), &sigmas());

    let mut other = tiny();
    other.model.progressive_input = ProgressiveInput::InputSkip;
    other.model.progressive_combine = ProgressiveCombine::Cat;
    other.model.progressive = Progressive::Residual;
    other.model.nonlinearity = Nonlinearity::Elu;
    other.model.fir_kernel = vec![1.0, 4.0, 6.0, 4.0, 1.0];
    check_gradients(other, &sigmas());

    let mut plain = tiny();
    plain.model.resblock_type = ResblockType::Ddpm;
    plain.model.embedding_type = EmbeddingType::Positional;
    plain.model.fir = false;
    let indices = || Call { times: Tensor::from_slice(&[9i64, 2]), ..sigmas() };
    check_gradients(plain.clone(), &indices());

    let mut ddpm = plain;
    ddpm.model.name = ScoreSdeName::Ddpm;
    ddpm.model.nf = 32;
    check_gradients(ddpm, &indices());
}

#[test]
fn packed_weights_follow_every_change_of_the_weights() {
    let size = &[2, 2, 8, 8];
    let times = Tensor::from_slice(&[0.7f32, 3.0]);
    check_packing(tiny(), &Call { size, times, labels: None });
    let mut ddpm = tiny();
    ddpm.model.name = ScoreSdeName::Ddpm;
    ddpm.model.nf = 32;
    let times = Tensor::from_slice(&[9i64, 2]);
    check_packing(ddpm, &Call { size, times, labels: None });
}

#[test]
fn bf16_gives_the_same_answers() {
    let times = Tensor::from_slice(&[0.7f32, 3.0]);
    check_bf16(tiny(), &Call { size: &[2, 2, 8, 8], times, labels: None });
}

#[test]
fn a_network_that_is_told_no_time_gives_the_same_at_all_times() {
    let mut config = tiny();
    config.model.conditional = false;
    config.model.scale_by_sigma = false;
    config.model.init_scale = 1.0;
    let unet = UNet::new(&config, 1).unwrap();
    assert!(unet.constants().get("all_modules.0.W").is_some());
    assert!(unet.parameters().get("all_modules.2.Dense_0.weight").is_some());
    let x =
        Tensor::linspace(0.0, 1.0, 128, (tch::Kind::Float, tch::Device::Cpu)).view([1, 2, 8, 8]);
    let at = |sigma: f64| unet.forward(&x, &Tensor::from(sigma), None, false).unwrap();
    assert_eq!(at(0.1), at(30.0));
}

#[test]
fn noise_levels_are_kept_in_double_precision_from_the_greatest_down() {
    let unet = UNet::new(&tiny(), 1).unwrap();
    let sigmas = Vec::<f64>::try_from(unet.constants().get("sigmas").unwrap()).unwrap();
    assert_eq!(unet.constants().get("sigmas").unwrap().kind(), tch::Kind::Double);
    assert!((sigmas[0] - 50.0).abs() < 1e-12 && (sigmas[9] - 0.01).abs() < 1e-15);
    let ratio = sigmas[1] / sigmas[0];
    assert!(sigmas.windows(2).all(|pair| (pair[1] / pair[0] / ratio - 1.0).abs() < 1e-12));
}

#[test]
fn indices_that_the_table_lacks_are_refused() {
    let mut config = tiny();
    config.model.embedding_type = EmbeddingType::Positional;
    let unet = UNet::new(&config, 1).unwrap();
    let x = Tensor::zeros([2, 2, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
    let error = unet.forward(&x, &Tensor::from_slice(&[3i64, 10]), None, false).unwrap_err();
    assert_eq!(error.to_string(), "times range from 3 to 10, expected whole numbers from 0 to 9");
}

#[test]
fn a_time_between_indices_is_embedded_as_it_is_and_scaled_by_the_index_before() {
    let mut config = tiny();
    config.model.embedding_type = EmbeddingType::Positional;
    let unscaled = {
        let mut config = config.clone();
        config.model.scale_by_sigma = false;
        config
    };
    let unet = UNet::new(&config, 1).unwrap();
    let sigmas = Vec::<f64>::try_from(unet.constants().get("sigmas").unwrap()).unwrap();
    let plain = UNet::new(&unscaled, 1).unwrap();
    for network in [&unet, &plain] {
        for (_, tensor) in network.parameters().iter() {
            let values =
                Tensor::arange(tensor.numel() as i64, (tensor.kind(), tensor.device())).cos() * 0.2;
            tch::no_grad(|| tensor.shallow_clone().copy_(&values.reshape(tensor.size())));
        }
    }
    let x = Tensor::ones([1, 2, 8, 8], (tch::Kind::Float, tch::Device::Cpu));
    let at = |network: &UNet| {
        tch::no_grad(|| network.forward(&x, &Tensor::from(3.7f32), None, false)).unwrap()
    };
    let (scaled, plain) = (at(&unet), at(&plain));
    assert!(plain.abs().max().double_value(&[]) > 1e-3);
    assert!((scaled * sigmas[3]).allclose(&plain, 1e-4, 1e-6, false));
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Map<String, Value>), want: &str) {
    let mut values = entries(serde_json::to_value(tiny()).unwrap());
    change(&mut values);
    let error = ScoreSdeConfig::from_values(values).unwrap_err().to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn errors_name_key_value_and_what_is_allowed() {
    let set = |key: &'static str, value: Value| {
        move |values: &mut Map<String, Value>| {
            let (group, key) = key.split_once('.').unwrap();
            values[group][key] = value;
        }
    };
    check_refused(set("model.wings", json!(2)), "unknown field `wings`");
    check_refused(
        set("model.nonlinearity", json!("tanh")),
        "key `model.nonlinearity`: unknown variant `tanh`",
    );
    check_refused(set("model.ch_mult", json!([])), "key `model.ch_mult` is [], expected 1 to 31");
    check_refused(set("model.dropout", json!(1.0)), "key `model.dropout` is 1.0");
    check_refused(set("model.fir_kernel", json!([1, -1])), "key `model.fir_kernel` is [1.0, -1.0]");
    check_refused(set("model.name", json!("ncsnv2_64")), "expected `ncsnpp` or `ddpm`");
    check_refused(
        set("training.continuous", json!(false)),
        "true where model.embedding_type is fourier",
    );
    check_refused(
        |values| {
            values["model"]["name"] = json!("ddpm");
            values["model"]["conditional"] = json!(false);
        },
        "key `model.conditional` is false, expected true where model.name is ddpm",
    );
    check_refused(
        |values| {
            let model = values["model"].as_object_mut().unwrap();
            model.retain(|key, _| key != "fir" && key != "nf");
        },
        "missing are model.nf, model.fir",
    );
}

#[test]
fn what_the_network_does_not_read_may_be_there() {
    let mut values = entries(serde_json::to_value(tiny()).unwrap());
    values["model"]["ema_rate"] = json!(0.999);
    values["model"]["resblock_type"] = json!("BigGAN");
    values["data"]["dataset"] = json!("CIFAR10");
    values.insert("optim".to_owned(), json!({"lr": 2e-4}));
    assert_eq!(ScoreSdeConfig::from_values(values).unwrap(), tiny());
}
