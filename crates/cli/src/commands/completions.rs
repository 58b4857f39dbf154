//! `tweedie completions`: what the Tab key should know.

use crate::arguments::Arguments;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::process::ExitCode;

/// Print a shell's completion script
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  source <(tweedie completions bash)")]
pub(crate) struct Options {
    /// The shell to write for
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "tweedie", &mut script);
    crate::print::line(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
