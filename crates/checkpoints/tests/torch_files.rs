//! Files that torch wrote, in both forms and all protocols, come back as they were saved.

use std::path::{Path, PathBuf};

use tweedie_checkpoints::{Dtype, TorchFile, Value};

/// The files of `every_kind` in `data/make.py`.
const FILES: [&str; 9] = [
    "zip-1.pt",
    "zip-2.pt",
    "zip-3.pt",
    "zip-4.pt",
    "zip-5.pt",
    "legacy-2.pt",
    "legacy-3.pt",
    "legacy-4.pt",
    "legacy-5.pt",
];

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn open(name: &str) -> TorchFile {
    TorchFile::open(&data(name)).unwrap_or_else(|error| panic!("{name}: {error:?}"))
}

fn floats(value: Value<'_>) -> Vec<f32> {
    let tensor = value.as_tensor().expect("a tensor");
    assert_eq!(tensor.dtype(), Dtype::F32);
    let bytes = tensor.read().unwrap();
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect()
}

#[test]
fn every_element_type_keeps_its_values() {
    for name in FILES {
        let file = open(name);
        let tensors = file.root().get("tensors").unwrap().tensors().unwrap();
        assert_eq!(tensors.read_f32("float32").unwrap(), [1.0, 2.0, 3.0, -4.0, 5.0, 6.0], "{name}");
        assert_eq!(tensors.read_f64("float64").unwrap(), [1.0, 2.0, 3.0, -4.0, 5.0, 6.0], "{name}");
        assert_eq!(tensors.read_i64("int64").unwrap(), [1, 2, 3, -4, 5, 6], "{name}");
        assert_eq!(tensors.read("int8").unwrap(), [1, 2, 3, 252, 5, 6], "{name}");
        assert_eq!(tensors.read("uint8").unwrap(), [1, 2, 3, 252, 5, 6], "{name}");
        assert_eq!(tensors.read("int16").unwrap()[6..8], (-4_i16).to_le_bytes(), "{name}");
        assert_eq!(tensors.read("int32").unwrap()[12..16], (-4_i32).to_le_bytes(), "{name}");
        // 1 and -4 as halves of IEEE 754, and as the upper halves of floats
        assert_eq!(tensors.read("float16").unwrap()[..2], 0x3c00_u16.to_le_bytes(), "{name}");
        assert_eq!(tensors.read("float16").unwrap()[6..8], 0xc400_u16.to_le_bytes(), "{name}");
        assert_eq!(tensors.read("bfloat16").unwrap()[6..8], 0xc080_u16.to_le_bytes(), "{name}");
        assert_eq!(tensors.read("bool").unwrap(), [1, 0, 1], "{name}");
        assert_eq!(tensors.describe("float16").unwrap().dtype, Dtype::F16, "{name}");
        assert_eq!(tensors.describe("bfloat16").unwrap().dtype, Dtype::BF16, "{name}");
        assert_eq!(tensors.describe("complex64").unwrap().dtype, Dtype::C64, "{name}");
        assert_eq!(tensors.describe("int64").unwrap().shape, [2, 3], "{name}");
        assert_eq!(tensors.read_f32("scalar").unwrap(), [2.5], "{name}");
        assert_eq!(tensors.describe("scalar").unwrap().shape, [0; 0], "{name}");
        assert_eq!(tensors.read_f32("empty").unwrap(), [0.0; 0], "{name}");
        assert_eq!(tensors.describe("empty").unwrap().shape, [0, 3], "{name}");
        assert_eq!(tensors.len(), 13, "{name}");
    }
}

#[test]
fn views_of_a_shared_storage_are_read_in_their_own_order() {
    for name in FILES {
        let file = open(name);
        let tensor = |key: &str| floats(file.root().get(key).unwrap());
        assert_eq!(tensor("base"), (0..12).map(|i| i as f32).collect::<Vec<_>>(), "{name}");
        assert_eq!(tensor("row"), [4.0, 5.0, 6.0, 7.0], "{name}");
        assert_eq!(tensor("column"), [2.0, 6.0, 10.0], "{name}");
        let transposed = [0.0, 4.0, 8.0, 1.0, 5.0, 9.0, 2.0, 6.0, 10.0, 3.0, 7.0, 11.0];
        assert_eq!(tensor("transposed"), transposed, "{name}");
        assert_eq!(tensor("expanded"), [7.0; 4], "{name}");
        assert_eq!(
            tensor("channels_last"),
            (0..24).map(|i| i as f32).collect::<Vec<_>>(),
            "{name}"
        );
        assert_eq!(tensor("parameter"), [0.5, -0.5], "{name}");
    }
}

#[test]
fn plain_values_keep_their_kind() {
    for name in FILES {
        let file = open(name);
        let values = file.root().get("values").unwrap();
        let value = |key: &str| values.get(key).unwrap_or_else(|| panic!("{name} lacks {key}"));
        assert!(value("none").is_none(), "{name}");
        assert_eq!(value("true").as_bool(), Some(true), "{name}");
        assert_eq!(value("small").as_i64(), Some(3), "{name}");
        assert_eq!(value("negative").as_i64(), Some(-70_000), "{name}");
        assert_eq!(value("large").as_i64(), Some(1 << 60), "{name}");
        assert_eq!(value("float").as_f64(), Some(0.25), "{name}");
        assert_eq!(value("text").as_str(), Some("grüße"), "{name}");
        assert_eq!(value("bytes").as_bytes(), Some(&[0, 255][..]), "{name}");
        assert_eq!(value("7").as_str(), Some("by number"), "{name}");
        assert_eq!(values.at(&["tuple", "1", "0"]).unwrap().as_i64(), Some(2), "{name}");
        assert_eq!(values.at(&["list", "1", "1"]).unwrap().items().unwrap().len(), 0, "{name}");
        assert_eq!(value("set").items().unwrap().next().unwrap().as_i64(), Some(5), "{name}");
        assert_eq!(values.at(&["size", "1"]).unwrap().as_i64(), Some(3), "{name}");
        assert_eq!(value("dtype").as_str(), Some("bfloat16"), "{name}");
        assert_eq!(value("device").as_str(), Some("cpu"), "{name}");
        assert_eq!(value("numpy_float").as_f64(), Some(1.5), "{name}");
        assert_eq!(value("numpy_int").as_i64(), Some(-9), "{name}");
        assert_eq!(value("numpy_bool").as_bool(), Some(true), "{name}");
        assert_eq!(values.at(&["default", "a", "0"]).unwrap().as_i64(), Some(1), "{name}");
        assert_eq!(values.at(&["counter", "b"]).unwrap().as_i64(), Some(2), "{name}");
    }
}

#[test]
fn a_training_state_is_reached_by_path() {
    for name in ["score_sde.pth", "score_sde-legacy.pth"] {
        let file = open(name);
        let root = file.root();
        assert_eq!(root.get("step").unwrap().as_i64(), Some(1));
        assert_eq!(root.at(&["ema", "decay"]).unwrap().as_f64(), Some(0.999));
        let shadow = root.at(&["ema", "shadow_params"]).unwrap().tensor_list().unwrap();
        let shapes: Vec<&[usize]> = shadow.iter().map(|tensor| tensor.shape()).collect();
        assert_eq!(shapes, [&[3, 2][..], &[3], &[3], &[3], &[1, 3], &[1]]);
        let model = root.get("model").unwrap().tensors().unwrap();
        assert_eq!(model.describe("module.0.weight").unwrap().shape, [3, 2]);
        assert_eq!(model.read_i64("module.1.num_batches_tracked").unwrap(), [1]);
        // the first step of Adam moves every weight by the learning rate, the average lags behind
        let (trained, averaged) = (model.read_f32("module.2.bias").unwrap(), shadow[5].read());
        let averaged = f32::from_le_bytes(averaged.unwrap().try_into().unwrap());
        assert!(((trained[0] - averaged).abs() - 2e-4).abs() < 1e-7, "{trained:?} {averaged}");
        let moment = root.at(&["optimizer", "state", "0", "exp_avg"]).unwrap();
        assert_eq!(moment.as_tensor().unwrap().shape(), [3, 2]);
        let groups = root.at(&["optimizer", "param_groups", "0", "lr"]).unwrap();
        assert_eq!(groups.as_f64(), Some(2e-4));
    }
}

#[test]
fn a_missing_key_is_named_with_those_that_are_there() {
    let file = open("score_sde.pth");
    let message = file.root().at(&["ema", "weights"]).unwrap_err().to_string();
    assert!(message.contains("no `ema.weights`"), "{message}");
    assert!(message.contains("[decay, num_updates, shadow_params]"), "{message}");
}

#[test]
fn values_that_are_no_tensors_are_named() {
    let file = open("zip-2.pt");
    let message = file.root().tensors().unwrap_err().to_string();
    assert!(message.contains("`tensors` is a dict, expected tensors"), "{message}");
    let message = file.root().tensor_list().unwrap_err().to_string();
    assert!(message.contains("is a dict, expected tensors"), "{message}");
}

#[test]
fn rarer_kinds_of_tensors_and_arrays_are_read() {
    for name in ["rarer-zip-2.pt", "rarer-zip-5.pt", "rarer-legacy-2.pt"] {
        let file = open(name);
        let get = |key: &str| file.root().get(key).unwrap_or_else(|| panic!("{name} lacks {key}"));
        let typed = get("uint16").as_tensor().unwrap();
        assert_eq!((typed.dtype(), typed.read().unwrap()), (Dtype::U16, vec![1, 0, 255, 255]));
        let view = get("typed_view").as_tensor().unwrap();
        assert_eq!(view.read().unwrap(), [0, 0, 3, 0, 1, 0, 4, 0, 2, 0, 5, 0], "{name}");
        let float8 = get("float8").as_tensor().unwrap();
        // 1 and -2 with four bits of exponent, biased by 7, and three of mantissa
        assert_eq!((float8.dtype(), float8.read().unwrap()), (Dtype::F8_E4M3, vec![0x38, 0xc0]));
        assert_eq!(floats(get("tagged")), [1.0, 2.0], "{name}");
        assert_eq!(floats(get("parameter")), [3.0], "{name}");
        assert_eq!(floats(get("buffer")), [4.0], "{name}");
        let (dtype, shape, bytes) = get("array").as_array().unwrap();
        assert_eq!((dtype, shape), (Dtype::I16, &[2, 3][..]), "{name}");
        assert_eq!(bytes, [0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0], "{name}");
        assert!(get("by_columns").as_array().is_none(), "{name}");
        assert_eq!(get("by_columns").kind(), "a numpy array", "{name}");
        assert_eq!(get("flat").as_array().unwrap().2[..4], 0.5_f32.to_le_bytes(), "{name}");
    }
}
