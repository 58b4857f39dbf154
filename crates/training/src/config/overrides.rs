//! `--set key=value`: single values replaced from the command line.

use toml::{Table, Value};

use super::keys;
use crate::ConfigError;

/// Applies one override, `section.key=value`. The value is read as TOML, and as text where it is
/// not TOML, so that a path needs no quotes.
pub(super) fn apply(table: &mut Table, text: &str) -> Result<(), ConfigError> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(ConfigError::MalformedOverride { text: text.to_owned() });
    };
    let (key, value) = (key.trim(), parse(value.trim()));
    let Some((path, name)) = key.rsplit_once('.').filter(|_| keys::may_stand_in(key, table)) else {
        return Err(keys::unknown(key, &value));
    };
    let mut entries = table;
    for part in path.split('.') {
        let inner = entries.entry(part).or_insert_with(|| Value::Table(Table::new()));
        match inner {
            Value::Table(inner) => entries = inner,
            other => return Err(keys::unknown(path, other)),
        }
    }
    entries.insert(name.to_owned(), value);
    Ok(())
}

fn parse(text: &str) -> Value {
    text.parse().unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Value) {
        assert_eq!(parse(text), expected);
    }

    #[test]
    fn values_are_toml_or_else_text() {
        check("64", Value::Integer(64));
        check("2e-3", Value::Float(2e-3));
        check("true", Value::Boolean(true));
        check("[1, 2]", Value::Array(vec![Value::Integer(1), Value::Integer(2)]));
        check("\"quoted\"", Value::String("quoted".into()));
        check("cosine", Value::String("cosine".into()));
        check("/data/sets=2", Value::String("/data/sets=2".into()));
        check("1\nb = 2", Value::String("1\nb = 2".into()));
    }
}
