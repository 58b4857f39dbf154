//! What ADM's networks are held to beside recorded cases.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::UNet;
use crate::gradient_check::{Call, check_bf16, check_gradients, check_packing};

fn tiny() -> AdmConfig {
    AdmConfig {
        image_size: 4,
        in_channels: 2,
        model_channels: 32,
        out_channels: 4,
        num_res_blocks: 1,
        attention_resolutions: vec![2],
        channel_mult: vec![1.0, 2.0],
        num_classes: Some(3),
        num_head_channels: 16,
        use_scale_shift_norm: true,
        resblock_updown: true,
        ..AdmConfig::default()
    }
}

fn encoder(pool: AdmPool) -> AdmEncoderConfig {
    AdmEncoderConfig { trunk: AdmConfig { num_classes: None, ..tiny() }, pool }
}

fn call(size: &[i64], told: bool) -> Call<'_> {
    let labels = told.then(|| Tensor::from_slice(&[2i64, 0]));
    Call { size, times: Tensor::from_slice(&[17i64, 903]), labels }
}

#[test]
fn gradients_agree_with_finite_differences() {
    check_gradients(tiny(), &call(&[2, 2, 4, 6], true));
    let plain = AdmConfig {
        model_channels: 64,
        channel_mult: vec![0.5, 1.0],
        use_scale_shift_norm: false,
        resblock_updown: false,
        num_head_channels: -1,
        num_heads: 2,
        num_heads_upsample: 4,
        use_new_attention_order: true,
        ..tiny()
    };
    check_gradients(plain, &call(&[2, 2, 4, 4], true));
    check_gradients(encoder(AdmPool::Attention), &call(&[2, 2, 4, 4], false));
}

#[test]
fn packed_weights_follow_every_change_of_the_weights() {
    check_packing(tiny(), &call(&[2, 2, 4, 4], true));
    check_packing(encoder(AdmPool::Attention), &call(&[2, 2, 4, 4], false));
}

#[test]
fn bf16_gives_the_same_answers() {
    check_bf16(tiny(), &call(&[2, 2, 4, 4], true));
}

#[test]
fn every_pool_gives_a_number_for_every_class() {
    for pool in [AdmPool::Adaptive, AdmPool::Attention, AdmPool::Spatial, AdmPool::SpatialV2] {
        let unet = UNet::new(&encoder(pool), 1).unwrap();
        let x = Tensor::ones([3, 2, 4, 4], (Kind::Float, Device::Cpu));
        let output = unet.forward(&x, &Tensor::from(5i64), None, false).unwrap();
        assert_eq!(output.size(), [3, 4], "{pool:?}");
    }
}

#[test]
fn a_pool_of_positions_refuses_images_of_another_size() {
    let unet = UNet::new(&encoder(AdmPool::Attention), 1).unwrap();
    let x = Tensor::ones([1, 2, 8, 8], (Kind::Float, Device::Cpu));
    let error = unet.forward(&x, &Tensor::from(5i64), None, false).unwrap_err().to_string();
    assert_eq!(error, "input is 8x8, but the network's pool is made for 16 pixels");
}

#[test]
fn published_networks_have_their_numbers_of_parameters() {
    // ImageNet 64x64 as published: 296 million parameters (Dhariwal and Nichol 2021, table 4)
    let imagenet = AdmConfig {
        model_channels: 192,
        out_channels: 6,
        num_res_blocks: 3,
        attention_resolutions: vec![2, 4, 8],
        num_classes: Some(1000),
        num_head_channels: 64,
        use_scale_shift_norm: true,
        resblock_updown: true,
        use_new_attention_order: true,
        ..AdmConfig::default()
    };
    let millions = UNet::count_parameters(&imagenet).unwrap() / 1_000_000;
    assert!((295..=297).contains(&millions), "{millions}");
}
