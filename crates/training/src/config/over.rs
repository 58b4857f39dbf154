//! A configuration laid over what a checkpoint says: what it leaves out is the checkpoint's.

use std::path::Path;

use toml::{Table, Value};
use tweedie_unet::ArchitectureConfig;

use super::{NetworkConfig, ObjectiveKind, overrides};
use crate::{ConfigError, RunConfig};

/// Keys of `[objective]` that a network was trained with; the rest is how it is trained on.
const OF_THE_NETWORK: [&str; 6] =
    ["kind", "variance", "prediction", "time_input", "input_scaling", "sigma_data"];

impl RunConfig {
    /// Reads a configuration of a run that goes on training the network that `network` describes. A
    /// `[network]` or `[schedule]` in the text stands alone; without it, it is the described one. So it is
    /// with the kind of objective, its prediction, and each of the other keys that say what a network
    /// takes and returns.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), of the whole; and when a classifier is described and the network is none, or
    /// the other way round.
    pub fn parse_over(text: &str, changes: &[String], network: &Self) -> Result<Self, ConfigError> {
        let mut given: Table =
            toml::from_str(text).map_err(|source| ConfigError::Syntax { source })?;
        check_kind(&given, changes, network)?;
        let described =
            Table::try_from(network).map_err(|source| ConfigError::Encode { source })?;
        for section in ["network", "schedule"] {
            if let (false, Some(known)) = (given.contains_key(section), described.get(section)) {
                given.insert(section.to_owned(), known.clone());
            }
        }
        fill(&mut given, "data", described.get("data"), &["centered"]);
        let keys = keys_to_fill(&given);
        fill(&mut given, "objective", described.get("objective"), keys);
        for text in changes {
            overrides::apply(&mut given, text)?;
        }
        Self::of_table(given)
    }
}

impl RunConfig {
    /// Network, forward process and conventions of a network whose noise stands in the configuration of a
    /// run: its `[schedule]`, `[objective]` and `data.centered`. All else has its default and says nothing.
    ///
    /// # Errors
    /// When the file cannot be read, has no `[schedule]`, or its values do not go with the network.
    pub(crate) fn load_noise(
        path: &Path,
        network: &ArchitectureConfig,
    ) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let in_file = |source: ConfigError| ConfigError::InFile {
            path: path.to_path_buf(),
            source: source.into(),
        };
        let mut given: Table =
            toml::from_str(&text).map_err(|source| in_file(ConfigError::Syntax { source }))?;
        if !given.contains_key("schedule") {
            return Err(ConfigError::NoSchedule { path: path.to_path_buf() });
        }
        given.retain(|section, _| ["schedule", "objective", "data"].contains(&section));
        if let Some(data) = given.get_mut("data").and_then(Value::as_table_mut) {
            data.retain(|key, _| key == "centered");
        }
        let mut config = Self::of_table(given).map_err(in_file)?;
        config.network = NetworkConfig::Family(Box::new(network.clone()));
        if network.classes().is_some() {
            // A table of classes need not have a row for no class.
            config.training.label_dropout = 0.0;
        }
        config.completed().map_err(in_file)
    }
}

/// Refuses the weights of a classifier for a model of images, and those of a model for a classifier, before any
/// other key is found not to fit.
fn check_kind(given: &Table, changes: &[String], network: &RunConfig) -> Result<(), ConfigError> {
    let mut changed = given.clone();
    for text in changes {
        overrides::apply(&mut changed, text)?;
    }
    let asked = describes_a_classifier(&changed, given);
    let Some(asked) = asked.filter(|asked| *asked != network.is_classifier()) else {
        return Ok(());
    };
    let word = |is_classifier| match is_classifier {
        true => "a classifier of noisy images",
        false => "a model of images",
    };
    Err(ConfigError::OtherKind { asked: word(asked), weights: word(network.is_classifier()) })
}

/// Whether a configuration, changed from the command line, is of a classifier; `None` where it leaves that to the
/// network. The table of a network is only whole in the text itself.
fn describes_a_classifier(changed: &Table, text: &Table) -> Option<bool> {
    let objective = |key| changed.get("objective")?.get(key).cloned();
    if let Some(kind) = objective("kind") {
        // what is no kind is refused with all else
        return Some(kind.try_into::<ObjectiveKind>().ok()? == ObjectiveKind::Classifier);
    }
    if objective("prediction").is_some() {
        return Some(false);
    }
    let family = text.get("network")?.as_table()?.get("family").and_then(Value::as_str);
    Some(family == Some("adm-encoder"))
}

/// The keys of `[objective]` that are the network's: those that go with a kind or a prediction of another
/// are not.
fn keys_to_fill(given: &Table) -> &'static [&'static str] {
    let has = |key| given.get("objective").is_some_and(|entries| entries.get(key).is_some());
    match (has("kind"), has("prediction")) {
        (false, false) => &OF_THE_NETWORK,
        (true, false) => &OF_THE_NETWORK[2..],
        (false, true) => &["kind", "variance", "time_input", "input_scaling"],
        (true, true) => &OF_THE_NETWORK[3..5],
    }
}

/// Puts the entries of these keys into a section, where they are missing.
fn fill(given: &mut Table, section: &str, from: Option<&Value>, keys: &[&str]) {
    let entries = given.entry(section).or_insert_with(|| Value::Table(Table::new()));
    let (Some(entries), Some(from)) = (entries.as_table_mut(), from) else { return };
    for key in keys {
        if let Some(value) = from.get(key) {
            entries.entry(*key).or_insert_with(|| value.clone());
        }
    }
}
