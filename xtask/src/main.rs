//! `cargo xtask`: everything the workspace needs beside cargo itself, from a fresh clone to
//! generated pictures.
//!
//! This file names the commands; each lives in a file of its own.

mod bench;
mod ci;
mod docs;
mod environment;
mod gallery;
mod libtorch;
mod process;
mod sample;
mod test;
mod tidy;
mod train;
mod tweedie;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The exit code when set-up fails or the input is wrong, as clap's own.
const BAD_INPUT: u8 = 2;

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    about = "Sets up what is missing, then trains, samples, tests, documents or measures",
    after_help = "What is missing is set up first: libtorch is looked for in LIBTORCH, in the torch of a python3 on PATH,\n\
                  in the cache (TWEEDIE_CACHE, else ~/.cache/tweedie), and fetched through pip if it is nowhere.",
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model, show what it generates, and measure it (by default on the bundled digits)
    Train(train::Args),
    /// Generate samples from a run: `tweedie sample` with the set-up done first
    Sample(sample::Args),
    /// Run every test of the workspace
    Test(test::Args),
    /// Print what plain cargo needs, as shell lines: eval "$(cargo xtask env)"
    Env,
    /// Build the book and the API documentation
    Docs(docs::Args),
    /// Measure speed, memory and quality, beside a peer if asked
    Bench(Box<bench::Args>),
    /// Draw the pictures of the book's gallery from the bundled digits, and write its page
    Gallery(gallery::Args),
    /// Check the rules of the house that the compiler does not know
    Tidy,
    /// Run what continuous integration runs, and more: format, clippy, tests, docs, tidy
    Ci,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Train(args) => train::run(&args),
        Command::Sample(args) => sample::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Env => environment::print(),
        Command::Docs(args) => docs::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Gallery(args) => gallery::run(&args),
        Command::Tidy => tidy::run(),
        Command::Ci => ci::run(),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(BAD_INPUT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
