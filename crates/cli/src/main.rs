//! `tweedie`: trains, samples and evaluates diffusion models.

mod arguments;
mod arrays;
mod commands;
mod counted;
mod device;
mod drawing;
mod flow;
mod generate;
mod guide;
mod inputs;
mod inverse;
mod latents;
mod ledger;
mod output;
mod precision;
mod print;
mod progress;
mod registry;
mod run;
mod stop;
mod threads;

use arguments::Command;
use clap::{CommandFactory, FromArgMatches};
use std::process::ExitCode;

/// Anything the user can mend: bad input, a missing file, a full disk.
const USER_ERROR: u8 = 2;

/// What `--version` prints; the device is looked for only when it is asked for, since that takes time.
fn version() -> &'static str {
    let asked = std::env::args_os().any(|argument| argument == "--version" || argument == "-V");
    if asked { device::version().leak() } else { env!("CARGO_PKG_VERSION") }
}

fn main() -> ExitCode {
    let matches = arguments::Arguments::command().version(version()).get_matches();
    let arguments = match arguments::Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    if arguments.command.computes() {
        threads::wait_patiently();
    }
    let outcome = match arguments.command {
        Command::Train(options) => commands::train::run(&options),
        Command::Sample(options) => commands::sample::run(&options),
        Command::Inpaint(options) => commands::inpaint::run(&options),
        Command::Colorize(options) => commands::colorize::run(&options),
        Command::Restore(options) => commands::restore::run(&options),
        Command::Evaluate(options) => commands::evaluate::run(&options),
        Command::Likelihood(options) => commands::likelihood::run(&options),
        Command::Encode(options) => commands::encode::run(&options),
        Command::Decode(options) => commands::decode::run(&options),
        Command::Interpolate(options) => commands::interpolate::run(&options),
        Command::Convert(options) => commands::convert::run(&options),
        Command::Model(options) => commands::model::run(&options),
        Command::Data(options) => commands::data::run(&options),
        Command::Plan(options) => commands::plan::run(&options),
        Command::Schedule(options) => commands::schedule::run(&options),
        Command::Completions(options) => commands::completions::run(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(USER_ERROR)
    })
}
