//! Which predictions classifier-free guidance takes, and how they add up.

use crate::Condition;
use tweedie_score::Batch;

/// One prediction of a batch: without a condition, or with one.
pub(crate) struct Branch {
    /// One class a sample.
    pub(crate) classes: Vec<Option<usize>>,
    /// Weight in the guided prediction, one a sample.
    pub(crate) guided: Vec<f64>,
    /// Weight in the conditional prediction: what guidance starts from, and what is left where it does
    /// not act.
    pub(crate) conditional: Vec<f64>,
}

impl Branch {
    /// All predictions that count for some sample; `acts` says for which of them guidance acts.
    pub(crate) fn all(conditions: &[Condition], acts: &[bool]) -> Vec<Self> {
        let total: f64 = conditions.iter().map(|condition| condition.weight).sum();
        let positive: f64 = conditions.iter().map(|condition| condition.weight.max(0.0)).sum();
        let of = |classes: Vec<Option<usize>>, weight: f64, conditional: f64| Self {
            classes,
            guided: acts.iter().map(|acts| if *acts { weight } else { conditional }).collect(),
            conditional: vec![conditional; acts.len()],
        };
        let null = vec![None; acts.len()];
        let mut branches = vec![of(null, 1.0 - total, if positive > 0.0 { 0.0 } else { 1.0 })];
        branches.extend(conditions.iter().map(|Condition { classes, weight }| {
            let share = if positive > 0.0 { weight.max(0.0) / positive } else { 0.0 };
            of(classes.clone(), *weight, share)
        }));
        branches.retain(|branch| branch.guided.iter().any(|weight| *weight != 0.0));
        branches
    }

    /// The sum of the branches' predictions by these weights.
    pub(crate) fn sum<S: Batch>(
        branches: &[Self],
        parts: &[S],
        weights: impl Fn(&Self) -> &Vec<f64>,
    ) -> S {
        let alike = |weights: &Vec<f64>| weights.iter().all(|weight| *weight == weights[0]);
        if branches.iter().all(|branch| alike(weights(branch))) {
            let shared = branches.iter().map(|b| weights(b).first().copied().unwrap_or(0.0));
            return S::combine(&shared.zip(parts).collect::<Vec<_>>());
        }
        let scaled: Vec<S> = branches
            .iter()
            .zip(parts)
            .map(|(branch, part)| part.scale_each(weights(branch)))
            .collect();
        S::combine(&scaled.iter().map(|part| (1.0, part)).collect::<Vec<_>>())
    }
}
