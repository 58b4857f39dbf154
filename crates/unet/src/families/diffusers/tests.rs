//! What `UNet2DModel` with images beside its features is held to beside recorded cases.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::UNet;
use crate::gradient_check::{Call, check_bf16, check_gradients, check_packing};

fn skipping() -> UNetConfig {
    UNetConfig {
        block_out_channels: vec![32, 16],
        down_block_types: vec![DownBlockType::AttnSkipDown, DownBlockType::SkipDown],
        up_block_types: vec![UpBlockType::SkipUp, UpBlockType::AttnSkipUp],
        layers_per_block: 1,
        attention_head_dim: None,
        norm_num_groups: None,
        time_embedding_type: TimeEmbedding::Fourier,
        mid_block_scale_factor: std::f64::consts::SQRT_2,
        ..UNetConfig::default()
    }
}

fn call(times: Tensor) -> Call<'static> {
    Call { size: &[2, 3, 4, 4], times, labels: None }
}

#[test]
fn gradients_agree_with_finite_differences() {
    check_gradients(skipping(), &call(Tensor::from_slice(&[0.7f32, 3.0])));
    let learned = UNetConfig {
        block_out_channels: vec![8, 8],
        down_block_types: vec![DownBlockType::ResnetDown, DownBlockType::Down],
        up_block_types: vec![UpBlockType::Up, UpBlockType::ResnetUp],
        layers_per_block: 1,
        norm_num_groups: Some(2),
        time_embedding_type: TimeEmbedding::Learned,
        num_train_timesteps: Some(5),
        ..UNetConfig::default()
    };
    check_gradients(learned, &call(Tensor::from_slice(&[4i64, 0])));
}

#[test]
fn packed_weights_follow_every_change_of_the_weights() {
    check_packing(skipping(), &call(Tensor::from_slice(&[0.7f32, 3.0])));
    let plain = UNetConfig {
        block_out_channels: vec![8, 8],
        down_block_types: vec![DownBlockType::AttnDown, DownBlockType::Down],
        up_block_types: vec![UpBlockType::Up, UpBlockType::AttnUp],
        layers_per_block: 1,
        norm_num_groups: Some(2),
        ..UNetConfig::default()
    };
    check_packing(plain, &call(Tensor::from_slice(&[4i64, 0])));
}

#[test]
fn bf16_gives_the_same_answers() {
    check_bf16(skipping(), &call(Tensor::from_slice(&[0.7f32, 3.0])));
}

#[test]
fn times_that_a_learned_table_lacks_are_refused() {
    let config = UNetConfig {
        time_embedding_type: TimeEmbedding::Learned,
        num_train_timesteps: Some(5),
        block_out_channels: vec![8],
        down_block_types: vec![DownBlockType::Down],
        up_block_types: vec![UpBlockType::Up],
        norm_num_groups: Some(2),
        ..UNetConfig::default()
    };
    let unet = UNet::new(&config, 1).unwrap();
    let x = Tensor::zeros([1, 3, 4, 4], (Kind::Float, Device::Cpu));
    for time in [5.0, -1.0, 1.5] {
        let error = unet.forward(&x, &Tensor::from(time), None, false).unwrap_err().to_string();
        assert!(error.contains("expected whole numbers from 0 to 4"), "{error}");
    }
}

#[track_caller]
fn check_refused(config: UNetConfig, want: &str) {
    let error = UNet::count_parameters(&config).unwrap_err().to_string();
    assert!(error.contains(want), "{error}");
}

#[test]
fn levels_whose_images_do_not_fit_are_refused() {
    let (down, up) = (DownBlockType::Down, UpBlockType::Up);
    let three = |d: [DownBlockType; 3], u: [UpBlockType; 3]| UNetConfig {
        block_out_channels: vec![32; 3],
        down_block_types: d.into(),
        up_block_types: u.into(),
        norm_num_groups: Some(4),
        ..skipping()
    };
    let late = three([down, DownBlockType::SkipDown, down], [up; 3]);
    check_refused(late, "skip levels before all others");
    let early = three([down; 3], [UpBlockType::SkipUp, up, up]);
    check_refused(early, "skip levels after all others");
    check_refused(UNetConfig { in_channels: 1, ..skipping() }, "`in_channels` is 1, expected 3");
    let narrow = UNetConfig { block_out_channels: vec![16, 16], ..skipping() };
    check_refused(narrow, "a multiple of its 32 groups");
    let plain =
        UNetConfig { down_block_types: vec![down; 2], up_block_types: vec![up; 2], ..skipping() };
    check_refused(plain, "`norm_num_groups` is null");
}
