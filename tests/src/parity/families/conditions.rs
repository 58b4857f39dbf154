//! What the notes of a case say of its conditions.

mod told;

use anyhow::{Context, Result};
use ndarray::{ArrayD, Axis};
use tweedie_schedules::NoiseLevel;
use tweedie_score::{ConditionGradient, ScoreError, Times};

use crate::parity::formula::{Dual, Formula};
use crate::parity::{Case, Fields};

pub(super) use told::Told;

type State = ArrayD<f64>;

/// The parts of the notes that say one thing each.
fn clauses(case: &Case) -> impl Iterator<Item = String> {
    let one_form = |note: &String| note.replace(" is ", " = ").replace(": ", " = ");
    let notes: Vec<String> = case.notes.iter().map(one_form).collect();
    let parts = |note: String| note.split(';').map(str::to_owned).collect::<Vec<_>>();
    notes.into_iter().flat_map(parts)
}

/// Each `left = right` of the notes, the left side in small letters.
fn statements(case: &Case) -> Vec<(String, String)> {
    let of = |clause: String| {
        let at: Vec<usize> = clause.match_indices('=').map(|(at, _)| at).collect();
        let sides = |at: usize| (clause[..at].to_lowercase(), clause[at + 1..].to_owned());
        at.into_iter().map(sides).collect::<Vec<_>>()
    };
    clauses(case).flat_map(of).collect()
}

/// The values of a name, as an input or an option has them, or a note: `y = (0.3, -0.2)`.
fn defined(case: &Case, name: &str) -> Option<Vec<f64>> {
    let fields = [&case.inputs, case.options(), &case.sampler.step_options];
    let given = |fields: &&Fields| {
        fields.numbers(name).or_else(|_| fields.f64(name).map(|value| vec![value])).ok()
    };
    let stated = |(left, right): &(String, String)| {
        let before = left.trim_end().strip_suffix(&name.to_lowercase())?;
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            return None; // the end of a longer name
        }
        match Formula::at_start_of(right, &|_| false)? {
            Formula::Constant(values) => Some(values),
            sum => Some(sum.at(1, &|_| None)?.iter().map(|dual| dual.value).collect()),
        }
    };
    fields.iter().find_map(given).or_else(|| statements(case).iter().find_map(stated))
}

/// The values of the names that every formula may have.
fn common(name: &str, x: &[Dual], level: NoiseLevel) -> Option<Vec<Dual>> {
    match name {
        "x" | "x_t" => Some(x.to_vec()),
        "alpha" => Some(vec![Dual::flat(level.alpha); x.len()]),
        "sigma" => Some(vec![Dual::flat(level.sigma); x.len()]),
        _ => None,
    }
}

fn is_common(name: &str) -> bool {
    matches!(name, "x" | "x_t" | "alpha" | "sigma")
}

fn flat(values: &[f64], len: usize) -> Vec<Dual> {
    values.iter().map(|&value| Dual::flat(value)).cycle().take(len).collect()
}

/// A classifier: the gradient of its log probability, or that itself, as the notes state it.
pub(super) struct Pull<'a> {
    case: &'a Case,
    formula: Formula,
    is_gradient: bool,
}

impl<'a> Pull<'a> {
    pub(super) fn of(case: &'a Case) -> Result<Self> {
        let read = |(left, right): &(String, String)| {
            let is_gradient = left.contains("grad") || left.contains("cond_fn");
            let is_log = left.contains("log") && !left.contains("log_");
            if !is_gradient && !is_log {
                return None;
            }
            let knows = |name: &str| is_common(name) || defined(case, name).is_some();
            let formula = Formula::at_start_of(right, &knows)?;
            let depends = formula.has("x") || formula.has("x_t");
            depends.then_some(Self { case, formula, is_gradient })
        };
        statements(case).iter().find_map(read).context("no note states the classifier")
    }
}

impl ConditionGradient<State> for Pull<'_> {
    fn log_gradient(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let mut gradient = x.clone();
        for (index, mut item) in gradient.axis_iter_mut(Axis(0)).enumerate() {
            let x: Vec<Dual> = item.iter().map(|&value| Dual { value, slope: 1.0 }).collect();
            let level = at.of(index).level;
            let named = |name: &str| {
                let stated = || defined(self.case, name).map(|values| flat(&values, x.len()));
                common(name, &x, level).or_else(stated)
            };
            let duals = self.formula.at(x.len(), &named).ok_or_else(unknown_name)?;
            for (value, dual) in item.iter_mut().zip(duals) {
                *value = if self.is_gradient { dual.value } else { dual.slope };
            }
        }
        Ok(gradient)
    }
}

fn unknown_name() -> ScoreError {
    ScoreError::Network("the formula of a condition has an unknown name".into())
}
