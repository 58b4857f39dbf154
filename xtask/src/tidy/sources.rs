//! The text files of a checkout, and Rust code with its comments and strings taken out.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Folders that hold nothing written by hand.
const SKIPPED: [&str; 4] = ["target", "runs", "node_modules", "fixtures"];

/// Endings of the files that are read.
const ENDINGS: [&str; 6] = ["rs", "toml", "md", "py", "sh", "cpp"];

/// A text file.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path in the checkout, with `/`.
    pub(super) path: String,
    /// What it holds.
    pub(super) text: String,
}

impl Source {
    /// Whether it is Rust.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The folder under `crates/` that it lies in.
    pub(super) fn krate(&self) -> Option<&str> {
        Some(self.path.strip_prefix("crates/")?.split_once('/')?.0)
    }

    /// Its lines, with comments and the insides of strings blanked out.
    pub(super) fn code(&self) -> Vec<String> {
        code_only(&self.text).lines().map(str::to_owned).collect()
    }

    /// The number of lines before the tests that end the file.
    pub(super) fn lines_before_tests(&self) -> usize {
        self.text.lines().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(usize::MAX)
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Reads the checkout at `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        collect(root, "", &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// Every file, in order of the paths.
    pub(super) fn files(&self) -> &[Source] {
        &self.files
    }

    /// The Rust files.
    pub(super) fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The file at `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Source> {
        self.files.iter().find(|file| file.path == path)
    }

    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self { files: files.iter().map(file).collect() }
    }
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<Source>) -> Result<()> {
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let hidden = name.starts_with('.') && name != ".cargo" && name != ".ci";
        if entry.file_type()?.is_dir() {
            if !hidden && !SKIPPED.contains(&name.as_str()) && path != "docs/book" {
                collect(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if ENDINGS.contains(&name.rsplit('.').next().unwrap_or_default())
            || path == ".ci/run"
        {
            let text = fs::read_to_string(entry.path());
            files.push(Source { text: text.with_context(|| format!("cannot read {path}"))?, path });
        }
    }
    Ok(())
}

/// `source` with everything in comments, strings and character literals replaced by spaces; lines
/// stay lines.
pub(super) fn code_only(source: &str) -> String {
    let mut rest = source;
    let mut code = String::with_capacity(source.len());
    while !rest.is_empty() {
        let length = literal_or_comment(rest, code.chars().next_back());
        if length == 0 {
            let next = rest.chars().next().unwrap_or_default();
            code.push(next);
            rest = &rest[next.len_utf8()..];
        } else {
            let (blanked, after) = rest.split_at(length);
            code.extend(blanked.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// The length of the comment or literal that `text` begins with, 0 if it begins with code.
fn literal_or_comment(text: &str, before: Option<char>) -> usize {
    let up_to = |end: Option<usize>| end.unwrap_or(text.len());
    if text.starts_with("//") {
        return up_to(text.find('\n'));
    }
    if text.starts_with("/*") {
        return up_to(text.find("*/").map(|end| end + 2));
    }
    if text.starts_with('"') {
        return string_length(text);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if !in_word && let Some(length) = raw_string_length(text) {
        return length;
    }
    if text.starts_with('\'') { char_length(text) } else { 0 }
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn raw_string_length(text: &str) -> Option<usize> {
    let after_prefix = ["br", "cr", "r"].iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let inside = after_prefix.trim_start_matches('#');
    let hashes = after_prefix.len() - inside.len();
    let inside = inside.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inside.len();
    Some(inside.find(&end).map_or(text.len(), |at| start + at + end.len()))
}

/// A character literal, not a lifetime: a quote follows one character or one escape.
fn char_length(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| end + 4),
        Some((_, c)) if chars.next().is_some_and(|(_, next)| next == '\'') => 2 + c.len_utf8(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: &str) {
        let code = code_only(source);
        assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{source}");
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn comments_and_literals_are_blanked_and_code_is_kept() {
        check("a // unsafe\nb", "a b");
        check("a /* x\ny */ b", "a b");
        check(r#"f("un\"safe", 1)"#, "f( , 1)");
        check("f(r#\"a \"quoted\" b\"#, br\"x\")", "f( , )");
        check("let c = '\"'; let d = '\\''; g::<'a>(c)", "let c = ; let d = ; g::<'a>(c)");
        check("for x in xs { x }", "for x in xs { x }");
        check("\"two\nlines\" z", "z");
    }

    #[test]
    fn a_checkout_is_read_without_what_is_built_in_it() {
        let dir = tempfile::tempdir().expect("a folder");
        for file in
            ["src/lib.rs", "target/x.rs", ".git/y.md", ".ci/run", "a.png", ".cargo/config.toml"]
        {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("writable");
            fs::write(path, "x").expect("writable");
        }
        let sources = Sources::read(dir.path()).expect("readable");
        let paths: Vec<&str> = sources.files().iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".cargo/config.toml", ".ci/run", "src/lib.rs"]);
    }
}
