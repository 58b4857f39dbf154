//! `tweedie`: trains, samples and evaluates diffusion models.

mod arguments;
mod commands;
mod device;
mod generate;
mod output;
mod print;
mod progress;
mod registry;
mod run;

use arguments::Command;
use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// Anything the user can mend: bad input, a missing file, a full disk.
const USER_ERROR: u8 = 2;

fn main() -> ExitCode {
    let version: &'static str = device::version().leak();
    let matches = arguments::Arguments::command().version(version).get_matches();
    let arguments = match arguments::Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let outcome = match arguments.command {
        Command::Train(options) => commands::train::run(&options),
        Command::Sample(options) => commands::sample::run(&options),
        Command::Evaluate(options) => commands::evaluate::run(&options),
        Command::Data(options) => commands::data::run(&options),
        Command::Completions(options) => commands::completions::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(USER_ERROR)
    })
}
