//! Reading configurations that stand in groups of keys.

use std::fmt::Debug;

use serde::de::{DeserializeOwned, Error};
use serde_json::{Map, Value};

use crate::UNetError;

/// Reads groups of keys, all of `needed` (as `group.key`) being there; keys of the group `model` that
/// are called `unread` are let go.
pub(super) fn read_groups<T: DeserializeOwned>(
    mut values: Map<String, Value>,
    needed: &[&str],
    unread: &[&str],
) -> Result<T, UNetError> {
    let present = |path: &&str| {
        let (group, key) = path.split_once('.').unwrap_or((path, ""));
        values.get(group).is_some_and(|group| group.get(key).is_some())
    };
    let missing: Vec<_> = needed.iter().filter(|path| !present(path)).copied().collect();
    if !missing.is_empty() {
        let reason = serde_json::Error::custom(format!("missing are {}", missing.join(", ")));
        return Err(UNetError::Config { key: ".".to_owned(), reason });
    }
    if let Some(Value::Object(model)) = values.get_mut("model") {
        model.retain(|key, _| !unread.contains(&key.as_str()));
    }
    serde_path_to_error::deserialize(Value::Object(values)).map_err(|error| UNetError::Config {
        key: error.path().to_string(),
        reason: error.into_inner(),
    })
}

/// The first of the values that does not hold, as (holds, key, value, what is allowed).
pub(super) fn refuse_first<const N: usize>(
    checks: [(bool, &'static str, &dyn Debug, &str); N],
) -> Result<(), UNetError> {
    match checks.into_iter().find(|(holds, ..)| !holds) {
        None => Ok(()),
        Some((_, key, value, allowed)) => {
            Err(UNetError::Value { key, value: format!("{value:?}"), allowed: allowed.to_owned() })
        }
    }
}
