//! A folder written here loads and runs in the real diffusers, where Python has it.
//!
//! The Python is `TWEEDIE_PYTHON`, or `python3`. Without diffusers in it the test says that it was left
//! out.

use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::tensor::TensorView;
use tweedie_checkpoints::{
    BetaShape, DataRange, DiffusersFolder, Dtype, NetworkConventions, StoredTensor, TrainedNoise,
    TrainedPrediction, TrainedTime, TrainedVariance, write_diffusers_folder,
};

/// A Python that imports diffusers.
fn python() -> Option<String> {
    let named = std::env::var("TWEEDIE_PYTHON").ok();
    let candidates = named.into_iter().chain(["python3".to_owned()]);
    candidates.into_iter().find(|python| {
        let imports = Command::new(python).args(["-c", "import diffusers, torch"]).output();
        imports.is_ok_and(|output| output.status.success())
    })
}

fn conventions() -> NetworkConventions {
    NetworkConventions {
        noise: TrainedNoise::Betas {
            shape: BetaShape::SquaredCosine,
            start: 1e-4,
            end: 0.02,
            steps: 500,
            zero_terminal_snr: false,
        },
        prediction: TrainedPrediction::Velocity,
        variance: Some(TrainedVariance::FixedLarge),
        time: TrainedTime::Index { steps: 500, scale: 1.0 },
        data_range: DataRange::Symmetric,
        clip_sample: Some(2.0),
        sampling: None,
    }
}

/// The bytes of a stored tensor, which a view borrows.
fn read(tensor: &StoredTensor) -> (Dtype, Vec<usize>, Vec<u8>) {
    (tensor.dtype(), tensor.shape().to_vec(), tensor.read().unwrap())
}

#[test]
fn the_real_diffusers_loads_a_written_folder_and_computes_the_recorded_outputs() {
    let Some(python) = python() else {
        eprintln!("left out: no Python with diffusers; TWEEDIE_PYTHON may name one");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let case: PathBuf = root.join("../../tests/data/nets/diffusers-ddpm");
    let recorded = DiffusersFolder::open(&case).unwrap();
    let tensors: Vec<_> = recorded.weights().iter().map(|(name, t)| (name, read(t))).collect();
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let written = folder.path().join("model");
    let config = recorded.config().unwrap();
    write_diffusers_folder(&written, &config, Some(&conventions()), views).unwrap();
    let output = Command::new(&python)
        .arg(root.join("tests/data/load_in_diffusers.py"))
        .args([&written, &case.join("io.safetensors")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("scheduler 500 v_prediction fixed_large 2.0"), "{said}");
    assert!(said.contains("calls "), "{said}");
}
