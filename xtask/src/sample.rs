//! `cargo xtask sample`: `tweedie sample`, with everything it needs set up and built.

use crate::process;
use crate::tweedie::Tweedie;
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;

/// What `cargo xtask sample` takes.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What `tweedie sample` takes: a run folder and options (see them with --help)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

/// The command `sample`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let tweedie = Tweedie::build()?;
    // `cargo xtask sample -- RUN` means the same as `cargo xtask sample RUN`.
    let args = args.args.iter().enumerate().filter(|(index, arg)| *index > 0 || *arg != "--");
    let mut command = tweedie.command();
    command.arg("sample").args(args.map(|(_, arg)| arg));
    Ok(process::run(&mut command)?.exit_code())
}
