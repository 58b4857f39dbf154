//! Arithmetic as the cases write it down: numbers, `x`, `+ - * /` and parentheses.

/// The value of `text` where `x` has this value; `None` when it is no such expression. It may be written as a
/// Python function, and a remark in parentheses may follow it.
pub(super) fn at(text: &str, x: f64) -> Option<f64> {
    let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
    let mut reader = Reader { rest: text.strip_prefix("lambdax:").unwrap_or(&text), x };
    let value = reader.sum()?;
    (reader.rest.is_empty() || reader.rest.starts_with('(')).then_some(value)
}

/// What is left to read.
struct Reader<'a> {
    rest: &'a str,
    x: f64,
}

impl Reader<'_> {
    fn takes(&mut self, sign: char) -> bool {
        let left = self.rest.strip_prefix(sign);
        self.rest = left.unwrap_or(self.rest);
        left.is_some()
    }

    fn sum(&mut self) -> Option<f64> {
        let mut value = self.product()?;
        loop {
            if self.takes('+') {
                value += self.product()?;
            } else if self.takes('-') {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<f64> {
        let mut value = self.factor()?;
        loop {
            if self.takes('*') {
                value *= self.factor()?;
            } else if self.takes('/') {
                value /= self.factor()?;
            } else {
                return Some(value);
            }
        }
    }

    fn factor(&mut self) -> Option<f64> {
        if self.takes('-') {
            return self.factor().map(|value| -value);
        }
        if self.takes('x') {
            return Some(self.x);
        }
        if self.takes('(') {
            let value = self.sum()?;
            return self.takes(')').then_some(value);
        }
        let digits = |char: char| char.is_ascii_digit() || char == '.';
        let (number, rest) =
            self.rest.split_at(self.rest.find(|char| !digits(char)).unwrap_or(self.rest.len()));
        self.rest = rest;
        number.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_has_its_value_however_it_is_written() {
        for (text, value) in [
            ("x", -1.0),
            ("(x + 1.) / 2.", 0.0),
            ("lambda x: 0.5*(1+x)", 0.0),
            ("x/2+0.5 (7 bits)", 0.0),
            ("2 * x - -x * 3", -5.0),
        ] {
            assert_eq!(at(text, -1.0), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_arithmetic_has_none() {
        for text in ["", "identity", "(x + 1", "x + ", "x 2", "1..5", "exp(x)"] {
            assert_eq!(at(text, -1.0), None, "{text}");
        }
    }
}
