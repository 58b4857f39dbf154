//! Deviations on purpose: where a peer's behaviour is a defect, as rules on a case's fields.

use super::Case;

/// One deviation.
struct Rule {
    /// Why the library does otherwise.
    reason: &'static str,
    /// The cases it concerns.
    concerns: fn(&Case) -> bool,
}

/// All deviations.
const RULES: &[Rule] = &[];

/// Why a case is not compared, if it is not.
#[must_use]
pub fn reason_to_skip(case: &Case) -> Option<&'static str> {
    RULES.iter().find(|rule| (rule.concerns)(case)).map(|rule| rule.reason)
}
