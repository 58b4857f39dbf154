//! What a configuration value may be.

use std::fmt;

use toml::Value;

/// The values that a key of the configuration accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Allowed {
    /// Any text.
    Text,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number between two bounds, both included.
    Integer(i64, i64),
    /// A finite number, the bound or above.
    AtLeast(f64),
    /// A number between two bounds, the lower included.
    HalfOpen(f64, f64),
    /// A number between two bounds, both included.
    Closed(f64, f64),
    /// A number between two bounds, both excluded.
    Open(f64, f64),
    /// A list of the given least and greatest length, of whole numbers within bounds.
    Integers(usize, usize, i64, i64),
    /// A list of the given least and greatest length, of numbers in `[low, high)`.
    Numbers(usize, usize, f64, f64),
    /// A list of the given least and greatest length, of numbers in `(low, high)`.
    OpenNumbers(usize, usize, f64, f64),
}

impl Allowed {
    /// Whether `value` is one of them.
    #[must_use]
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_str(),
            Self::Flag => value.is_bool(),
            Self::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Self::Integer(low, high) => {
                value.as_integer().is_some_and(|number| (low..=high).contains(&number))
            }
            Self::AtLeast(low) => number(value).is_some_and(|n| n >= low),
            Self::HalfOpen(low, high) => number(value).is_some_and(|n| n >= low && n < high),
            Self::Closed(low, high) => number(value).is_some_and(|n| n >= low && n <= high),
            Self::Open(low, high) => number(value).is_some_and(|n| n > low && n < high),
            Self::Integers(least, most, low, high) => {
                list(value, least, most, Self::Integer(low, high))
            }
            Self::Numbers(least, most, low, high) => {
                list(value, least, most, Self::HalfOpen(low, high))
            }
            Self::OpenNumbers(least, most, low, high) => {
                list(value, least, most, Self::Open(low, high))
            }
        }
    }
}

/// A finite number, written with a point or without.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
    number.is_finite().then_some(number)
}

fn list(value: &Value, least: usize, most: usize, item: Allowed) -> bool {
    value.as_array().is_some_and(|items| {
        (least..=most).contains(&items.len()) && items.iter().all(|value| item.accepts(value))
    })
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text => f.write_str("text in quotes"),
            Self::Flag => f.write_str("true or false"),
            Self::OneOf(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
            Self::Integer(low, i64::MAX) => write!(f, "a whole number, {low} or above"),
            Self::Integer(low, high) => write!(f, "a whole number from {low} to {high}"),
            Self::AtLeast(low) => write!(f, "a number, {low} or above"),
            Self::HalfOpen(low, high) => write!(f, "a number in [{low}, {high})"),
            Self::Closed(low, high) => write!(f, "a number in [{}, {}]", Short(low), Short(high)),
            Self::Open(low, high) => write!(f, "a number in ({low}, {high})"),
            Self::Integers(least, most, low, high) => {
                write!(f, "a list of {} whole numbers from {low} to {high}", Count(least, most))
            }
            Self::Numbers(least, most, low, high) => {
                write!(f, "a list of {} numbers in [{low}, {high})", Count(least, most))
            }
            Self::OpenNumbers(least, most, low, high) => {
                write!(f, "a list of {} numbers in ({low}, {high})", Count(least, most))
            }
        }
    }
}

/// A bound as one would write it: 1e-30, not thirty digits.
struct Short(f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bound) = *self;
        if bound == 0.0 || (1e-3..1e6).contains(&bound.abs()) {
            write!(f, "{bound}")
        } else {
            write!(f, "{bound:e}")
        }
    }
}

/// How many items a list may have.
struct Count(usize, usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self(least, most) if least == most => write!(f, "{least}"),
            Self(least, usize::MAX) => write!(f, "{least} or more"),
            Self(least, most) => write!(f, "{least} to {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allowed: Allowed, yes: &[&str], no: &[&str]) {
        let value = |text: &str| {
            let table: toml::Table = toml::from_str(&format!("v = {text}")).unwrap();
            table["v"].clone()
        };
        for text in yes {
            assert!(allowed.accepts(&value(text)), "{allowed} refuses {text}");
        }
        for text in no {
            assert!(!allowed.accepts(&value(text)), "{allowed} accepts {text}");
        }
    }

    #[test]
    fn bounds_are_written_shortly() {
        assert_eq!(Allowed::Closed(1e-30, 1000.0).to_string(), "a number in [1e-30, 1000]");
        assert_eq!(Allowed::Closed(0.0, 1e6).to_string(), "a number in [0, 1e6]");
    }

    #[test]
    fn bounds_are_kept_to_the_end() {
        check(Allowed::Integer(1, 3), &["1", "3"], &["0", "4", "1.0", "\"1\""]);
        check(Allowed::AtLeast(0.0), &["0", "0.5"], &["-1e-9", "inf"]);
        check(Allowed::HalfOpen(0.0, 1.0), &["0", "0.999"], &["1", "1.0", "-0.1"]);
        check(Allowed::Closed(0.0, 1.0), &["0", "1"], &["1.001", "-1e-9", "nan", "inf"]);
        check(Allowed::Closed(1e-30, 1.0), &["1e-30"], &["0", "1e-31"]);
        check(Allowed::Open(0.0, 1.0), &["0.5"], &["0", "1"]);
        check(Allowed::Integers(1, 2, 1, 9), &["[1]", "[1, 9]"], &["[]", "[1, 2, 3]", "[0]", "1"]);
        check(Allowed::Numbers(2, 2, 0.0, 1.0), &["[0, 0.9]"], &["[0]", "[0, 1]"]);
        check(Allowed::OpenNumbers(0, 2, 0.0, 1.0), &["[]", "[0.5]"], &["[0]", "[1]"]);
        check(Allowed::OneOf(&["a", "b"]), &["\"a\""], &["\"c\"", "1"]);
        check(Allowed::Flag, &["true"], &["1", "\"true\""]);
    }
}
