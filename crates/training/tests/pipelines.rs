//! Folders written here, run by the pipelines of diffusers where Python has them.
//!
//! `data/pipelines/make.py` made the folders that they are written from and recorded how those run.

use std::path::Path;
use std::process::Command;

use tweedie_training::{Model, ModelOptions};

/// A Python that imports diffusers: `TWEEDIE_PYTHON`, or `python3`.
fn python() -> Option<String> {
    let named = std::env::var("TWEEDIE_PYTHON").ok();
    named.into_iter().chain(["python3".to_owned()]).find(|python| {
        let imports = Command::new(python).args(["-c", "import diffusers, torch"]).output();
        imports.is_ok_and(|output| output.status.success())
    })
}

#[test]
fn a_folder_written_here_runs_in_diffusers_as_the_one_it_was_read_from() {
    let Some(python) = python() else {
        eprintln!("left out: no Python with diffusers; TWEEDIE_PYTHON may name one");
        return;
    };
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pipelines");
    for name in ["ddpm-cifar10-32", "ncsnpp-celebahq-256", "ddim-offset", "ddpm-learned"] {
        let (folder, written) = (tempfile::tempdir().unwrap(), "written");
        let written = folder.path().join(written);
        let model = Model::open(&own.join(name), &ModelOptions::default()).unwrap();
        model.write_diffusers(&written).unwrap();
        let script = [own.join("make.py"), "--check".into(), written, own.join(name)];
        let output = Command::new(&python).args(script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains("apart "), "{name}: {said}{why}");
    }
}
