//! Every "Author et al. YEAR" resolves in the list of references.

use super::Complaint;
use super::sources::{Source, Sources};
use anyhow::Result;
use regex_lite::Regex;
use std::collections::BTreeSet;

const REFERENCES: &str = "docs/references.md";

/// The forms of a name: several authors, two, or one (which only a following equation or algorithm
/// tells from prose).
const FORMS: [&str; 3] = [
    r"\b([A-ZÀ-Þ][A-Za-zÀ-ɏ'-]+ et al\. (?:19|20)\d\d[a-z]?)\b",
    r"\b([A-ZÀ-Þ][A-Za-zÀ-ɏ'-]+ and [A-ZÀ-Þ][A-Za-zÀ-ɏ'-]+ (?:19|20)\d\d[a-z]?)\b",
    r"\b([A-ZÀ-Þ][A-Za-zÀ-ɏ'-]+ (?:19|20)\d\d[a-z]?), (?:eq|Alg|sec|app|Table|Fig)",
];

pub(super) fn complaints(sources: &Sources) -> Result<Vec<Complaint>> {
    let references = sources.get(REFERENCES).map_or("", |file| file.text.as_str());
    let known = |name: &str| references.lines().any(|line| states(line, name));
    let mut found = Vec::new();
    for source in sources.files().iter().filter(|file| cites(file)) {
        for (line, name) in names(&source.text)? {
            if !known(&name) {
                let text = format!("{name} is not in {REFERENCES}, where every reference stands");
                found.push(Complaint::new(&source.path, line, text));
            }
        }
    }
    Ok(found)
}

/// Files that may cite: code and the book. The tests of this file make names up.
fn cites(source: &Source) -> bool {
    let code = source.is_rust() && !source.path.ends_with("tidy/citations.rs");
    let page = source.path.starts_with("docs/") && source.path.ends_with(".md");
    code || (page && source.path != REFERENCES)
}

/// Whether `line` holds the whole `name`: "Song et al. 2021" does not stand in "Song et al. 2021b".
fn states(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let next = line[at + name.len()..].chars().next();
        !next.is_some_and(char::is_alphanumeric)
    })
}

/// The names that `text` cites, each with its line.
fn names(text: &str) -> Result<BTreeSet<(usize, String)>> {
    let forms: Vec<Regex> = FORMS.iter().map(|form| Regex::new(form)).collect::<Result<_, _>>()?;
    let mut found = BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        for form in &forms {
            for name in form.captures_iter(line).map(|name| name[1].to_owned()) {
                // "Dhariwal 2021, eq. 1" is also the end of "Nichol and Dhariwal 2021, eq. 1".
                let longer = format!("and {name}");
                if !found.iter().any(|(line, known): &(usize, String)| {
                    *line == index + 1 && known.ends_with(&longer)
                }) {
                    found.insert((index + 1, name));
                }
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: &[&str]) {
        let sources = Sources::of(&[
            (REFERENCES, "**Song et al. 2021b** arXiv\n## Ho et al. 2020\n- Vincent 2011: ...\n"),
            ("crates/score/src/a.rs", line),
        ]);
        let complaints = complaints(&sources).expect("valid patterns");
        assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
        for (complaint, name) in complaints.iter().zip(expected) {
            assert!(complaint.text.starts_with(name), "{complaint}");
        }
    }

    #[test]
    fn a_reference_resolves_only_under_its_whole_name() {
        check("// Ho et al. 2020, eq. 4", &[]);
        check("// Song et al. 2021b, eq. 9", &[]);
        check("// Song et al. 2021, eq. 9", &["Song et al. 2021 "]);
        check("/// See Ho et al. 2020 and Karras et al. 2022.", &["Karras et al. 2022"]);
        check("// Sohl-Dickstein et al. 2015, eq. 1", &["Sohl-Dickstein et al. 2015"]);
        check("// Nichol and Dhariwal 2021, eq. 17", &["Nichol and Dhariwal 2021"]);
        check("// Vincent 2011, eq. 4; Hutchinson 1990, eq. 2", &["Hutchinson 1990"]);
        check("// measured on Zen 4 in June 2024, not cited", &[]);
    }
}
