//! Reading configurations that stand in groups of keys.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::UNetError;

/// Reads groups of keys, all of `needed` (as `group.key`) being there. What has nothing to do with the
/// network is let go: other groups, other keys of groups beside `model`, and there those called `unread`.
pub(super) fn read_groups<T: Default + Serialize + DeserializeOwned>(
    mut values: Map<String, Value>,
    needed: &[&'static str],
    unread: &[&str],
) -> Result<T, UNetError> {
    let present = |path: &&str| {
        let (group, key) = path.split_once('.').unwrap_or((path, ""));
        values.get(group).is_some_and(|group| group.get(key).is_some())
    };
    let missing: Vec<_> = needed.iter().filter(|path| !present(path)).copied().collect();
    if !missing.is_empty() {
        return Err(UNetError::MissingKeys { missing });
    }
    let known = serde_json::to_value(T::default()).unwrap_or_default();
    values.retain(|group, _| known.get(group).is_some());
    for (name, group) in values.iter_mut() {
        if let Value::Object(keys) = group {
            keys.retain(|key, _| match name.as_str() {
                "model" => !unread.contains(&key.as_str()),
                name => known[name].get(key).is_some(),
            });
        }
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
