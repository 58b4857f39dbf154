//! Which predictions classifier-free guidance takes, and how they add up.

use crate::Condition;
use tweedie_score::Batch;

/// One prediction that may be taken: without a condition, or with one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// One class a sample.
    pub(crate) classes: Vec<Option<usize>>,
    /// Weight in the guided prediction.
    pub(crate) weight: f64,
    /// Weight in the conditional prediction: what guidance starts from, and what is left where it does
    /// not act.
    pub(crate) conditional: f64,
}

impl Part {
    /// From the prediction `from`, by `scale` of the way, to that of the classes asked for, which is the
    /// conditional one whatever the scale.
    pub(crate) fn on_the_way(
        from: Vec<Option<usize>>,
        asked: Vec<Option<usize>>,
        scale: f64,
    ) -> Vec<Self> {
        vec![
            Self { classes: from, weight: 1.0 - scale, conditional: 0.0 },
            Self { classes: asked, weight: scale, conditional: 1.0 },
        ]
    }

    /// Several conditions, and what they leave for no condition.
    pub(crate) fn composed(conditions: Vec<Condition>) -> Vec<Self> {
        let total: f64 = conditions.iter().map(|condition| condition.weight).sum();
        let positive: f64 = conditions.iter().map(|condition| condition.weight.max(0.0)).sum();
        let size: f64 = conditions.iter().map(|condition| condition.weight.abs()).sum();
        // weights that add up to 1 but for their rounding leave nothing
        let rounding = f64::EPSILON * (1.0 + size) * conditions.len() as f64;
        let left = if (1.0 - total).abs() <= rounding { 0.0 } else { 1.0 - total };
        let samples = conditions.first().map_or(0, |first| first.classes.len());
        let share = |weight: f64| if positive > 0.0 { weight.max(0.0) / positive } else { 0.0 };
        let null = Self {
            classes: vec![None; samples],
            weight: left,
            conditional: if positive > 0.0 { 0.0 } else { 1.0 },
        };
        let asked = conditions.into_iter().map(|Condition { classes, weight }| Self {
            classes,
            weight,
            conditional: share(weight),
        });
        std::iter::once(null).chain(asked).collect()
    }
}

/// One prediction of a batch, which counts for some sample.
pub(crate) struct Branch {
    /// One class a sample.
    pub(crate) classes: Vec<Option<usize>>,
    /// Weight in the guided prediction, one a sample.
    pub(crate) guided: Vec<f64>,
    /// Weight in the conditional prediction, one a sample.
    pub(crate) conditional: Vec<f64>,
    /// Weight of its learned variance, one a sample.
    pub(crate) variance: Vec<f64>,
}

impl Branch {
    /// All predictions that count for some sample; `acts` says for which of them guidance acts, `compared` that
    /// their guided prediction is held against the conditional one.
    pub(crate) fn all(parts: &[Part], acts: &[bool], compared: bool) -> Vec<Self> {
        // without the conditional prediction the variance is that of what is predicted
        let conditional = |part: &Part| part.conditional > 0.0;
        let told = compared || parts.iter().any(|part| conditional(part) && part.weight != 0.0);
        let of = |part: &Part| {
            let where_it_acts = |inside: f64| -> Vec<f64> {
                acts.iter().map(|acts| if *acts { inside } else { part.conditional }).collect()
            };
            Self {
                classes: part.classes.clone(),
                guided: where_it_acts(part.weight),
                conditional: vec![part.conditional; acts.len()],
                variance: where_it_acts(if told { part.conditional } else { part.weight }),
            }
        };
        let compared = compared && acts.contains(&true);
        let counts = |part: &Part, branch: &Self| {
            (compared && conditional(part)) || branch.guided.iter().any(|weight| *weight != 0.0)
        };
        let all = parts.iter().map(|part| (part, of(part)));
        all.filter(|(part, branch)| counts(part, branch)).map(|(_, branch)| branch).collect()
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
