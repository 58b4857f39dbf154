//! Every derivation is listed in the book, and its checks are compiled with a crate.

use super::Complaint;
use super::sources::{Source, Sources};
use anyhow::Result;
use regex_lite::Regex;

const SUMMARY: &str = "docs/SUMMARY.md";

pub(super) fn complaints(sources: &Sources) -> Result<Vec<Complaint>> {
    let listed =
        sources.get(SUMMARY).map(|summary| links(&summary.text)).transpose()?.unwrap_or_default();
    let pages = sources
        .files()
        .iter()
        .filter(|file| file.path.starts_with("docs/derivations/") && file.path.ends_with(".md"));
    let mut found = Vec::new();
    for page in pages {
        let name = page.path.trim_start_matches("docs/");
        if !listed.iter().any(|link| link.trim_start_matches("./") == name) {
            let text = format!("not listed in {SUMMARY}, every derivation is");
            found.push(Complaint::new(&page.path, 1, text));
        }
        let included = format!("include_str!(\"../../../{}\")", page.path);
        let compiled = |file: &Source| {
            file.path.ends_with("src/derivations.rs") && file.text.contains(&included)
        };
        if !sources.rust().any(compiled) {
            let text = "in no crate's src/derivations.rs, which compiles and runs its checks";
            found.push(Complaint::new(&page.path, 1, text));
        }
    }
    Ok(found)
}

/// The targets of the links in a page of Markdown.
fn links(text: &str) -> Result<Vec<String>> {
    let link = Regex::new(r"\]\(([^)#]+)")?;
    Ok(link.captures_iter(text).map(|found| found[1].trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPILED: &str = "#[doc = include_str!(\"../../../docs/derivations/ddim.md\")]\n\
                            #[doc = include_str!(\"../../../docs/derivations/lost.md\")]";

    #[test]
    fn a_derivation_that_is_not_listed_or_not_compiled_is_named() {
        let sources = Sources::of(&[
            (
                SUMMARY,
                "# Summary\n- [DDIM](derivations/ddim.md)\n- [Loss](./derivations/loss.md#top)\n",
            ),
            ("docs/derivations/ddim.md", ""),
            ("docs/derivations/lost.md", ""),
            ("docs/derivations/loss.md", ""),
            ("docs/notation.md", ""),
            ("crates/samplers/src/derivations.rs", COMPILED),
        ]);
        let found = complaints(&sources).expect("a valid pattern");
        let found: Vec<_> = found.iter().map(|found| (&found.file[..], &found.text[..3])).collect();
        assert_eq!(
            found,
            [("docs/derivations/lost.md", "not"), ("docs/derivations/loss.md", "in ")]
        );
    }
}
