//! JSON objects in which no name stands twice.
//!
//! Readers differ in which of two values they take for a name that stands twice, so that a file with such a name
//! says nothing certain.

use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::CheckpointError;
use crate::foreign_file::left_by_a_download;

/// The object that a file holds.
///
/// # Errors
/// As for [`parse`], with the file's name; where a download that went wrong left something else, that is said.
pub(crate) fn of_file(path: &Path, text: &[u8]) -> Result<Map<String, Value>, CheckpointError> {
    parse(text).map_err(|source| match left_by_a_download(text) {
        Some(found) => CheckpointError::ForeignFile { path: path.to_path_buf(), found },
        None => CheckpointError::Json { path: path.to_path_buf(), source },
    })
}

/// The object that a text is.
///
/// # Errors
/// When it is no JSON, no object, or a name stands twice in it or in a part of it.
pub(crate) fn parse(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Unique.deserialize(&mut reader)?;
    reader.end()?;
    match value {
        Value::Object(values) => Ok(values),
        _ => Err(serde_json::Error::custom("expected an object: {\"name\": value, ...}")),
    }
}

/// What is said of a name that stands twice.
pub(crate) fn twice<E: Error>(name: &str) -> E {
    E::custom(format_args!("`{name}` stands twice"))
}

/// A value without a name that stands twice.
pub(crate) struct Unique;

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if values.contains_key(&name) {
                return Err(twice(&name));
            }
            let value = entries.next_value_seed(Self)?;
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_serde_json_reads() {
        let text = br#"{"a": [1, -2, 0.1, 1e300, "x\n", null, true], "b": {"c": {}}, "d": 18446744073709551615}"#;
        assert_eq!(
            Value::Object(parse(text).unwrap()),
            serde_json::from_slice::<Value>(text).unwrap()
        );
    }

    #[test]
    fn what_a_download_left_in_the_place_of_a_file_is_named() {
        let of = |text: &str| {
            of_file(Path::new("config.json"), text.as_bytes()).unwrap_err().to_string()
        };
        let pointer =
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 143158284\n";
        assert_eq!(of(pointer), "config.json is a pointer of Git LFS, not the file itself");
        assert_eq!(of("<!DOCTYPE html>"), "config.json is a web page, not the file itself");
        assert_eq!(of("{"), "config.json is not valid");
    }

    #[test]
    fn what_is_no_object_or_says_a_name_twice_is_refused() {
        for (text, says) in [
            (r#"{"a": 1, "a": 1}"#, "`a` stands twice"),
            (r#"{"a": {"b": 1, "b": 2}}"#, "`b` stands twice"),
            (r#"{"a": [{"b": 1, "c": 3, "b": 2}]}"#, "`b` stands twice"),
            ("[1]", "expected an object"),
            ("{} x", "trailing characters"),
            (r#"{"a""#, "EOF"),
        ] {
            let message = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
