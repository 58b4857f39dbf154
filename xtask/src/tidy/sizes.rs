//! How long files and functions are: reported, for a reviewer to ask about; nothing fails.

use super::sources::{Source, Sources};

/// A file longer than this wants splitting by concept.
const FILE_LINES: usize = 500;

/// A function longer than this is a question for review.
const FUNCTION_LINES: usize = 60;

pub(super) fn remarks(sources: &Sources) -> Vec<String> {
    let mut remarks = Vec::new();
    for source in sources.rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES {
            remarks.push(format!("{}:1: {lines} lines, {FILE_LINES} is the ceiling", source.path));
        }
        remarks.extend(long_functions(source));
    }
    remarks
}

/// In formatted code a function ends at the first closing brace that is indented as its first line
/// is.
fn long_functions(source: &Source) -> Vec<String> {
    let code = source.code();
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let last = code[start + 1..].iter().position(|line| {
            let inside = line.strip_prefix(indent);
            inside
                .is_some_and(|rest| rest.starts_with([')', '}']) && !rest.trim_end().ends_with('{'))
        });
        let length = last.map_or(0, |at| at + 2);
        if length > FUNCTION_LINES {
            found.push(format!(
                "{}:{}: fn {name} has {length} lines, {FUNCTION_LINES} is a question",
                source.path,
                start + 1
            ));
        }
    }
    found
}

/// The name of the function with a body that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifiers =
        ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern", "default"];
    let declared = before.split_whitespace().all(|word| qualifiers.contains(&word));
    let one_line = line.trim_end().ends_with([';', '}']);
    let name = after.split(['(', '<']).next()?;
    (declared && !one_line && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_function_is_reported_and_a_long_signature_is_part_of_it() {
        let body = "        x();\n".repeat(58);
        let text = |body: &str| {
            format!("impl A {{\n    pub fn long(\n        x: u8,\n    ) {{\n{body}    }}\n}}\n")
        };
        let remarks_of = |text: &str| remarks(&Sources::of(&[("a.rs", text)]));
        assert_eq!(remarks_of(&text(&body)), ["a.rs:2: fn long has 62 lines, 60 is a question"]);
        assert!(remarks_of(&text(&body[..56 * 13])).is_empty());
    }

    #[test]
    fn a_declaration_without_a_body_is_not_long() {
        let declared = "unsafe extern \"C\" {\n    fn f(\n        x: u8,\n    ) -> u8;\n";
        let text = format!("{declared}{}    fn g();\n}}\n", "    fn h();\n".repeat(80));
        assert!(remarks(&Sources::of(&[("a.rs", &text)])).is_empty());
    }

    #[test]
    fn a_long_file_is_reported() {
        let text = "// x\n".repeat(501);
        assert_eq!(
            remarks(&Sources::of(&[("a.rs", &text)])),
            ["a.rs:1: 501 lines, 500 is the ceiling"]
        );
    }
}
