//! Comparison of what was produced with what was recorded.

use ndarray::ArrayD;
use serde_json::Value;

use super::fields::{number, tensor};
use super::{Case, Output, Produced};

/// How a case went.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// The largest error, relative to 1 + the largest absolute value of the output it is in.
    pub largest_error: f64,
    /// What is wrong, one line each.
    pub faults: Vec<String>,
}

/// Outputs of which the recording may hold the first few alone.
const PREFIXES: [&str; 1] = ["corrector_states"];

impl Verdict {
    /// Compares all outputs of a case and its number of evaluations.
    #[must_use]
    pub fn of(case: &Case, produced: &Produced) -> Self {
        let mut verdict = Self::default();
        let tolerance = match case.dtype.as_str() {
            "float64" => 1e-9,
            "mixed" => 2e-5,
            "int" => 0.0,
            other => {
                verdict.fault(format!("dtype {other} is unknown"));
                return verdict;
            }
        };
        let mut check = Check { verdict, tolerance };
        for (name, want) in &case.outputs.0 {
            if name.starts_with("exact_") || (name == "reported_nfe" && !counts(case, want)) {
                continue;
            }
            match produced.outputs.get(name) {
                Some(got) => check.output(name, got, want),
                None => check.verdict.fault(format!("{name}: not produced")),
            }
        }
        check.evaluations(case, produced);
        check.verdict
    }

    /// Whether everything agrees.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.faults.is_empty()
    }

    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }
}

/// Whether a peer's own count of evaluations is the number that were recorded.
fn counts(case: &Case, reported: &Value) -> bool {
    number(reported).ok() == case.evaluations().map(|count| count as f64)
}

struct Check {
    verdict: Verdict,
    tolerance: f64,
}

impl Check {
    fn evaluations(&mut self, case: &Case, produced: &Produced) {
        match (case.evaluations(), produced.evaluations) {
            (Some(want), Some(got)) if got != want => {
                self.verdict.fault(format!("{got} evaluations, expected {want}"));
            }
            (Some(want), None) => {
                self.verdict.fault(format!("evaluations not counted, expected {want}"));
            }
            _ => {}
        }
    }

    fn output(&mut self, name: &str, got: &Output, want: &Value) {
        match got {
            Output::Number(value) => self.leaf(name, &[*value], std::slice::from_ref(want)),
            Output::Numbers(values) => match want.as_array() {
                Some(want) => self.leaf(name, values, want),
                None => self.misfit(name, "a list of numbers", want),
            },
            Output::Tensor(values) => self.tensor(name, values, want),
            Output::Tensors(states) => {
                let wrapped: Vec<_> = states.iter().cloned().map(Output::Tensor).collect();
                self.list(name, &wrapped, want);
            }
            Output::List(items) => self.list(name, items, want),
            Output::Map(entries) => {
                let Some(want) = want.as_object() else {
                    return self.misfit(name, "named outputs", want);
                };
                for (key, want) in want {
                    match entries.get(key) {
                        Some(got) => self.output(&format!("{name}.{key}"), got, want),
                        None => self.verdict.fault(format!("{name}.{key}: not produced")),
                    }
                }
            }
            Output::Flag(flag) if want.as_bool() == Some(*flag) => {}
            Output::Text(text) if want.as_str() == Some(text) => {}
            // "nan" and "inf" are numbers, not errors
            Output::Refused(_) if want.is_string() && number(want).is_err() => {}
            Output::Flag(_) | Output::Text(_) | Output::Refused(_) => {
                self.misfit(name, &format!("{got:?}"), want);
            }
        }
    }

    fn list(&mut self, name: &str, got: &[Output], want: &Value) {
        let Some(want) = want.as_array() else {
            return self.misfit(name, "a list", want);
        };
        let fits = got.len() == want.len() || (got.len() > want.len() && PREFIXES.contains(&name));
        if !fits {
            let counts = format!("{} items, expected {}", got.len(), want.len());
            return self.verdict.fault(format!("{name}: {counts}"));
        }
        for (index, (got, want)) in got.iter().zip(want).enumerate() {
            self.output(&format!("{name}[{index}]"), got, want);
        }
    }

    fn tensor(&mut self, name: &str, got: &ArrayD<f64>, want: &Value) {
        let Ok(shaped) = tensor(want) else {
            return self.misfit(name, "a tensor", want);
        };
        if got.shape() != shaped.shape() {
            let shapes = format!("shape {:?}, expected {:?}", got.shape(), shaped.shape());
            return self.verdict.fault(format!("{name}: {shapes}"));
        }
        self.values(name, got.iter().copied(), shaped.iter().copied());
    }

    fn leaf(&mut self, name: &str, got: &[f64], want: &[Value]) {
        if got.len() != want.len() {
            let counts = format!("{} values, expected {}", got.len(), want.len());
            return self.verdict.fault(format!("{name}: {counts}"));
        }
        match want.iter().map(number).collect::<Result<Vec<_>, _>>() {
            Ok(want) => self.values(name, got.iter().copied(), want.into_iter()),
            Err(error) => self.verdict.fault(format!("{name}: {error}")),
        }
    }

    fn values(
        &mut self,
        name: &str,
        got: impl Iterator<Item = f64>,
        want: impl Iterator<Item = f64> + Clone,
    ) {
        let finite = want.clone().filter(|value| value.is_finite());
        let scale = 1.0 + finite.map(f64::abs).fold(0.0, f64::max);
        let error =
            got.zip(want).map(|(got, want)| distance(got, want)).fold(0.0, f64::max) / scale;
        self.verdict.largest_error = self.verdict.largest_error.max(error);
        if error > self.tolerance {
            self.verdict.fault(format!("{name}: error {error:.3e}"));
        }
    }

    fn misfit(&mut self, name: &str, got: &str, want: &Value) {
        let mut shown = want.to_string();
        shown.truncate(shown.char_indices().nth(60).map_or(shown.len(), |(end, _)| end));
        self.verdict.fault(format!("{name}: got {got}, expected {shown}"));
    }
}

/// Infinite where one value is not finite and the other not the same.
fn distance(got: f64, want: f64) -> f64 {
    if got == want || (got.is_nan() && want.is_nan()) {
        return 0.0;
    }
    let distance = (got - want).abs();
    if distance.is_finite() { distance } else { f64::INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn case(dtype: &str, outputs: &Value) -> Case {
        let calls = json!({"t": [1, 2], "alpha": [1, 1], "sigma": [1, 1]});
        let fields = json!({
            "id": "", "peer": "p", "family": "f", "kind": "sample", "dtype": dtype,
            "outputs": outputs, "model_calls": calls, "nfe": 7,
        });
        serde_json::from_value(fields).unwrap()
    }

    fn agrees(dtype: &str, outputs: &Value, produced: Produced) -> bool {
        Verdict::of(&case(dtype, outputs), &produced.evaluations(2)).agrees()
    }

    #[test]
    fn errors_are_relative_to_one_plus_the_largest_value() {
        let want = json!({"x": [0.0, -1e6]});
        assert!(agrees("float64", &want, Produced::new().numbers("x", vec![9e-4, -1e6])));
        assert!(!agrees("float64", &want, Produced::new().numbers("x", vec![2e-3, -1e6])));
        assert!(agrees("mixed", &want, Produced::new().numbers("x", vec![19.0, -1e6])));
        assert!(!agrees("int", &want, Produced::new().numbers("x", vec![1.0, -1e6])));
    }

    #[test]
    fn values_that_are_not_finite_must_be_the_same() {
        let want = json!({"x": ["nan", "inf"]});
        let with = |a, b| Produced::new().numbers("x", vec![a, b]);
        assert!(agrees("float64", &want, with(f64::NAN, f64::INFINITY)));
        assert!(!agrees("float64", &want, with(f64::NAN, 1.0)));
        assert!(!agrees("float64", &want, with(0.0, f64::INFINITY)));
        assert!(!agrees("float64", &json!({"x": [1, 2]}), with(1.0, f64::NAN)));
    }

    #[test]
    fn missing_outputs_wrong_shapes_and_counts_are_faults() {
        let want = json!({"x": {"shape": [1, 2], "data": [1, 2]}});
        let tensor = |shape: [usize; 2]| {
            Produced::new()
                .tensor("x", ArrayD::from_shape_vec(shape.to_vec(), vec![1.0, 2.0]).unwrap())
        };
        assert!(agrees("float64", &want, tensor([1, 2])));
        assert!(!agrees("float64", &want, tensor([2, 1])));
        assert!(!agrees("float64", &want, Produced::new()));
        let case = case("float64", &want);
        assert!(!Verdict::of(&case, &tensor([1, 2]).evaluations(3)).agrees());
        assert!(!Verdict::of(&case, &tensor([1, 2])).agrees());
    }

    #[test]
    fn an_error_of_the_peer_agrees_with_a_refusal_alone() {
        let want = json!({"x": "ValueError: no"});
        assert!(agrees("int", &want, Produced::new().refused("x", "not possible")));
        assert!(!agrees("int", &want, Produced::new().numbers("x", vec![1.0])));
        for number in [json!([1]), json!("nan"), json!("inf"), json!("-inf")] {
            let want = json!({"x": number});
            assert!(!agrees("int", &want, Produced::new().refused("x", "no")), "{want}");
        }
    }

    #[test]
    fn a_count_of_the_peers_own_is_checked_where_it_is_the_recorded_one() {
        let want = |count: usize| json!({"x": [1], "reported_nfe": count});
        let produced = || Produced::new().numbers("x", vec![1.0]);
        assert!(agrees("float64", &want(9), produced()));
        assert!(!agrees("float64", &want(2), produced()));
        assert!(agrees("float64", &want(2), produced().number("reported_nfe", 2.0)));
    }
}
