//! What `NCSNv2` is held to beside recorded cases.

use serde_json::{Map, Value, json};
use tch::Tensor;

use super::*;
use crate::UNet;
use crate::gradient_check::{Call, check_bf16, check_gradients, check_packing};

fn tiny(depth: NcsnV2Depth) -> NcsnV2Config {
    NcsnV2Config {
        data: NcsnV2Data { channels: 2, ..NcsnV2Data::default() },
        model: NcsnV2Model { ngf: 4, num_classes: 10, ..NcsnV2Model::default() },
        class: Some(depth),
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    let call = |size| Call { size, times: Tensor::from_slice(&[3i64, 2]), labels: None };
    check_gradients(tiny(NcsnV2Depth::Plain), &call(&[2, 2, 6, 4]));
    for normalization in [NcsnV2Norm::Instance, NcsnV2Norm::Variance] {
        let mut config = tiny(NcsnV2Depth::Plain);
        config.model.normalization = normalization;
        check_gradients(config, &call(&[2, 2, 4, 4]));
    }
}

#[test]
fn packed_weights_follow_every_change_of_the_weights() {
    let times = Tensor::from_slice(&[3i64, 2]);
    check_packing(tiny(NcsnV2Depth::Plain), &Call { size: &[2, 2, 8, 8], times, labels: None });
}

#[test]
fn bf16_gives_the_same_answers() {
    let times = Tensor::from_slice(&[3i64, 2]);
    check_bf16(tiny(NcsnV2Depth::Plain), &Call { size: &[2, 2, 8, 8], times, labels: None });
}

#[test]
fn the_depth_follows_from_the_size_of_the_images() {
    let of = |image_size| {
        let data = NcsnV2Data { image_size, ..NcsnV2Data::default() };
        NcsnV2Config { data, ..NcsnV2Config::default() }.depth()
    };
    assert_eq!([of(32), of(95)], [NcsnV2Depth::Plain; 2]);
    assert_eq!([of(96), of(128)], [NcsnV2Depth::Deeper; 2]);
    assert_eq!([of(129), of(256)], [NcsnV2Depth::Deepest; 2]);
}

#[test]
fn running_averages_are_kept_and_move_in_training_alone() {
    let mut config = tiny(NcsnV2Depth::Plain);
    config.model.normalization = NcsnV2Norm::Batch;
    let unet = UNet::new(&config, 1).unwrap();
    let mean = unet.constants().get("res1.0.normalize1.running_mean").unwrap();
    let x = Tensor::linspace(0.0, 1.0, 64, (tch::Kind::Float, tch::Device::Cpu)).view([2, 2, 4, 4]);
    let run = |train| unet.forward(&x, &Tensor::from(1i64), None, train).unwrap();
    let before = run(false);
    assert_eq!(before, run(false));
    assert_eq!(mean.abs().max().double_value(&[]), 0.0);
    let _ = run(true);
    assert!(mean.abs().max().double_value(&[]) > 0.0);
    assert!(unet.constants().get("normalizer.num_batches_tracked").is_some());
}

#[test]
fn errors_name_key_value_and_what_is_allowed() {
    let check = |key: &str, value: Value, want: &str| {
        let Value::Object(mut values) = serde_json::to_value(tiny(NcsnV2Depth::Plain)).unwrap()
        else {
            panic!("not an object");
        };
        let (group, key) = key.split_once('.').unwrap();
        values[group][key] = value;
        let error = NcsnV2Config::from_values(values).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    };
    check("model.wings", json!(2), "unknown field `wings`");
    check("model.normalization", json!("GroupNorm"), "key `model.normalization`: unknown variant");
    check("model.ngf", json!(1), "key `model.ngf` is 1");
    check("model.num_classes", json!(0), "key `model.num_classes` is 0, expected 1 to 1000000");
    check("data.channels", json!(0), "key `data.channels` is 0, expected 1 to 65535");
    let empty = NcsnV2Config::from_values(Map::new()).unwrap_err().to_string();
    assert!(empty.contains("missing are data.image_size, data.channels"), "{empty}");
}
