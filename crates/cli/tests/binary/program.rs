//! Running the binary and reading what it says.

use std::path::Path;
use std::process::{Command, Output};

/// A configuration that trains in a second or two.
pub(crate) const TINY: &str = r#"
[network]
channels = 8
multipliers = [1, 2]
blocks = 1
attention = [4]
groups = 4
class_conditional = true

[schedule]
kind = "cosine"
steps = 100

[training]
steps = 12
batch_size = 16
learning_rate = 1e-3
warmup = 2
threads = 2

[checkpoints]
every = 4
keep_last = 2

[samples]
every = 0
"#;

/// The same in continuous time, with a density of its images.
pub(crate) const TINY_FLOW: [&str; 6] = [
    "--set",
    "schedule.kind=vp_linear",
    "--set",
    "data.dequantize=true",
    "--set",
    "training.threads=1",
];

/// A finished run of the binary.
pub(crate) struct Program(Output);

impl Program {
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_tweedie"))
    }

    pub(crate) fn run(arguments: &[&str]) -> Self {
        Self::of(Self::command().args(arguments))
    }

    pub(crate) fn of(command: &mut Command) -> Self {
        Self(command.output().unwrap())
    }

    /// `tweedie train` on a configuration written into `folder`.
    pub(crate) fn train(folder: &Path, config: &str, out: &Path, more: &[&str]) -> Self {
        let path = folder.join("config.toml");
        std::fs::write(&path, config).unwrap();
        let mut arguments = vec!["train", path.to_str().unwrap(), "--out", out.to_str().unwrap()];
        arguments.extend(more);
        Self::run(&arguments)
    }

    /// Standard output of a run that ended well.
    #[track_caller]
    pub(crate) fn expect_success(&self) -> String {
        assert!(self.0.status.success(), "{}", String::from_utf8_lossy(&self.0.stderr));
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    /// Standard error of a run that ended well.
    #[track_caller]
    pub(crate) fn expect_warning(&self) -> String {
        self.expect_success();
        String::from_utf8(self.0.stderr.clone()).unwrap()
    }

    /// The message of a run that was refused: exit code 2, nothing on standard output, no panic.
    #[track_caller]
    pub(crate) fn expect_refusal(&self) -> String {
        let message = String::from_utf8_lossy(&self.0.stderr).into_owned();
        assert_eq!(self.0.status.code(), Some(2), "{message}");
        assert!(self.0.stdout.is_empty() && !message.contains("panicked"), "{message}");
        message
    }
}

/// The values of an f32 `.npy` file.
pub(crate) fn values(path: &Path) -> Vec<f32> {
    values_in(&std::fs::read(path).unwrap())
}

/// The same of its bytes.
pub(crate) fn values_in(file: &[u8]) -> Vec<f32> {
    npyz::NpyFile::new(file).unwrap().into_vec().unwrap()
}
