//! Names of files and things: one concept a file, and one word for each thing.

use super::Complaint;
use super::sources::{Source, Sources};

/// Module names that name no concept.
const BARE: [&str; 7] = ["utils", "util", "common", "helpers", "helper", "types", "misc"];

/// Words that mix several things up, and what to say in their place.
const WORDS: [(&str, &str); 2] = [
    ("scheduler", "it mixes schedule, grid and solver; say which"),
    ("model_output", "say which prediction it is"),
];

pub(super) fn complaints(sources: &Sources) -> Vec<Complaint> {
    let mut found: Vec<Complaint> = sources.rust().filter_map(file_name).collect();
    found.extend(sources.rust().flat_map(words));
    found
}

fn file_name(source: &Source) -> Option<Complaint> {
    let stem = source.path.trim_end_matches(".rs");
    // In a folder of integration tests every `x.rs` is a program; cargo itself wants `x/mod.rs` there.
    let shared_by_tests = stem.starts_with("tests/") || stem.contains("/tests/");
    if stem.ends_with("/mod") && !shared_by_tests {
        let text = "a module with children is x.rs beside x/, no mod.rs";
        return Some(Complaint::new(&source.path, 1, text));
    }
    let bare = stem.split('/').find(|part| BARE.contains(part))?;
    let text = format!("a module named {bare} says nothing; name the concept");
    Some(Complaint::new(&source.path, 1, text))
}

fn words(source: &Source) -> Vec<Complaint> {
    let mut found = Vec::new();
    for (index, line) in source.code().iter().enumerate() {
        let lower = line.to_lowercase();
        for (word, remedy) in WORDS {
            if lower.contains(word) {
                let text = format!("the name `{word}`: {remedy}");
                found.push(Complaint::new(&source.path, index + 1, text));
            }
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
    fn bare_module_names_are_refused() {
        check("crates/score/src/utils.rs", "", &[1]);
        check("crates/score/src/helpers/noise.rs", "", &[1]);
        check("crates/score/src/batch/mod.rs", "", &[1]);
        check("crates/score/src/types_of_noise.rs", "", &[]);
        check("crates/cli/tests/program/mod.rs", "", &[]);
        check("crates/cli/tests/common/mod.rs", "", &[1]);
    }

    #[test]
    fn forbidden_words_are_refused_in_code_and_allowed_in_prose() {
        check(
            "crates/score/src/a.rs",
            "//! No scheduler here.\nlet lr_scheduler = 1;\nstruct DdpmScheduler;",
            &[2, 3],
        );
        check("crates/score/src/a.rs", "let name = \"scheduler_config.json\";", &[]);
        check("crates/score/src/a.rs", "let model_output = x;", &[1]);
    }
}
