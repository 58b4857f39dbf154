//! Formulas as the notes of a case write them: `-0.1*||x-(0.3,-0.2)||^2`.
//!
//! A formula has a value for each value of an item, and with it the derivative by that value of `x`:
//! what the notes state is a gradient, or a log probability whose gradient is meant.

/// A value and its derivative by the value of `x` at the same place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dual {
    pub(super) value: f64,
    pub(super) slope: f64,
}

/// A formula of names, numbers and vectors.
#[derive(Clone, Debug)]
pub(super) enum Formula {
    /// A number, or a vector that is repeated over the places of an item.
    Constant(Vec<f64>),
    Name(String),
    Of(Function, Box<Self>),
    Pair(char, Box<Self>, Box<Self>),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Function {
    /// Of a value: the function, and its derivative.
    Each(fn(f64) -> f64, fn(f64) -> f64),
    /// The length of the whole item.
    Norm,
    /// The sum over the whole item.
    Sum,
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "tanh" => Function::Each(f64::tanh, |x| 1.0 - x.tanh().powi(2)),
        "exp" => Function::Each(f64::exp, f64::exp),
        "log" | "ln" => Function::Each(f64::ln, f64::recip),
        "sqrt" => Function::Each(f64::sqrt, |x| 0.5 / x.sqrt()),
        "sin" => Function::Each(f64::sin, f64::cos),
        "cos" => Function::Each(f64::cos, |x| -x.sin()),
        "norm" => Function::Norm,
        "sum" => Function::Sum,
        _ => return None,
    })
}

impl Formula {
    /// The formula that `text` begins with, as far as it goes; `knows` says which names it may have.
    pub(super) fn at_start_of(text: &str, knows: &dyn Fn(&str) -> bool) -> Option<Self> {
        Reader { rest: &plainly(text), knows }.sum()
    }

    /// The value where `x` has this one of the formula that `text` is, a remark in parentheses aside.
    pub(super) fn value_at(text: &str, x: f64) -> Option<f64> {
        let text = plainly(text);
        let mut reader = Reader { rest: &text, knows: &|name| name == "x" };
        let formula = reader.sum()?;
        let rest = reader.rest.trim_start();
        let x = |_: &str| Some(vec![Dual::flat(x)]);
        (rest.is_empty() || rest.starts_with('(')).then(|| Some(formula.at(1, &x)?[0].value))?
    }

    /// Whether it has this name in it.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Name(own) => own == name,
            Self::Of(_, inner) => inner.has(name),
            Self::Pair(_, left, right) => left.has(name) || right.has(name),
        }
    }

    /// Its values at the `len` places of an item; `named` has the values of names.
    pub(super) fn at(
        &self,
        len: usize,
        named: &dyn Fn(&str) -> Option<Vec<Dual>>,
    ) -> Option<Vec<Dual>> {
        match self {
            Self::Constant(values) => {
                Some(values.iter().map(|&value| Dual::flat(value)).cycle().take(len).collect())
            }
            Self::Name(name) => named(name),
            Self::Of(function, inner) => Some(function.of(inner.at(len, named)?)),
            Self::Pair(operation, left, right) => {
                let (left, right) = (left.at(len, named)?, right.at(len, named)?);
                Some(left.iter().zip(&right).map(|(a, b)| a.with(*operation, *b)).collect())
            }
        }
    }
}

impl Function {
    fn of(self, inner: Vec<Dual>) -> Vec<Dual> {
        let sum = |of: fn(&Dual) -> f64| inner.iter().map(of).sum::<f64>();
        match self {
            Self::Each(value, slope) => {
                let chain =
                    |a: Dual| Dual { value: value(a.value), slope: slope(a.value) * a.slope };
                inner.into_iter().map(chain).collect()
            }
            Self::Sum => {
                let value = sum(|a| a.value);
                inner.into_iter().map(|a| Dual { value, ..a }).collect()
            }
            Self::Norm => {
                let value = sum(|a| a.value * a.value).sqrt();
                let slope = |a: Dual| if value > 0.0 { a.value * a.slope / value } else { 0.0 };
                inner.into_iter().map(|a| Dual { value, slope: slope(a) }).collect()
            }
        }
    }
}

impl Dual {
    /// What does not depend on `x`.
    pub(super) const fn flat(value: f64) -> Self {
        Self { value, slope: 0.0 }
    }

    fn with(self, operation: char, other: Self) -> Self {
        let (Self { value: a, slope: da }, Self { value: b, slope: db }) = (self, other);
        let (value, slope) = match operation {
            '+' => (a + b, da + db),
            '-' => (a - b, da - db),
            '*' => (a * b, da * b + a * db),
            '/' => (a / b, (da - a / b * db) / b),
            _ => (a.powf(b), if da == 0.0 { 0.0 } else { b * a.powf(b - 1.0) * da }),
        };
        Self { value, slope }
    }
}

/// Reads a formula from the left, by falling precedence.
struct Reader<'a> {
    rest: &'a str,
    knows: &'a dyn Fn(&str) -> bool,
}

impl Reader<'_> {
    fn take(&mut self, wanted: &[char]) -> Option<char> {
        let rest = self.rest.trim_start();
        let first = rest.chars().next().filter(|first| wanted.contains(first))?;
        self.rest = &rest[first.len_utf8()..];
        Some(first)
    }

    fn word(&self) -> &str {
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if rest.starts_with(|c: char| c.is_alphabetic()) { &rest[..end] } else { "" }
    }

    fn skip(&mut self, length: usize) {
        self.rest = &self.rest.trim_start()[length..];
    }

    fn sum(&mut self) -> Option<Formula> {
        let mut left = self.product()?;
        while let Some(operation) = self.take(&['+', '-']) {
            left = Formula::Pair(operation, Box::new(left), Box::new(self.product()?));
        }
        Some(left)
    }

    fn product(&mut self) -> Option<Formula> {
        let mut left = self.signed()?;
        loop {
            let after_left = self.rest;
            let operation = self.take(&['*', '·', '×', '/']);
            let Some(right) = (if operation.is_some() { self.signed() } else { self.beside() })
            else {
                self.rest = after_left;
                return operation.is_none().then_some(left);
            };
            let operation = if operation == Some('/') { '/' } else { '*' };
            left = Formula::Pair(operation, Box::new(left), Box::new(right));
        }
    }

    /// A factor without a sign for the product: `2 (x - 1)`.
    fn beside(&mut self) -> Option<Formula> {
        let word = self.word();
        let stands = (self.knows)(word) || function(word).is_some();
        if stands || self.rest.trim_start().starts_with('(') { self.power() } else { None }
    }

    fn signed(&mut self) -> Option<Formula> {
        match self.take(&['+', '-']) {
            Some('-') => {
                let zero = Box::new(Formula::Constant(vec![0.0]));
                Some(Formula::Pair('-', zero, Box::new(self.signed()?)))
            }
            Some(_) => self.signed(),
            None => self.power(),
        }
    }

    fn power(&mut self) -> Option<Formula> {
        let base = self.operand()?;
        match self.take(&['^']) {
            Some(_) => Some(Formula::Pair('^', Box::new(base), Box::new(self.signed()?))),
            None => Some(base),
        }
    }

    fn operand(&mut self) -> Option<Formula> {
        if self.take(&['(', '[']).is_some() {
            return self.bracketed();
        }
        if self.take(&['|']).is_some() {
            let inner = self.sum()?;
            self.take(&['|'])?;
            if self.rest.starts_with("_2") {
                self.rest = &self.rest[2..];
            }
            return Some(Formula::Of(Function::Norm, Box::new(inner)));
        }
        let word = self.word().to_owned();
        if word.is_empty() {
            return self.number();
        }
        if let Some(function) = function(&word) {
            self.skip(word.len());
            return Some(Formula::Of(function, Box::new(self.operand()?)));
        }
        if !(self.knows)(&word) {
            return None;
        }
        self.skip(word.len());
        if self.rest.starts_with('(') {
            let end = self.rest.find(')')?; // `eps(x,t)`: what it is a function of
            self.rest = &self.rest[end + 1..];
        }
        Some(Formula::Name(word))
    }

    /// A formula in brackets, or a vector.
    fn bracketed(&mut self) -> Option<Formula> {
        let first = self.sum()?;
        if self.take(&[')', ']']).is_some() {
            return Some(first);
        }
        let mut values = vec![constant(&first)?];
        while self.take(&[',']).is_some() {
            values.push(constant(&self.sum()?)?);
        }
        self.take(&[')', ']'])?;
        Some(Formula::Constant(values))
    }

    fn number(&mut self) -> Option<Formula> {
        let rest = self.rest.trim_start();
        let part = |c: char| c.is_ascii_digit() || c == '.';
        let digits = rest.find(|c| !part(c)).unwrap_or(rest.len());
        let exponent = rest[digits..].strip_prefix(['e', 'E']).map_or(0, |power| {
            let sign = usize::from(power.starts_with(['+', '-']));
            let len = power[sign..].find(|c: char| !c.is_ascii_digit());
            let len = len.unwrap_or(power.len() - sign);
            if len > 0 { 1 + sign + len } else { 0 }
        });
        let written = &rest[..digits + exponent];
        let value = |text: &str| Some((text.parse().ok()?, text.len()));
        // or the full stop of a sentence is none of the number's
        let (value, length) = value(written).or_else(|| value(written.strip_suffix('.')?))?;
        self.skip(length);
        Some(Formula::Constant(vec![value]))
    }
}

/// Signs in one of their forms alone.
fn plainly(text: &str) -> String {
    text.replace("**", "^").replace('²', "^2").replace('−', "-").replace("||", "|")
}

/// The number that a formula without names is.
fn constant(formula: &Formula) -> Option<f64> {
    formula.at(1, &|_| None)?.first().map(|dual| dual.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values and slopes of `text` at `x = (2, -1)`.
    fn of(text: &str) -> Option<(Vec<f64>, Vec<f64>)> {
        let formula = Formula::at_start_of(text, &|name| name == "x")?;
        let x = [2.0, -1.0].map(|value| Dual { value, slope: 1.0 });
        let duals = formula.at(2, &|_| Some(x.to_vec()))?;
        Some(duals.iter().map(|dual| (dual.value, dual.slope)).unzip())
    }

    #[test]
    fn formulas_are_read_as_far_as_they_go() {
        for text in [
            "-0.5*(x-0.25), evaluated on x_t",
            "- 0.5 * ( x - 0.25 ) evaluated on x_t",
            "-0.5(x-2.5e-1).",
            "0.5*(0.25-x); the rest",
            "(0.25 - x)/2",
            "-0.5*(x - 0.25) (evaluated on x_t)",
        ] {
            assert_eq!(of(text).unwrap(), (vec![-0.875, 0.625], vec![-0.5; 2]), "{text}");
        }
        assert_eq!(of("-2*(x-(0.5,1))").unwrap().0, [-3.0, 4.0]);
        for nothing in ["", "the gradient", "y + 1", "2 * unknown", "(x", "||x^2", "(x, 1)"] {
            assert!(of(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn a_log_probability_has_its_gradient() {
        for text in [
            "-0.1*||x-(0.3,-0.2)||^2 evaluated on x_t; gradient",
            "-0.1 * |x - [0.3, -0.2]|**2",
            "-||x-(0.3,-0.2)||_2^2/10",
            "-0.1*sum((x-(0.3,-0.2))^2)",
        ] {
            let (values, slopes) = of(text).unwrap();
            for (value, slope) in values.iter().zip(&slopes).zip([-0.34, 0.16]) {
                assert!((value.0 + 0.353).abs() < 1e-12, "{text}: {value:?}");
                assert!((value.1 - slope).abs() < 1e-12, "{text}: {slopes:?}");
            }
        }
        assert!((of("tanh(x)").unwrap().1[0] - (1.0 - 2f64.tanh().powi(2))).abs() < 1e-15);
    }

    #[test]
    fn arithmetic_has_its_value_however_it_is_written() {
        for (text, value) in [
            ("x", -1.0),
            ("(x + 1.) / 2.", 0.0),
            ("0.5*(1+x)", 0.0),
            ("x/2+0.5 (7 bits)", 0.0),
            ("2 * x - -x * 3", -5.0),
        ] {
            assert_eq!(Formula::value_at(text, -1.0), Some(value), "{text}");
        }
        for text in ["", "identity", "(x + 1", "x + ", "x 2", "1..5", "x, y"] {
            assert_eq!(Formula::value_at(text, -1.0), None, "{text}");
        }
    }
}
