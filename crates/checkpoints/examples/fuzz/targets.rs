//! The readers, each with the sound files that its damaged ones are made from.

use std::fs;
use std::path::{Path, PathBuf};

use tweedie_checkpoints::{
    CheckpointError, NetworkFamily, NoiseConfig, OwnedTensor, PublishedCheckpoint, TensorFile,
    TorchFile, parse_network_config, write_safetensors,
};

/// A reader, and what it reads.
pub(crate) struct Target {
    pub(crate) corpus: Vec<Vec<u8>>,
    /// Reads a damaged file, of which the number in the corpus is known; whether it was read whole.
    pub(crate) read: Box<dyn Fn(usize, Vec<u8>) -> bool>,
    /// Bytes that are read besides the damaged file.
    pub(crate) beside: usize,
}

impl Target {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "folder" => folders(),
            "safetensors" => Self {
                corpus: vec![safetensors(&["w", "step"])],
                read: Box::new(|_, bytes| read_safetensors(bytes)),
                beside: 0,
            },
            "pickle" => Self {
                corpus: torch_files(),
                read: Box::new(|_, bytes| read_torch(bytes)),
                beside: 0,
            },
            "config" => configs(),
            _ => return None,
        })
    }
}

/// Whether the file is read, and all that it claims to hold.
fn read_safetensors(bytes: Vec<u8>) -> bool {
    TensorFile::from_bytes(Path::new("fuzz"), bytes).is_ok_and(|file| read_all(&file).is_ok())
}

fn read_all(file: &TensorFile) -> Result<(), CheckpointError> {
    file.iter().try_for_each(|(_, tensor)| {
        let (whole, half) = (tensor.bytes()?, tensor.len() / 2);
        assert_eq!(whole.len() as u64, tensor.byte_len());
        assert!(whole.starts_with(&tensor.part(0..half)?));
        assert!(whole.ends_with(&tensor.part(half..tensor.len())?));
        Ok(())
    })
}

fn read_torch(bytes: Vec<u8>) -> bool {
    let Ok(file) = TorchFile::from_bytes(Path::new("fuzz"), bytes) else { return false };
    let root = file.root();
    let parts = ["tensors", "base", "channels_last", "model", "ema", "values", "uint16", "array"];
    for part in parts.iter().filter_map(|key| root.get(key)).chain([root]) {
        let _ = format!("{part:?}");
        let _ = part.as_array();
        if let Ok(tensors) = part.tensors() {
            let _ = read_all(&tensors);
        }
        if let Some(tensor) = part.as_tensor() {
            let _ = tensor.read();
        }
    }
    true
}

fn torch_files() -> Vec<Vec<u8>> {
    let names = [
        "zip-1.pt",
        "zip-2.pt",
        "zip-4.pt",
        "legacy-2.pt",
        "legacy-4.pt",
        "rarer-zip-5.pt",
        "rarer-legacy-2.pt",
        "score_sde-legacy.pth",
        "harmful-legacy.pt",
        "weights.bin",
    ];
    names.map(data).into()
}

fn data(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    fs::read(path).expect("a file of tests/data")
}

/// A safetensors file of small tensors with these names.
fn safetensors(names: &[&str]) -> Vec<u8> {
    let path = scratch().join("made.safetensors");
    let tensors = names.iter().enumerate().map(|(n, name)| {
        let shape = [n % 3, 3];
        let values = vec![0.5; shape[0] * shape[1]];
        (*name, OwnedTensor::from_f32(&shape, &values).expect("a sound tensor"))
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    write_safetensors(&path, tensors, &metadata).expect("a temporary file");
    fs::read(&path).expect("what was just written")
}

/// A folder of this process, in memory where the system has such a place.
fn scratch() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let root = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
    let folder = root.join(format!("tweedie-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

/// Files of whole checkpoints, each with the path by which its checkpoint is opened.
fn checkpoints() -> Vec<(PathBuf, &'static str, Vec<u8>)> {
    let unet = ["conv_in.weight", "down_blocks.0.resnets.0.conv1.bias", "w"];
    let adm = ["input_blocks.0.0.weight", "output_blocks.0.bias", "time_embed.0.weight"];
    let index = r#"{"metadata": {"total_size": 8}, "weight_map":
        {"conv_in.weight": "one.safetensors", "down_blocks.0.bias": "two.safetensors"}}"#;
    let config = br#"{"_class_name": "UNet2DModel", "in_channels": 3, "sample_size": [8, 8]}"#;
    let files = [
        ("whole", "whole/config.json", config.to_vec()),
        ("whole", "whole/diffusion_pytorch_model.safetensors", safetensors(&unet)),
        ("whole", "whole/scheduler_config.json", NOISES[0].into()),
        ("shards", "shards/config.json", config.to_vec()),
        ("shards", "shards/diffusion_pytorch_model.safetensors.index.json", index.into()),
        ("shards", "shards/one.safetensors", safetensors(&unet[..1])),
        ("shards", "shards/two.safetensors", safetensors(&["down_blocks.0.bias"])),
        ("pipeline", "pipeline/unet/config.json", config.to_vec()),
        ("pipeline", "pipeline/unet/diffusion_pytorch_model.bin", data("weights.bin")),
        ("pipeline", "pipeline/scheduler/scheduler_config.json", NOISES[1].into()),
        ("adm", "adm/model.safetensors", safetensors(&adm)),
        ("adm", "adm/flags.txt", NETWORKS[2].1.into()),
        ("score.pth", "score.pth", data("network.pth")),
        ("score.pth", "score.json", NETWORKS[1].1.into()),
    ];
    files.map(|(opened, file, bytes)| (PathBuf::from(opened), file, bytes)).into()
}

/// One file of a checkpoint is damaged, the others are as they should be.
fn folders() -> Target {
    let (root, files) = (scratch(), checkpoints());
    for (_, file, bytes) in &files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a temporary folder");
        fs::write(path, bytes).expect("a temporary file");
    }
    let corpus: Vec<Vec<u8>> = files.iter().map(|(_, _, bytes)| bytes.clone()).collect();
    let beside = corpus.iter().map(Vec::len).sum();
    let read = move |index: usize, bytes: Vec<u8>| {
        let (opened, file, sound) = &files[index];
        let path = root.join(file);
        fs::write(&path, bytes).expect("a temporary file");
        let whole = read_checkpoint(&root.join(opened));
        fs::write(&path, sound).expect("a temporary file");
        whole
    };
    Target { corpus, read: Box::new(read), beside }
}

fn read_checkpoint(path: &Path) -> bool {
    let Ok(checkpoint) = PublishedCheckpoint::open(path) else { return false };
    let _ = checkpoint.image_shape();
    checkpoint.conventions().is_ok() & read_all(checkpoint.weights()).is_ok()
}

fn configs() -> Target {
    let noises = NOISES.map(|text| text.as_bytes().to_vec());
    let networks = NETWORKS.map(|(_, text)| text.as_bytes().to_vec());
    let read = |index: usize, bytes: Vec<u8>| {
        let path = Path::new("fuzz");
        match index.checked_sub(NOISES.len()) {
            None => NoiseConfig::parse(path, &bytes).is_ok(),
            Some(network) => parse_network_config(path, NETWORKS[network].0, &bytes).is_ok(),
        }
    };
    let corpus = noises.into_iter().chain(networks).collect();
    Target { corpus, read: Box::new(read), beside: 0 }
}

const NOISES: [&str; 3] = [
    r#"{"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02,
        "beta_schedule": "linear", "num_train_timesteps": 1000, "trained_betas": null,
        "variance_type": "learned_range", "clip_sample": true, "clip_sample_range": 1.0}"#,
    r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 1348,
        "num_train_timesteps": 2000, "snr": 0.15}"#,
    r#"{"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2, 1e-3],
        "prediction_type": "v_prediction", "rescale_betas_zero_snr": true}"#,
];

const NETWORKS: [(NetworkFamily, &str); 5] = [
    (
        NetworkFamily::UNet2DModel,
        r#"{"_class_name": "UNet2DModel", "sample_size": 32, "block_out_channels": [8, 16]}"#,
    ),
    (
        NetworkFamily::ScoreSde,
        r#"{"training": {"sde": "vesde", "continuous": true}, "model.nf": 8,
            "data": {"image_size": 8, "num_channels": 3, "centered": false},
            "model": {"name": "ncsnpp", "num_scales": 10, "sigma_min": 0.01, "sigma_max": 50}}"#,
    ),
    (
        NetworkFamily::Adm,
        "--attention_resolutions 32,16,8 --class_cond True --diffusion_steps 1000 --dropout 0.1 \
         --image_size 64 --learn_sigma=True --noise_schedule cosine --num_head_channels 64",
    ),
    (
        NetworkFamily::Adm,
        r#"{"image_size": 64, "channel_mult": [1, 2], "num_channels": "32", "dropout": 0.1,
            "diffusion_steps": 4000, "rescale_timesteps": true, "attention_resolutions": "16,8"}"#,
    ),
    (
        NetworkFamily::AdmEncoder,
        "--image_size 64 --classifier_depth 4 --classifier_pool attention --classifier_width 128",
    ),
];
