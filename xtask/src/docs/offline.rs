//! Does a built page load anything from the network? Links that a reader may follow are no matter.

use anyhow::Result;
use regex_lite::Regex;
use std::fs;
use std::path::Path;

/// Every page below `folder` (but rustdoc's own) that loads a style, a script, an image or a font
/// from elsewhere, as "page: address".
pub(super) fn remote_resources(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // rustdoc writes its pages to be read without a network.
            if !path.ends_with("book/api") {
                found.extend(remote_resources(&path)?);
            }
        } else if path.extension().is_some_and(|ending| ending == "html" || ending == "css") {
            let text = fs::read_to_string(&path)?;
            let addresses = loaded_from_elsewhere(&text)?;
            found.extend(addresses.iter().map(|address| format!("{}: {address}", path.display())));
        }
    }
    Ok(found)
}

fn loaded_from_elsewhere(text: &str) -> Result<Vec<String>> {
    let remote = r#"["'(]((?:https?:)?//[^"')]+)["')]"#;
    let patterns = [
        format!(r"<(?:script|img|iframe|source)\b[^>]*\bsrc={remote}"),
        // A stylesheet or a font; not the link that names a page's canonical address.
        format!(r#"<link\b[^>]*rel=["'](?:stylesheet|preload|icon)["'][^>]*\bhref={remote}"#),
        format!(r#"<link\b[^>]*\bhref={remote}[^>]*rel=["'](?:stylesheet|preload|icon)["']"#),
        r#"url\(["']?((?:https?:)?//[^"')]+)"#.to_owned(),
        r#"@import\s+["']((?:https?:)?//[^"']+)"#.to_owned(),
    ];
    let mut found = Vec::new();
    for pattern in patterns {
        let pattern = Regex::new(&pattern)?;
        found.extend(pattern.captures_iter(text).map(|found| found[1].to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(loaded_from_elsewhere(text).expect("valid patterns"), expected, "{text}");
    }

    #[test]
    fn what_a_page_loads_is_told_from_what_it_links_to() {
        check(r#"<a href="https://arxiv.org/abs/2006.11239">Ho</a>"#, &[]);
        check(r#"<link rel="stylesheet" href="css/katex.min.css">"#, &[]);
        check(r#"<link href="https://cdn.x/k.css" rel="stylesheet">"#, &["https://cdn.x/k.css"]);
        check(r#"<link rel="stylesheet" href="//cdn.x/k.css">"#, &["//cdn.x/k.css"]);
        check(r#"<script async src="https://cdn.x/k.js"></script>"#, &["https://cdn.x/k.js"]);
        check("@font-face { src: url(https://cdn.x/f.woff2) }", &["https://cdn.x/f.woff2"]);
        check("@font-face { src: url(fonts/f.woff2) }", &[]);
    }
}
