//! `cargo xtask docs`: the book with its mathematics rendered, and the API documentation, under one
//! folder.
//!
//! The tools are pinned and built into the cache at the first call; nothing else ever needs them.

mod offline;

use crate::environment::Environment;
use crate::libtorch::Cache;
use crate::process;
use crate::workspace;
use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A program that the book is built with.
#[derive(Debug, Clone, Copy)]
struct Tool {
    name: &'static str,
    version: &'static str,
    /// More for `cargo install`: what is left out here only serves a web server.
    options: &'static [&'static str],
}

const TOOLS: [Tool; 2] = [
    Tool {
        name: "mdbook",
        version: "0.5.3",
        options: &["--no-default-features", "--features", "search"],
    },
    Tool { name: "mdbook-katex", version: "0.10.0", options: &[] },
];

/// What `cargo xtask docs` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// The command `docs`.
pub(crate) fn run(_args: &Args) -> Result<ExitCode> {
    install_missing()?;
    let Some(index) = build()? else {
        return Ok(ExitCode::FAILURE);
    };
    println!("{}", index.display());
    Ok(ExitCode::SUCCESS)
}

/// Whether the tools have been fetched before.
pub(crate) fn tools_are_here() -> Result<bool> {
    let cache = Cache::of_user()?;
    Ok(TOOLS.iter().all(|tool| tool.program(&cache).is_file()))
}

impl Tool {
    fn folder(&self, cache: &Cache) -> PathBuf {
        cache.tool(self.name, self.version)
    }

    fn program(&self, cache: &Cache) -> PathBuf {
        self.folder(cache).join("bin").join(self.name)
    }

    /// Builds the tool; cargo installs the finished program in one step, so a broken-off build
    /// leaves none.
    fn install(&self, cache: &Cache) -> Result<()> {
        eprintln!("fetching {} {} (once, a few minutes)", self.name, self.version);
        let mut command = workspace::cargo(None);
        command
            .args(["install", self.name, "--version", self.version, "--locked", "--root"])
            .arg(self.folder(cache))
            .args(self.options)
            .env("CARGO_TARGET_DIR", cache.root().join("tools/target"))
            .env_remove("RUSTFLAGS");
        if process::run(&mut command)?.is_success() {
            return Ok(());
        }
        bail!(
            "{} {} could not be installed; the first `cargo xtask docs` needs the network and a C compiler",
            self.name,
            self.version
        )
    }
}

fn install_missing() -> Result<()> {
    let cache = Cache::of_user()?;
    if tools_are_here()? {
        return Ok(());
    }
    let _held = cache.lock("tools")?;
    for tool in TOOLS.iter().filter(|tool| !tool.program(&cache).is_file()) {
        tool.install(&cache)?;
    }
    let leftover = cache.root().join("tools/target");
    if leftover.exists() {
        fs::remove_dir_all(&leftover)
            .with_context(|| format!("cannot remove {}", leftover.display()))?;
    }
    Ok(())
}

/// Builds everything; gives the path of the first page, or nothing when a tool complained.
pub(crate) fn build() -> Result<Option<PathBuf>> {
    let target = workspace::target_folder()?;
    let book = target.join("book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot clear {}", book.display()))?;
    }
    if !build_book(&book)? || !build_api()? {
        return Ok(None);
    }
    let api = book.join("api");
    copy_folder(&target.join("doc"), &api)?;
    fs::write(api.join("index.html"), api_index(&crates_in(&api)?))?;
    let remote = offline::remote_resources(&book)?;
    if !remote.is_empty() {
        bail!("the book would need a network when read:\n{}", remote.join("\n"));
    }
    Ok(Some(book.join("index.html")))
}

fn build_book(output: &Path) -> Result<bool> {
    let cache = Cache::of_user()?;
    let source = workspace::root().join("docs");
    if !source.join("book.toml").is_file() {
        bail!("there is no book in {}", source.display());
    }
    let [mdbook, ..] = &TOOLS;
    let mut command = std::process::Command::new(mdbook.program(&cache));
    command.arg("build").arg(&source).arg("--dest-dir").arg(output).env("PATH", tool_path(&cache)?);
    Ok(process::run(&mut command)?.is_success())
}

/// `PATH` with the tools in front: the book finds its preprocessor there.
fn tool_path(cache: &Cache) -> Result<OsString> {
    let tools = TOOLS.iter().map(|tool| tool.folder(cache).join("bin"));
    let before = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(tools.chain(env::split_paths(&before)))?)
}

fn build_api() -> Result<bool> {
    let environment = Environment::set_up()?;
    let mut command = workspace::cargo(Some(&environment));
    command.args(["doc", "--workspace", "--no-deps", "--exclude", "xtask"]);
    Ok(process::run(&mut command)?.is_success())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot write {}", target.display()))?;
        }
    }
    Ok(())
}

/// The documented crates, in order of their names.
fn crates_in(api: &Path) -> Result<Vec<String>> {
    let mut crates = Vec::new();
    for entry in fs::read_dir(api)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let documented = entry.path().join("index.html").is_file();
        if documented && name.starts_with("tweedie") {
            crates.push(name);
        }
    }
    crates.sort();
    Ok(crates)
}

/// rustdoc writes a page for each crate and none that lists them.
fn api_index(crates: &[String]) -> String {
    let items: String = crates
        .iter()
        .map(|name| format!("<li><a href=\"{name}/index.html\"><code>{name}</code></a></li>\n"))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Tweedie: the crates</title>\n\
         <style>body {{ font-family: sans-serif; margin: 2rem auto; max-width: 40rem; line-height: 1.6 }}</style></head>\n\
         <body>\n<h1>The crates</h1>\n<ul>\n{items}</ul>\n<p><a href=\"../index.html\">The book</a></p>\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_crates_links_to_each_documented_one() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["tweedie_score", "tweedie_losses", "static.files"] {
            fs::create_dir_all(dir.path().join(name)).expect("writable");
            fs::write(dir.path().join(name).join("index.html"), "").expect("writable");
        }
        fs::create_dir_all(dir.path().join("tweedie_empty")).expect("writable");
        let crates = crates_in(dir.path()).expect("readable");
        assert_eq!(crates, ["tweedie_losses", "tweedie_score"]);
        assert!(api_index(&crates).contains("href=\"tweedie_score/index.html\""));
    }

    #[test]
    fn a_folder_is_copied_with_all_it_holds() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(dir.path().join("a/b")).expect("writable");
        fs::write(dir.path().join("a/b/c"), "text").expect("writable");
        copy_folder(&dir.path().join("a"), &dir.path().join("d")).expect("copied");
        assert_eq!(fs::read_to_string(dir.path().join("d/b/c")).expect("there"), "text");
    }
}
