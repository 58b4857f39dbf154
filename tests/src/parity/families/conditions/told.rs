//! What a network answers when it is told of a condition.

use anyhow::{Result, ensure};
use ndarray::{ArrayViewD, Axis};
use tweedie_schedules::{NoiseLevel, Prediction};
use tweedie_score::{ConditionalScoreFn, ScoreError, ScoreFn, Times};

use super::{State, clauses, common, defined, flat, is_common, statements, unknown_name};
use crate::parity::formula::{Dual, Formula};
use crate::parity::{Case, Exact};

/// Names of the prediction that a condition changes.
const OUTPUT: [&str; 6] = ["eps", "epsilon", "out", "output", "noise", "model"];
/// Names of a condition.
const CONDITION: [&str; 4] = ["c", "cond", "condition", "y"];

/// What a network answers with a condition, or without one.
enum Answer<'a> {
    /// The closed form.
    Plain,
    /// A formula of it, and the values of the condition.
    Formula(Formula, Option<Vec<f64>>),
    /// The closed form of another distribution.
    Of(Exact<'a>),
}

/// The network of a case with classifier-free guidance.
pub(in super::super) struct Told<'a> {
    case: &'a Case,
    plain: &'a dyn ScoreFn<State>,
    given: Answer<'a>,
    null: Answer<'a>,
}

impl<'a> Told<'a> {
    /// The closed form `plain` with what the notes say of the condition; where they say nothing of one,
    /// the closed form is the model whatever it is told.
    pub(in super::super) fn of(case: &'a Case, plain: &'a dyn ScoreFn<State>) -> Result<Self> {
        let mut told = Self { case, plain, given: Answer::Plain, null: Answer::Plain };
        let spoken =
            |note: &String| ["cond", "class", "guid"].iter().any(|word| note.contains(word));
        let read = told.by_names()? | told.by_formulas();
        ensure!(
            read || !case.notes.iter().any(spoken),
            "the notes do not say in a known form what the condition does"
        );
        Ok(told)
    }

    fn answer(&mut self, text: &str) -> &mut Answer<'a> {
        if is_null(text) { &mut self.null } else { &mut self.given }
    }

    /// Distributions that notes or options name: `conditional: gauss_d2`.
    fn by_names(&mut self) -> Result<bool> {
        let case = self.case;
        let options = ["condition", "unconditional_condition"].into_iter().filter_map(|name| {
            let fields = [case.options(), &case.inputs, &case.sampler.step_options];
            let value = fields.into_iter().find_map(|fields| fields.str(name).ok())?;
            Some(format!("{name} {value}"))
        });
        let noted = clauses(case).flat_map(|clause| {
            clause.replace(" and ", ",").split(',').map(str::to_owned).collect::<Vec<_>>()
        });
        let mut read = false;
        for text in options.chain(noted).filter(|text| is_null(text) || text.contains("cond")) {
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(mixture) = words.find_map(|word| case.mixture_named(word)) {
                *self.answer(&text) = Answer::Of(Exact::new(mixture, case.prediction()?));
                read = true;
            }
        }
        Ok(read)
    }

    /// Formulas that the notes state: `eps(x,t,c) = eps(x,t) + 0.1*c`, `the condition adds 0.1`.
    fn by_formulas(&mut self) -> bool {
        let case = self.case;
        let knows = |name: &str| {
            is_common(name)
                || OUTPUT.contains(&name)
                || CONDITION.contains(&name)
                || defined(case, name).is_some()
        };
        let mut read = false;
        let about = |text: &str| {
            let arguments = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            is_null(text) || text.contains("cond") || arguments.into_iter().any(|word| word == "c")
        };
        for (left, right) in statements(case).iter().filter(|(left, _)| about(left)) {
            let formula = Formula::at_start_of(right, &knows);
            if let Some(formula) = formula.filter(|f| OUTPUT.iter().any(|name| f.has(name))) {
                read |= self.put(left, formula);
            }
        }
        for clause in clauses(case).map(|clause| clause.to_lowercase()).filter(|text| about(text)) {
            let Some((_, added)) = clause.split_once("adds ").or(clause.split_once("shifted by "))
            else {
                continue;
            };
            if let Some(added) = Formula::at_start_of(added, &knows) {
                let output = Formula::Name("eps".to_owned());
                let sum = Formula::Pair('+', Box::new(output), Box::new(added));
                read |= self.put(&clause, sum);
            }
        }
        read
    }

    /// Keeps a formula: of the condition for both answers, without one for that which `text` is about.
    fn put(&mut self, text: &str, formula: Formula) -> bool {
        if !CONDITION.iter().any(|name| formula.has(name)) {
            *self.answer(text) = Answer::Formula(formula, None);
            return true;
        }
        let given =
            ["condition", "cond", "c", "y"].iter().find_map(|name| defined(self.case, name));
        let null = ["unconditional_condition", "uncond", "null"];
        let null = null.iter().find_map(|name| defined(self.case, name));
        let read = given.is_some();
        self.given = Answer::Formula(formula.clone(), given);
        if let Some(null) = null {
            self.null = Answer::Formula(formula, Some(null));
        }
        read
    }
}

fn is_null(text: &str) -> bool {
    let text = text.to_lowercase();
    ["uncond", "null", "without"].iter().any(|word| text.contains(word))
}

impl Told<'_> {
    /// The value of `formula` for one item, of which `plain` is what the closed form predicts.
    fn changed(
        &self,
        formula: &Formula,
        plain: &ArrayViewD<'_, f64>,
        x: &ArrayViewD<'_, f64>,
        level: NoiseLevel,
        condition: &[f64],
    ) -> Result<Vec<Dual>, ScoreError> {
        let duals = |item: &ArrayViewD<'_, f64>| -> Vec<Dual> {
            item.iter().map(|&value| Dual::flat(value)).collect()
        };
        let (plain, x) = (duals(plain), duals(x));
        let named = |name: &str| match name {
            _ if OUTPUT.contains(&name) => Some(plain.clone()),
            _ if CONDITION.contains(&name) => Some(flat(condition, x.len())),
            _ => {
                common(name, &x, level).or_else(|| Some(flat(&defined(self.case, name)?, x.len())))
            }
        };
        formula.at(x.len(), &named).ok_or_else(unknown_name)
    }
}

/// The values of a condition for item `index` of `batch` items of `len` values: its own, or all items'.
fn of_item(values: &[f64], index: usize, batch: usize, len: usize) -> &[f64] {
    match values.len() {
        count if count == batch * len => &values[index * len..(index + 1) * len],
        count if count == batch => &values[index..=index],
        _ => values,
    }
}

impl ConditionalScoreFn<State> for Told<'_> {
    fn prediction(&self) -> Prediction {
        self.plain.prediction()
    }

    /// In one evaluation of the closed form, as the recorded network is asked once for both answers.
    fn predict_given(
        &self,
        x: &State,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<State, ScoreError> {
        let batch =
            self.case.start().map_err(|error| ScoreError::Network(error.into()))?.shape()[0];
        let plain = self.plain.predict(x, at)?;
        let mut output = plain.clone();
        for (index, mut item) in output.axis_iter_mut(Axis(0)).enumerate() {
            match if conditions[index].is_some() { &self.given } else { &self.null } {
                Answer::Plain => {}
                Answer::Of(exact) => {
                    item.assign(&exact.predict(x, at)?.index_axis(Axis(0), index));
                }
                Answer::Formula(formula, condition) => {
                    let condition = condition.as_deref().unwrap_or_default();
                    let condition = of_item(condition, index % batch, batch, item.len());
                    let item_of = |state: &'_ State| state.index_axis(Axis(0), index).to_owned();
                    let (plain, x) = (item_of(&plain), item_of(x));
                    let level = at.of(index).level;
                    let values =
                        self.changed(formula, &plain.view(), &x.view(), level, condition)?;
                    item.iter_mut().zip(values).for_each(|(value, dual)| *value = dual.value);
                }
            }
        }
        Ok(output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parity::CaseFile;
    use tweedie_guidance::ClassifierFree;
    use tweedie_schedules::TimePoint;

    /// What a case with these notes and inputs predicts at scale 2, less the plain prediction.
    fn guided(notes: &str, inputs: &str) -> Result<Vec<f64>> {
        let text = format!(
            r#"{{"mixtures": {{
                "one": {{"dim": 1, "shape": [1], "weights": [1], "means": [[0.5]], "stds": [0.2]}},
                "other": {{"dim": 1, "shape": [1], "weights": [1], "means": [[0.1]], "stds": [0.2]}}}},
            "cases": [{{"id": "", "peer": "", "family": "", "kind": "sample", "dtype": "float64",
                "mixture": "one", "model": "epsilon", "notes": {notes}, "outputs": {{}},
                "inputs": {{"x_T": {{"shape": [2, 1], "data": [0.5, -0.25]}}{inputs}}}}}]}}"#
        );
        let case = &CaseFile::parse(&text)?.cases[0];
        let level = NoiseLevel { alpha: 0.8, sigma: 0.6 };
        let at = Times::Shared(TimePoint { t: 0.5, level });
        let (x, model) = (case.start()?, case.model()?);
        let plain = model.predict(&x, at)?;
        let free = ClassifierFree::new(Told::of(case, &model)?, vec![Some(0); 2], 2.0)?;
        let off = free.predict(&x, at)? - plain;
        assert_eq!(model.evaluations(), 2, "one for both answers");
        Ok(off.iter().copied().collect())
    }

    fn near(got: Result<Vec<f64>>, expected: [f64; 2]) {
        let got = got.unwrap();
        assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{got:?}");
    }

    #[test]
    fn conditions_are_read_in_each_of_their_forms() {
        near(guided("[]", ""), [0.0; 2]);
        near(guided(r#"["conditional eps = eps + 0.1"]"#, ""), [0.2; 2]);
        near(guided(r#"["the condition adds 0.1*x to epsilon"]"#, ""), [0.1, -0.05]);
        near(guided(r#"["uncond: eps(x,t) - 0.1; cond: eps(x,t)"]"#, ""), [0.1; 2]);
        let of_c = r#"["eps(x,t,c) = eps(x,t) + 0.1*c"]"#;
        let given = r#", "condition": [1, 3], "unconditional_condition": [0, -1]"#;
        near(guided(of_c, given), [0.2, 0.7]);
        let in_notes =
            r#"["model(x,t,c) = eps + 0.1*c", "condition = 2, unconditional_condition=-1"]"#;
        near(guided(in_notes, ""), [0.5; 2]);
        // a normal distribution predicts sigma (x - alpha m) / (alpha^2 s^2 + sigma^2)
        let moved = 2.0 * 0.6 * 0.8 * 0.4 / (0.64 * 0.04 + 0.36);
        near(guided(r#"["conditional model: mixture other, unconditional: one"]"#, ""), [moved; 2]);
    }

    #[test]
    fn a_condition_in_words_alone_is_refused() {
        let error = guided(r#"["the condition turns the picture"]"#, "").unwrap_err();
        let text = "the notes do not say in a known form what the condition does";
        assert_eq!(error.to_string(), text);
    }
}
