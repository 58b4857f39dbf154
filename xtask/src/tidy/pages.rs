//! Every derivation is listed in the book.

use super::Complaint;
use super::sources::Sources;
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
    let unlisted = pages.filter(|page| {
        let name = page.path.trim_start_matches("docs/");
        !listed.iter().any(|link| link.trim_start_matches("./") == name)
    });
    Ok(unlisted
        .map(|page| {
            Complaint::new(&page.path, 1, format!("not listed in {SUMMARY}, every derivation is"))
        })
        .collect())
}

/// The targets of the links in a page of Markdown.
fn links(text: &str) -> Result<Vec<String>> {
    let link = Regex::new(r"\]\(([^)#]+)")?;
    Ok(link.captures_iter(text).map(|found| found[1].trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derivation_that_the_summary_leaves_out_is_named() {
        let sources = Sources::of(&[
            (
                SUMMARY,
                "# Summary\n- [DDIM](derivations/ddim.md)\n- [Loss](./derivations/loss.md#top)\n",
            ),
            ("docs/derivations/ddim.md", ""),
            ("docs/derivations/lost.md", ""),
            ("docs/derivations/loss.md", ""),
            ("docs/notation.md", ""),
        ]);
        let found = complaints(&sources).expect("a valid pattern");
        let files: Vec<&str> = found.iter().map(|complaint| complaint.file.as_str()).collect();
        assert_eq!(files, ["docs/derivations/lost.md"]);
    }
}
