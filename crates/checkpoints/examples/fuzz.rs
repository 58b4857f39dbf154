//! Feeds the readers with damaged files, and stops at the first that panics or takes too much memory.
//!
//! ```sh
//! cargo run --release -p tweedie-checkpoints --example fuzz -- pickle 1000000 7
//! ```
//!
//! The arguments are the reader (`safetensors`, `pickle` or `config`), how many files, and a seed: the
//! same arguments give the same files. They are made from the files of `tests/data`, and a few more,
//! by changes that such formats are sensitive to. What a file that was read claims to hold is read too.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use peak_alloc::PeakAlloc;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tweedie_checkpoints::{
    CheckpointError, NoiseConfig, OwnedTensor, TensorFile, TorchFile, write_safetensors,
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that a reader may take for a file of this length: its buffers, and values and tensors that
/// are a fixed multiple of what describes them.
fn allowance(length: usize) -> usize {
    (1 << 19) + 256 * length
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let target = arguments.next().unwrap_or_default();
    let count: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let seed: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (corpus, read): (_, fn(Vec<u8>) -> bool) = match target.as_str() {
        "safetensors" => (safetensors_files(), read_safetensors),
        "pickle" => (torch_files(), read_torch),
        "config" => (configs(), read_config),
        _ => {
            eprintln!("usage: fuzz safetensors|pickle|config [COUNT] [SEED]");
            return ExitCode::FAILURE;
        }
    };
    let mut random = StdRng::seed_from_u64(seed);
    let (start, mut accepted) = (Instant::now(), 0_u64);
    for number in 0..count {
        let file = damaged(&corpus, &mut random);
        let (length, kept) = (file.len(), file.clone());
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let outcome = std::panic::catch_unwind(|| read(file));
        let used = MEMORY.peak_usage().saturating_sub(before);
        match outcome {
            Ok(read) if used <= allowance(length) => accepted += u64::from(read),
            _ => {
                let path = std::env::temp_dir().join(format!("fuzz-{target}-{seed}-{number}"));
                let written = std::fs::write(&path, kept);
                println!(
                    "file {number}: a panic, or {used} bytes for {length}: {path:?} {written:?}"
                );
                return ExitCode::FAILURE;
            }
        }
    }
    let rate = count as f64 / start.elapsed().as_secs_f64();
    println!("{target}, seed {seed}: {count} files, {accepted} of them read, {rate:.0} a second");
    ExitCode::SUCCESS
}

/// Whether the file is read, and all that it claims to hold.
fn read_safetensors(bytes: Vec<u8>) -> bool {
    TensorFile::from_bytes(Path::new("fuzz"), bytes).is_ok_and(|file| read_all(&file).is_ok())
}

fn read_all(file: &TensorFile) -> Result<(), CheckpointError> {
    file.iter().try_for_each(|(_, tensor)| {
        assert_eq!(tensor.read()?.len() as u64, tensor.byte_len());
        Ok(())
    })
}

fn read_torch(bytes: Vec<u8>) -> bool {
    let Ok(file) = TorchFile::from_bytes(Path::new("fuzz"), bytes) else { return false };
    let root = file.root();
    let parts = ["tensors", "base", "channels_last", "model", "ema", "values"];
    for part in parts.iter().filter_map(|key| root.get(key)).chain([root]) {
        let _ = format!("{part:?}");
        if let Ok(tensors) = part.tensors() {
            let _ = read_all(&tensors);
        }
        if let Some(tensor) = part.as_tensor() {
            let _ = tensor.read();
        }
    }
    true
}

fn read_config(bytes: Vec<u8>) -> bool {
    NoiseConfig::parse(Path::new("fuzz"), &bytes).is_ok()
}

fn safetensors_files() -> Vec<Vec<u8>> {
    let path = std::env::temp_dir().join(format!("fuzz-{}.safetensors", std::process::id()));
    let tensors = [
        ("w", OwnedTensor::from_f32(&[2, 3], &[0.5; 6])),
        ("step", OwnedTensor::from_i64(&[], &[7])),
        ("none", OwnedTensor::from_f32(&[0, 4], &[])),
    ];
    let tensors = tensors.map(|(name, tensor)| (name, tensor.expect("a sound tensor")));
    let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    write_safetensors(&path, tensors, &metadata).expect("a temporary file");
    let bytes = std::fs::read(&path).expect("what was just written");
    let _ = std::fs::remove_file(path);
    vec![bytes]
}

fn torch_files() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let names = [
        "zip-2.pt",
        "zip-4.pt",
        "legacy-2.pt",
        "legacy-4.pt",
        "score_sde-legacy.pth",
        "harmful-legacy.pt",
        "weights.bin",
    ];
    names.map(|name| std::fs::read(folder.join(name)).expect("a file of tests/data")).into()
}

fn configs() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"_class_name": "DDPMScheduler", "beta_start": 0.0001, "beta_end": 0.02,
            "beta_schedule": "linear", "num_train_timesteps": 1000, "trained_betas": null,
            "variance_type": "learned_range", "clip_sample": true, "clip_sample_range": 1.0}"#,
        r#"{"_class_name": "ScoreSdeVeScheduler", "sigma_min": 0.01, "sigma_max": 1348,
            "num_train_timesteps": 2000, "snr": 0.15}"#,
        r#"{"_class_name": "DDIMScheduler", "trained_betas": [0.1, 0.2, 1e-3],
            "prediction_type": "v_prediction", "rescale_betas_zero_snr": true}"#,
    ];
    texts.map(|text| text.as_bytes().to_vec()).into()
}

/// A file of the corpus with one to eight changes.
fn damaged(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut file = corpus[random.random_range(0..corpus.len())].clone();
    for _ in 0..random.random_range(1..=8) {
        let other = &corpus[random.random_range(0..corpus.len())];
        change(&mut file, other, random);
    }
    file
}

fn change(file: &mut Vec<u8>, other: &[u8], random: &mut StdRng) {
    if file.is_empty() {
        file.push(0);
    }
    let at = random.random_range(0..file.len());
    let end = (at + random.random_range(1..=16)).min(file.len());
    match random.random_range(0..9) {
        0 => file[at] ^= 1 << random.random_range(0..8),
        1 => file[at] = random.random(),
        2 => file[at] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', b'"'][random.random_range(0..8)],
        3 => drop(file.drain(at..end)),
        4 => file.truncate(at),
        5 => {
            let again = file[at..end].to_vec();
            file.splice(at..at, again);
        }
        6 => file[at..end].fill(if random.random() { 0xff } else { 0 }),
        7 => {
            let from = random.random_range(0..other.len());
            let to = (from + random.random_range(1..=64)).min(other.len());
            file.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            // an instruction of a pickle, or a letter of a number
            let codes = b"()]}.0125eaQRbtsu\x80\x85\x86\x87\x88\x89\x8a\x8c\x93\x94\x95-+,[{:";
            file.insert(at, codes[random.random_range(0..codes.len())]);
        }
    }
}
