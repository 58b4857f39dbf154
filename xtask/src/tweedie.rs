//! The program `tweedie`: built in release mode, then called.

use crate::environment::Environment;
use crate::process;
use crate::workspace;
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The built program.
#[derive(Debug)]
pub(crate) struct Tweedie {
    program: PathBuf,
}

impl Tweedie {
    /// Sets up what is missing and builds the program, if need be.
    pub(crate) fn build() -> Result<Self> {
        let environment = Environment::set_up()?;
        let mut build = workspace::cargo(Some(&environment));
        build.args(["build", "--release", "--package", "tweedie-cli"]);
        let built = process::run(&mut build)?;
        if built.is_interrupted() {
            bail!("interrupted");
        }
        if !built.is_success() {
            bail!("tweedie could not be built; the compiler's message stands above");
        }
        Ok(Self { program: workspace::target_folder()?.join("release/tweedie") })
    }

    /// A call of the program. It needs no variables: it was linked with the path of libtorch in it.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }
}
