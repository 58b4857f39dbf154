//! `cargo xtask tidy`: the rules of the house that the compiler does not know. Runs as a test of
//! this package too.
//!
//! Each complaint reads `file:line: what is wrong, what is allowed`. Long files and functions are
//! reported only.

mod citations;
mod code;
mod dependencies;
mod names;
mod pages;
mod sizes;
mod sources;

use crate::workspace;
use anyhow::Result;
use sources::Sources;
use std::fmt;
use std::process::ExitCode;

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Complaint {
    file: String,
    line: usize,
    text: String,
}

impl Complaint {
    fn new(file: &str, line: usize, text: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// The command `tidy`.
pub(crate) fn run() -> Result<ExitCode> {
    Ok(if check()? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks the checkout, prints what is found, and says whether every rule holds.
pub(crate) fn check() -> Result<bool> {
    let sources = Sources::read(&workspace::root())?;
    for remark in sizes::remarks(&sources) {
        println!("note: {remark}");
    }
    let complaints = complaints(&sources)?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("tidy: {} files, {} complaints", sources.files().len(), complaints.len());
    Ok(complaints.is_empty())
}

fn complaints(sources: &Sources) -> Result<Vec<Complaint>> {
    let mut all = Vec::new();
    all.extend(names::complaints(sources));
    all.extend(code::complaints(sources));
    all.extend(dependencies::complaints(sources)?);
    all.extend(citations::complaints(sources)?);
    all.extend(pages::complaints(sources)?);
    all.sort();
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let sources = Sources::read(&workspace::root()).expect("a readable checkout");
        let complaints = complaints(&sources).expect("valid manifests");
        let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "\n{}", lines.join("\n"));
    }
}
