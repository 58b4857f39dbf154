//! Gradient checkpointing gives the gradients of a plain pass. In a process of its own: dropout draws from
//! libtorch's generator, which all threads of a process share.

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use tweedie_unet::{ArchitectureConfig, UNet};

/// One network of each family, with dropout where it has it.
fn networks() -> Vec<Value> {
    let plain = json!({
        "family": "diffusers", "block_out_channels": [32, 32], "layers_per_block": 1, "dropout": 0.3,
        "down_block_types": ["SkipDownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "SkipUpBlock2D"], "norm_num_groups": 8
    });
    let adm = json!({
        "family": "adm", "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": 1,
        "attention_resolutions": [2], "dropout": 0.3, "use_scale_shift_norm": true,
        "resblock_updown": true
    });
    let ncsnv2 = json!({
        "family": "ncsnv2",
        "data": {"image_size": 8, "channels": 3, "logit_transform": false, "rescaled": false},
        "model": {
            "ngf": 4, "num_classes": 1000, "sigma_begin": 2.0, "sigma_end": 0.5,
            "sigma_dist": "geometric", "normalization": "InstanceNorm++", "nonlinearity": "elu",
            "spec_norm": false
        }
    });
    let mut with_batch_norm = ncsnv2.clone();
    with_batch_norm["model"]["normalization"] = json!("BatchNorm");
    vec![plain, adm, ncsnv2, with_batch_norm, score_sde("ncsnpp"), score_sde("ddpm")]
}

fn score_sde(name: &str) -> Value {
    let (fourier, fir) = (name == "ncsnpp", name == "ncsnpp");
    json!({
        "family": "score-sde",
        "training": {"continuous": true},
        "data": {"image_size": 8, "num_channels": 3, "centered": true},
        "model": {
            "name": name, "nf": 32, "ch_mult": [1, 2], "num_res_blocks": 1, "attn_resolutions": [4],
            "dropout": 0.3, "resamp_with_conv": true, "conditional": true, "fir": fir,
            "fir_kernel": [1, 3, 3, 1], "skip_rescale": true, "resblock_type": "biggan",
            "progressive": if fourier { "output_skip" } else { "none" },
            "progressive_input": if fourier { "residual" } else { "none" },
            "progressive_combine": "sum", "attention_type": "ddpm", "init_scale": 0.0,
            "embedding_type": if fourier { "fourier" } else { "positional" }, "fourier_scale": 16,
            "conv_size": 3, "scale_by_sigma": false, "sigma_min": 0.01, "sigma_max": 50,
            "num_scales": 1000, "beta_min": 0.1, "beta_max": 20.0, "nonlinearity": "swish",
            "normalization": "GroupNorm"
        }
    })
}

/// The gradient of every parameter, the running averages after the pass and its output, dropout drawing
/// from a fixed seed.
fn results(unet: &UNet, x: &Tensor) -> Vec<Tensor> {
    tch::manual_seed(4);
    let output = unet.forward(x, &Tensor::from_slice(&[3i64, 500]), None, true).unwrap();
    (&output - 0.5).square().sum(Kind::Float).backward();
    let parameters = unet.parameters();
    let mut all: Vec<Tensor> = parameters.iter().map(|(_, p)| p.grad().copy()).collect();
    for (_, parameter) in parameters.iter() {
        parameter.shallow_clone().zero_grad();
    }
    all.extend(unet.constants().iter().map(|(_, constant)| constant.to_kind(Kind::Float)));
    all.push(output.detach());
    all
}

#[test]
fn gradients_and_running_averages_are_those_of_a_plain_pass_dropout_included() {
    for values in networks() {
        let config = ArchitectureConfig::from_values(values.as_object().unwrap().clone()).unwrap();
        let mut unet = UNet::new(&config, 2).unwrap();
        for (index, (_, parameter)) in unet.parameters().iter().enumerate() {
            // no parameter at zero, where half of the network would have no gradient
            let count = parameter.numel() as i64;
            let wave = (Tensor::arange(count, (Kind::Float, Device::Cpu)) + index as i64).sin();
            let shake = wave.reshape(parameter.size()) * 0.02;
            let _ = tch::no_grad(|| parameter.shallow_clone().g_add_(&shake));
        }
        unet.set_trainable(true);
        let count = 2 * 3 * 8 * 8;
        let x = Tensor::arange(count, (Kind::Float, Device::Cpu)).cos().reshape([2, 3, 8, 8]);
        let held: Vec<Tensor> = unet.constants().iter().map(|(_, c)| c.copy()).collect();
        let want = results(&unet, &x);
        for ((_, constant), held) in unet.constants().iter().zip(&held) {
            constant.shallow_clone().copy_(held);
        }
        unet.set_gradient_checkpointing(true);
        let size = |tensor: &Tensor| tensor.abs().max().double_value(&[]);
        let largest = want.iter().map(size).fold(0.0, f64::max);
        for (got, want) in results(&unet, &x).iter().zip(&want) {
            // sums may be taken in another order, and some gradients are zero but for rounding
            let (error, scale) = (size(&(got - want)), size(want).max(1e-3 * largest));
            assert!(error <= 1e-5 * scale, "{}: {error} of {scale}", config.family_name());
        }
    }
}
