//! What the lines of a file must and must not hold.

use super::Complaint;
use super::sources::{Source, Sources};
use regex_lite::Regex;

/// The one crate that may hold `unsafe`.
const UNSAFE_CRATE: &str = "torch-ext";

/// Crates whose task is to talk to a user.
const TALKING: [&str; 1] = ["cli"];

/// Crates in which only a `NoiseSource` may draw random numbers.
const SAMPLING: [&str; 3] = ["samplers", "solvers-dpm", "likelihood"];

pub(super) fn complaints(sources: &Sources) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = sources.files().iter().flat_map(trailing_space).collect();
    for source in sources.rust() {
        found.extend(first_line(source));
        found.extend(lines(source));
    }
    found
}

fn trailing_space(source: &Source) -> Vec<Complaint> {
    let ends_in_space = |line: &str| line.ends_with([' ', '\t', '\r']);
    let lines = source.text.split('\n').enumerate().filter(|(_, line)| ends_in_space(line));
    lines
        .map(|(index, _)| {
            Complaint::new(
                &source.path,
                index + 1,
                "white space at the line's end, none is allowed",
            )
        })
        .collect()
}

fn first_line(source: &Source) -> Option<Complaint> {
    let text = "the first line says what the file is, as `//! ...`";
    (!source.text.starts_with("//! ")).then(|| Complaint::new(&source.path, 1, text))
}

/// A pattern that is not allowed in code, and why.
struct Rule {
    pattern: Regex,
    reason: &'static str,
    /// Whether tests at the end of the file may break it.
    allowed_in_tests: bool,
}

fn rule(pattern: &str, reason: &'static str, allowed_in_tests: bool) -> Rule {
    let pattern = Regex::new(pattern).expect("a valid pattern");
    Rule { pattern, reason, allowed_in_tests }
}

/// The rules for a file, by where it lies.
fn rules(source: &Source) -> Vec<Rule> {
    let mut rules =
        vec![rule(r"\b(dbg|todo|unimplemented)!", "left-over of writing, none is allowed", false)];
    let krate = source.krate();
    if krate != Some(UNSAFE_CRATE) {
        rules.push(rule(
            r"\bunsafe\b",
            "unsafe outside torch-ext, where alone it is allowed",
            false,
        ));
    }
    let library = source.path.contains("/src/") && !source.path.contains("/src/bin/");
    if krate.is_some_and(|krate| !TALKING.contains(&krate)) && library {
        let reason = "a library does not print; give the value back to the caller";
        rules.push(rule(r"\be?print(ln)?!", reason, true));
    }
    if krate.is_some_and(|krate| SAMPLING.contains(&krate)) && library {
        let reason = "only a NoiseSource draws random numbers while sampling";
        rules.push(rule(
            r"\b(rand|rand_distr)::|\.?\brandn?(_like)?\(|\bmanual_seed\b",
            reason,
            true,
        ));
    }
    rules
}

fn lines(source: &Source) -> Vec<Complaint> {
    let rules = rules(source);
    let tests = source.lines_before_tests();
    let mut found = Vec::new();
    for (index, line) in source.code().iter().enumerate() {
        let broken = rules.iter().filter(|rule| rule.pattern.is_match(line));
        for rule in broken.filter(|rule| index < tests || !rule.allowed_in_tests) {
            found.push(Complaint::new(&source.path, index + 1, rule.reason));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[usize]) {
        let lines: Vec<usize> = complaints(&Sources::of(&[(path, text)]))
            .iter()
            .map(|complaint| complaint.line)
            .collect();
        assert_eq!(lines, expected, "{path}: {text}");
    }

    #[test]
    fn a_file_opens_with_its_purpose_and_no_line_ends_in_space() {
        check("crates/score/src/a.rs", "//! What it is.\nfn a() {}\n", &[]);
        check("crates/score/src/a.rs", "fn a() {}\n", &[1]);
        check("crates/score/src/a.rs", "//! What it is. \nfn a() {}\t\n", &[1, 2]);
        check("docs/a.md", "text \n", &[1]);
    }

    #[test]
    fn libraries_do_not_print_and_nothing_is_left_over() {
        check("crates/score/src/a.rs", "//! A.\nprintln!();\n/// println!()\n", &[2]);
        check("crates/cli/src/a.rs", "//! A.\nprintln!();\n", &[]);
        check("crates/unet/examples/a.rs", "//! A.\nprintln!();\n", &[]);
        check("xtask/src/a.rs", "//! A.\neprintln!();\n", &[]);
        check("crates/score/src/a.rs", "//! A.\n#[cfg(test)]\nprintln!();\ndbg!(1);\n", &[4]);
        check("tests/src/a.rs", "//! A.\ntodo!()\n", &[2]);
    }

    #[test]
    fn unsafe_lives_in_one_crate() {
        check("crates/torch-ext/src/a.rs", "//! A.\nunsafe { f() }\n", &[]);
        check(
            "crates/unet/src/a.rs",
            "//! A.\nunsafe { f() }\n// unsafe\n#![forbid(unsafe_code)]\n",
            &[2],
        );
    }

    #[test]
    fn samplers_draw_through_their_noise_source() {
        check(
            "crates/samplers/src/a.rs",
            "//! A.\nlet z = Tensor::randn_like(&x);\nuse rand::Rng;\n",
            &[2, 3],
        );
        check("crates/samplers/src/a.rs", "//! A.\nlet z = noise.normal_like(&x)?;\n", &[]);
        check("crates/score/src/a.rs", "//! A.\nuse rand::Rng;\n", &[]);
    }
}
