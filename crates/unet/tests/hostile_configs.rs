//! Configurations of networks with values that nobody means, and with the weights of another configuration: an
//! error each, or a network whose layers can be listed; never a panic, never more memory than a list of layers takes.
//!
//! `CONFIGS=1000000 SEED=7 cargo test -p tweedie-unet --test hostile_configs -- --nocapture` tries as many
//! and prints how many were accepted; the same numbers give the same configurations. One test alone stands
//! here, since the peak of memory is the whole process's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use peak_alloc::PeakAlloc;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};
use tch::Tensor;
use tweedie_unet::{ArchitectureConfig, UNet};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes of the list of layers of the largest network that the bounds of its keys allow.
const MOST_BYTES: usize = 64 << 20;

/// A small network of every family, with every kind of value.
fn sound() -> Vec<Value> {
    let score_sde = json!({
        "family": "score-sde",
        "training": {"continuous": true, "sde": "vesde"},
        "data": {"image_size": 8, "num_channels": 3, "centered": false},
        "model": {
            "name": "ncsnpp", "nf": 8, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [4],
            "dropout": 0.1, "resamp_with_conv": true, "conditional": true, "fir": true,
            "fir_kernel": [1, 3, 3, 1], "skip_rescale": true, "resblock_type": "biggan",
            "progressive": "output_skip", "progressive_input": "input_skip",
            "progressive_combine": "sum", "attention_type": "ddpm", "init_scale": 0.0,
            "embedding_type": "fourier", "fourier_scale": 16, "conv_size": 3, "scale_by_sigma": true,
            "sigma_min": 0.01, "sigma_max": 50.0, "num_scales": 10, "nonlinearity": "swish",
            "normalization": "GroupNorm"
        }
    });
    let ncsnv2 = json!({
        "family": "ncsnv2",
        "data": {"image_size": 8, "channels": 3, "logit_transform": false, "rescaled": false},
        "model": {
            "ngf": 4, "num_classes": 10, "sigma_begin": 2.0, "sigma_end": 0.5, "spec_norm": false,
            "sigma_dist": "geometric", "normalization": "InstanceNorm++", "nonlinearity": "elu"
        }
    });
    let adm = json!({
        "image_size": 8, "in_channels": 3, "model_channels": 8, "out_channels": 6,
        "num_res_blocks": 1, "attention_resolutions": [2], "dropout": 0.0, "channel_mult": [4, 4],
        "conv_resample": true, "dims": 2, "num_classes": 5, "num_heads": 1, "num_head_channels": 16,
        "use_scale_shift_norm": true, "resblock_updown": true, "use_new_attention_order": false
    });
    let mut encoder = adm.clone();
    (encoder["family"], encoder["pool"]) = ("adm-encoder".into(), "attention".into());
    encoder.as_object_mut().expect("an object").remove("num_classes");
    let mut adm = adm;
    adm["family"] = "adm".into();
    let diffusers = json!({
        "family": "diffusers", "sample_size": [8, 8], "in_channels": 3, "out_channels": 3,
        "center_input_sample": false, "time_embedding_type": "positional", "freq_shift": 0,
        "flip_sin_to_cos": true, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"], "block_out_channels": [8, 16],
        "layers_per_block": 1, "mid_block_scale_factor": 1, "downsample_padding": 1,
        "downsample_type": "conv", "upsample_type": "conv", "dropout": 0.0, "act_fn": "silu",
        "attention_head_dim": 8, "norm_num_groups": 4, "norm_eps": 1e-5, "add_attention": true,
        "resnet_time_scale_shift": "default", "class_embed_type": null, "num_class_embeds": 4
    });
    vec![diffusers, adm, encoder, score_sde, ncsnv2]
}

/// A value that some key does not expect.
fn odd(random: &mut impl Rng, depth: u32) -> Value {
    const WHOLE: [i64; 16] = [
        i64::MIN,
        -1,
        0,
        1,
        2,
        3,
        7,
        32,
        255,
        1024,
        65_536,
        1 << 20,
        1 << 31,
        1 << 40,
        1 << 53,
        i64::MAX,
    ];
    const REAL: [f64; 8] = [-1.0, -0.0, 1e-300, 0.5, 1.0, 1e9, 1e300, f64::MAX];
    const TEXT: [&str; 10] = [
        "",
        "null",
        "none",
        "conv",
        "silu",
        "fourier",
        "residual",
        "cat",
        "ddpm",
        "AttnSkipUpBlock2D",
    ];
    match random.random_range(0..if depth == 0 { 7 } else { 9 }) {
        0 => Value::Null,
        1 => random.random::<bool>().into(),
        2 | 3 => WHOLE.choose(random).copied().into(),
        4 => random.random_range(-3..40).into(),
        5 => REAL.choose(random).copied().into(),
        6 => TEXT.choose(random).copied().into(),
        7 => {
            let count = [0, 1, 2, 3, 5, 40, 300].choose(random).copied().unwrap_or(0);
            let same = random.random::<bool>().then(|| odd(random, depth - 1));
            (0..count).map(|_| same.clone().unwrap_or_else(|| odd(random, depth - 1))).collect()
        }
        _ => json!({"key": odd(random, depth - 1)}),
    }
}

/// Another value of the same kind, such as the key may well allow.
fn near(value: &Value, random: &mut impl Rng) -> Value {
    const WORDS: [&str; 24] = [
        "none",
        "sum",
        "cat",
        "residual",
        "input_skip",
        "output_skip",
        "biggan",
        "ddpm",
        "ncsnpp",
        "fourier",
        "positional",
        "learned",
        "attention",
        "adaptive",
        "spatial",
        "spatial_v2",
        "scale_shift",
        "resnet",
        "timestep",
        "identity",
        "SkipDownBlock2D",
        "AttnSkipUpBlock2D",
        "ResnetDownsampleBlock2D",
        "BatchNorm",
    ];
    match value {
        Value::Bool(value) => (!value).into(),
        Value::String(_) => WORDS.choose(random).copied().into(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => match random.random_range(0..4) {
                0 => whole.saturating_sub(1).into(),
                1 => whole.saturating_add(1).into(),
                2 => whole.saturating_mul(2).into(),
                _ => (whole / 2).into(),
            },
            None => (number.as_f64().unwrap_or(0.0) * random.random_range(0.0..3.0)).into(),
        },
        other => other.clone(),
    }
}

/// Changes a value somewhere in an object or list, or removes it, or adds one.
fn damage(value: &mut Value, random: &mut impl Rng) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let at = random.random_range(0..entries.len());
            let key = entries.keys().nth(at).expect("one of the keys").clone();
            let inner = &mut entries[&key];
            match random.random_range(0..40) {
                0 => drop(entries.remove(&key)),
                1 => drop(entries.insert("wings".to_owned(), odd(random, 2))),
                2..10 => *inner = odd(random, 2),
                _ => damage(inner, random),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.random_range(0..items.len());
            match random.random_range(0..8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                2 => items[at] = odd(random, 1),
                _ => damage(&mut items[at], random),
            }
        }
        other => *other = near(other, random),
    }
}

type Weights = Vec<(String, Tensor)>;

fn weights_of(values: &Value) -> Weights {
    let values = values.as_object().expect("an object").clone();
    let config = ArchitectureConfig::from_values(values).expect("a sound one");
    let unet = UNet::new(&config, 0).expect("a sound one");
    let weights = unet.weights().into_iter();
    let weights: Weights =
        weights.map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone())).collect();
    assert!(UNet::from_weights(&config, lent(&weights)).is_ok(), "its own weights: {config:?}");
    weights
}

fn lent(weights: &Weights) -> impl Iterator<Item = (String, Tensor)> {
    weights.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone()))
}

/// Whether the configuration is accepted, all that can be asked of it without its weights, and what comes of it
/// with other weights.
fn read(values: Map<String, Value>, weights: &Weights) -> bool {
    let Ok(config) = ArchitectureConfig::from_values(values) else { return false };
    let checked = config.check().is_ok();
    let counted = UNet::count_parameters(&config);
    let size = config.image_size().unwrap_or([config.size_divisor(); 2]);
    let layers = config.layers(size);
    let _ = (config.classes(), config.in_channels(), config.out_channels(), config.family_name());
    if let (Ok(parameters), Ok(layers)) = (&counted, &layers) {
        let listed = layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.parameters));
        assert_eq!(listed, *parameters);
    }
    let accepted = checked && counted.is_ok();
    if accepted {
        assert!(UNet::from_weights(&config, []).is_err(), "all weights are missing");
        drop(UNet::from_weights(&config, lent(weights))); // they may fit
    }
    accepted
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn no_configuration_panics_or_takes_more_than_a_list_of_layers() {
    let (count, sound) = (number("CONFIGS", 3000), sound());
    let mut random = ChaCha8Rng::seed_from_u64(number("SEED", 0));
    let sound: Vec<(Value, Weights)> =
        sound.into_iter().map(|values| (values.clone(), weights_of(&values))).collect();
    for (whole, weights) in &sound {
        assert!(read(whole.as_object().expect("an object").clone(), weights), "{whole}");
    }
    let (start, mut accepted) = (Instant::now(), 0_u64);
    for index in 0..count {
        let (value, weights) = sound.choose(&mut random).expect("a configuration");
        let mut value = value.clone();
        for _ in 0..random.random_range(1..4) {
            damage(&mut value, &mut random);
        }
        let Value::Object(values) = value.clone() else { continue };
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let outcome = catch_unwind(AssertUnwindSafe(|| read(values, weights)));
        let used = MEMORY.peak_usage().saturating_sub(before);
        assert!(outcome.is_ok(), "configuration {index} panics: {value}");
        assert!(used <= MOST_BYTES, "configuration {index} takes {used} bytes: {value}");
        accepted += u64::from(outcome.unwrap_or(false));
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{count} configurations, {accepted} of them accepted, {rate:.0} a second");
}
