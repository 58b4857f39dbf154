//! `cargo xtask ci`: every check in turn, the same here and on the build machine; all of them run,
//! then the verdict.

use crate::docs;
use crate::environment::Environment;
use crate::process;
use crate::tidy;
use crate::workspace;
use anyhow::Result;
use std::process::{Command, ExitCode};

/// How one check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped(&'static str),
}

/// The command `ci`.
pub(crate) fn run() -> Result<ExitCode> {
    let mut verdicts = Vec::new();
    for (name, mut command) in checks_without_libtorch() {
        verdicts.push((name, verdict(name, &mut command)?));
    }
    let environment = Environment::set_up()?;
    for (name, mut command) in checks_with_libtorch(&environment) {
        verdicts.push((name, verdict(name, &mut command)?));
    }
    verdicts.push(("docs", documentation()?));
    eprintln!("\n== tidy");
    let tidy = if tidy::check()? { Verdict::Passed } else { Verdict::Failed };
    verdicts.push(("tidy", tidy));
    Ok(report(&verdicts))
}

fn checks_without_libtorch() -> Vec<(&'static str, Command)> {
    let mut format = workspace::cargo(None);
    format.args(["fmt", "--all", "--", "--check"]);
    // The default members need no libtorch; that it is absent is the point here.
    let mut tests = workspace::cargo(None);
    tests.arg("test").env_remove("LIBTORCH");
    let mut oracles = workspace::cargo(None);
    oracles
        .args(["test", "--package", "tweedie-tests", "--no-default-features"])
        .env_remove("LIBTORCH");
    vec![
        ("format", format),
        ("tests without libtorch", tests),
        ("oracles without libtorch", oracles),
    ]
}

fn checks_with_libtorch(environment: &Environment) -> Vec<(&'static str, Command)> {
    let mut clippy = workspace::cargo(Some(environment));
    clippy.args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]);
    let mut tests = workspace::cargo(Some(environment));
    tests.args(["test", "--workspace"]);
    vec![("clippy", clippy), ("tests", tests)]
}

fn documentation() -> Result<Verdict> {
    if !docs::tools_are_here()? {
        return Ok(Verdict::Skipped("its tools are fetched by cargo xtask docs"));
    }
    eprintln!("\n== docs");
    Ok(if docs::build()?.is_some() { Verdict::Passed } else { Verdict::Failed })
}

fn verdict(name: &str, command: &mut Command) -> Result<Verdict> {
    eprintln!("\n== {name}");
    Ok(if process::run(command)?.is_success() { Verdict::Passed } else { Verdict::Failed })
}

fn report(verdicts: &[(&str, Verdict)]) -> ExitCode {
    eprintln!();
    for (name, verdict) in verdicts {
        match verdict {
            Verdict::Passed => eprintln!("passed   {name}"),
            Verdict::Failed => eprintln!("FAILED   {name}"),
            Verdict::Skipped(reason) => eprintln!("skipped  {name}: {reason}"),
        }
    }
    let failed = verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Failed);
    ExitCode::from(u8::from(failed))
}
