//! `cargo xtask test`: every test of the workspace, documentation tests included.

use crate::environment::Environment;
use crate::process;
use crate::workspace;
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;

/// What `cargo xtask test` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Handed on to `cargo test --workspace`, for instance: --release, or a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// The command `test`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let environment = Environment::set_up()?;
    let mut command = workspace::cargo(Some(&environment));
    command.args(["test", "--workspace"]).args(&args.args);
    Ok(process::run(&mut command)?.exit_code())
}
