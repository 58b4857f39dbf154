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
const RULES: &[Rule] = &[
    Rule {
        reason: "the peer takes the square root of a logarithm and gives NaN; the library's variance \
                 is the large one, whose logarithm it is",
        concerns: |case| case.options().str_or("variance_type", "").ok() == Some("fixed_large_log"),
    },
    Rule {
        reason: "from pure noise at eta 1 nothing is kept of the noise; the peer keeps a rest of \
                 about 1e-8, the square root of a rounding error",
        concerns: |case| {
            case.sampler.name == "DDIMScheduler"
                && case.sampler.step_options.f64_or("eta", 0.0).is_ok_and(|eta| eta == 1.0)
                && case.model_calls.as_ref().is_some_and(|calls| {
                    calls.numbers("alpha").is_ok_and(|alpha| alpha.first() == Some(&0.0))
                })
        },
    },
    Rule {
        reason: "the peer weighs the curvature in the data form of the SDE with a constant of the wrong \
                 sign, which takes away the order that the curvature should add",
        concerns: |case| {
            let option = |name: &str| case.options().str_or(name, "").ok();
            case.sampler.name == "DPMSolverSinglestepScheduler"
                && option("algorithm_type") == Some("sde-dpmsolver++")
                && option("solver_type") == Some("heun")
                && case.options().usize_or("solver_order", 2).is_ok_and(|order| order == 3)
        },
    },
];

/// Why a case is not compared, if it is not.
#[must_use]
pub fn reason_to_skip(case: &Case) -> Option<&'static str> {
    RULES.iter().find(|rule| (rule.concerns)(case)).map(|rule| rule.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_on_agreement_lists_every_deviation() {
        let page = include_str!("../../../docs/parity.md");
        let table = page.lines().skip_while(|line| !line.starts_with("## Deviations"));
        let rows = table.skip_while(|line| !line.starts_with("|---")).skip(1);
        assert_eq!(rows.take_while(|line| line.starts_with('|')).count(), RULES.len());
    }
}
