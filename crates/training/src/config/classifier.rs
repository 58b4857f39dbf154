//! The configuration of a classifier: keys that it does not take, and those whose defaults are its own.

use toml::{Table, Value};

use super::NetworkConfig;
use crate::{ConfigError, RunConfig};

/// The word for a classifier in `objective.kind`.
const KIND: &str = "classifier";
/// Keys that say what a network predicts of an image, and how its error is counted.
const NOT_TAKEN: [&str; 3] = ["objective.prediction", "objective.loss", "objective.huber_delta"];

/// Refuses what a classifier does not take, and fills in the defaults that are its own: it draws no
/// pictures, and no label is hidden from it.
pub(super) fn prepare(table: &mut Table) -> Result<(), ConfigError> {
    let entry = |table: &Table, section: &str, key: &str| table.get(section)?.get(key).cloned();
    if entry(table, "objective", "kind").as_ref().and_then(Value::as_str) != Some(KIND) {
        return Ok(());
    }
    for key in NOT_TAKEN {
        let name = key.trim_start_matches("objective.");
        if let Some(given) = entry(table, "objective", name) {
            return unfit(
                key,
                given.to_string(),
                "no such key with objective.kind = \"classifier\"",
            );
        }
    }
    for (section, key, value) in
        [("training", "label_dropout", Value::Float(0.0)), ("samples", "every", Value::Integer(0))]
    {
        let entries = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Some(entries) = entries.as_table_mut() {
            entries.entry(key).or_insert(value);
        }
    }
    Ok(())
}

/// Refuses a network that does not go with the objective, and what would have no effect.
pub(super) fn complete(config: &mut RunConfig) -> Result<(), ConfigError> {
    match (config.is_classifier(), config.network.is_classifier()) {
        (false, false) => return Ok(()),
        (false, true) => {
            let allowed = "\"classifier\" with a network of family \"adm-encoder\", which returns \
                           classes and no images";
            let kind = Value::try_from(config.objective.kind);
            return unfit(
                "objective.kind",
                kind.map_or_else(|_| String::new(), |kind| kind.to_string()),
                allowed,
            );
        }
        (true, false) => {
            let value = match &config.network {
                NetworkConfig::Short(_) => "the short table of a U-Net".to_owned(),
                NetworkConfig::Family(network) => format!("of family {:?}", network.family_name()),
            };
            let allowed =
                "family = \"adm-encoder\" and its keys with objective.kind = \"classifier\"";
            return unfit("network", value, allowed);
        }
        (true, true) => {}
    }
    let objective = &mut config.objective;
    (objective.prediction, objective.loss, objective.huber_delta) = (None, None, None);
    if config.samples.every > 0 {
        let allowed = "0 with objective.kind = \"classifier\", which draws nothing";
        return unfit("samples.every", config.samples.every.to_string(), allowed);
    }
    if config.training.label_dropout > 0.0 {
        let allowed = "0 with objective.kind = \"classifier\", which is told no labels";
        return unfit("training.label_dropout", config.training.label_dropout.to_string(), allowed);
    }
    Ok(())
}

fn unfit(key: &'static str, value: String, allowed: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Unfit { key, value, allowed: allowed.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::chain;

    const TEXT: &str = "[network]\nfamily = \"adm-encoder\"\n[objective]\nkind = \"classifier\"";

    fn parsed(text: &str, change: &[&str]) -> Result<RunConfig, ConfigError> {
        let change: Vec<_> = change.iter().map(ToString::to_string).collect();
        RunConfig::parse(text, &change)
    }

    #[test]
    fn a_classifier_has_defaults_of_its_own_and_survives_a_round_trip() {
        let config = parsed(TEXT, &[]).unwrap();
        assert!(config.is_classifier());
        assert_eq!((config.training.label_dropout, config.samples.every), (0.0, 0));
        assert_eq!(config.objective.prediction, None);
        let written = config.to_toml().unwrap();
        for key in ["prediction", "huber_delta", "weighting", "reduction"] {
            assert!(!written.contains(key), "{written}");
        }
        assert_eq!(parsed(&written, &[]).unwrap(), config);
    }

    #[test]
    fn keys_of_other_objectives_are_refused_whatever_they_say() {
        for (change, says) in [
            ("objective.prediction=noise", ["objective.prediction is \"noise\"", "no such key"]),
            ("objective.loss=mse", ["objective.loss is \"mse\"", "no such key"]),
            ("objective.huber_delta=1.0", ["objective.huber_delta is 1.0", "no such key"]),
            ("objective.weighting=own", ["objective.weighting is \"own\"", "no such key"]),
            ("objective.variance=learned", ["objective.variance is \"learned\"", "no such key"]),
            ("objective.vlb_weight=1", ["objective.vlb_weight is 1.0", "no such key"]),
            ("objective.projections=1", ["objective.projections is 1", "no such key"]),
            ("samples.every=5", ["samples.every is 5", "expected 0"]),
            ("training.label_dropout=0.1", ["training.label_dropout is 0.1", "expected 0"]),
        ] {
            let message = chain(&parsed(TEXT, &[change]).unwrap_err());
            assert!(says.iter().all(|part| message.contains(part)), "{change}: {message}");
        }
    }

    #[test]
    fn network_and_objective_go_together() {
        for (change, says) in [
            (&["objective.kind=denoising"][..], ["objective.kind is \"denoising\"", "adm-encoder"]),
            (&["network.family=adm"], ["network is of family \"adm\"", "adm-encoder"]),
        ] {
            let message = chain(&parsed(TEXT, change).unwrap_err());
            assert!(says.iter().all(|part| message.contains(part)), "{change:?}: {message}");
        }
        let message = chain(&parsed("", &["objective.kind=classifier"]).unwrap_err());
        assert!(message.contains("short table") && message.contains("adm-encoder"), "{message}");
    }
}
