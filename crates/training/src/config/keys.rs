//! Every key of the configuration and what it accepts.

use toml::{Table, Value};

use super::Allowed;
use super::network::FAMILY;
use crate::{ConfigError, RunConfig};

const MOST: i64 = i64::MAX;
const SIDE: i64 = 16_384;
/// Least learning rate and addend of Adam: their products with a gradient stay above the least
/// 32-bit float.
const TINY: f64 = 1e-30;
const TIME_SAMPLINGS: [&str; 5] =
    ["uniform", "stratified", "importance", "log_normal", "loss_second_moment"];
/// Kinds of schedules: tables, and those in continuous time.
const KINDS: [&str; 8] =
    ["linear", "cosine", "betas", "vp_linear", "vp_cosine", "sub_vp", "ve", "edm"];

/// What may be trained.
const OBJECTIVES: [&str; 7] =
    ["denoising", "hybrid", "vlb", "implicit", "sliced", "sliced_vr", "classifier"];

const TIME_INPUTS: [&str; 7] = [
    "index",
    "rescaled_index",
    "descending_index",
    "time",
    "sigma",
    "log_sigma",
    "quarter_log_sigma",
];

/// The whole configuration but a network that is named by its family. A test holds this list against the sections' fields.
pub(super) const KEYS: &[(&str, Allowed)] = &[
    ("data.source", Allowed::Text),
    ("data.split", Allowed::OneOf(&["train", "all"])),
    ("data.size", Allowed::Integers(2, 2, 1, SIDE)),
    ("data.pad", Allowed::Integers(2, 2, 1, SIDE)),
    ("data.flip", Allowed::Flag),
    ("data.dequantize", Allowed::Flag),
    ("data.centered", Allowed::Flag),
    ("network.channels", Allowed::Integer(1, 8192)),
    ("network.multipliers", Allowed::Integers(1, 16, 1, 64)),
    ("network.blocks", Allowed::Integer(1, 32)),
    ("network.attention", Allowed::Integers(0, 16, 1, SIDE)),
    ("network.head_channels", Allowed::Integer(0, 8192)),
    ("network.groups", Allowed::Integer(1, 1024)),
    ("network.dropout", Allowed::HalfOpen(0.0, 1.0)),
    ("network.class_conditional", Allowed::Flag),
    ("schedule.kind", Allowed::OneOf(&KINDS)),
    ("schedule.steps", Allowed::Integer(1, 1_000_000)),
    ("schedule.beta_start", Allowed::Open(0.0, 1.0)),
    ("schedule.beta_end", Allowed::Open(0.0, 1.0)),
    ("schedule.betas", Allowed::OpenNumbers(0, usize::MAX, 0.0, 1.0)),
    ("schedule.zero_terminal_snr", Allowed::Flag),
    ("schedule.beta_min", Allowed::Closed(1e-6, 1e6)),
    ("schedule.beta_max", Allowed::Closed(1e-6, 1e6)),
    ("schedule.sigma_min", Allowed::Closed(1e-6, 1e6)),
    ("schedule.sigma_max", Allowed::Closed(1e-6, 1e6)),
    ("schedule.time_min", Allowed::Open(0.0, 1.0)),
    ("objective.kind", Allowed::OneOf(&OBJECTIVES)),
    ("objective.prediction", Allowed::OneOf(&["noise", "data", "velocity", "score", "edm"])),
    ("objective.time_input", Allowed::OneOf(&TIME_INPUTS)),
    ("objective.input_scaling", Allowed::OneOf(&["none", "unit_variance"])),
    ("objective.sigma_data", Allowed::Closed(1e-6, 1e6)),
    ("objective.weighting", Allowed::OneOf(&["own", "sigma", "likelihood", "min_snr", "edm"])),
    ("objective.min_snr_gamma", Allowed::Closed(1e-6, 1e6)),
    ("objective.loss", Allowed::OneOf(&["mse", "l1", "huber"])),
    ("objective.huber_delta", Allowed::Closed(1e-6, 1e6)),
    ("objective.reduction", Allowed::OneOf(&["mean", "half_sum"])),
    (
        "objective.variance",
        Allowed::OneOf(&[
            "fixed_small",
            "fixed_large",
            "learned",
            "learned_value",
            "learned_range",
        ]),
    ),
    ("objective.vlb_weight", Allowed::Closed(1e-6, 1e6)),
    ("objective.projections", Allowed::Integer(1, 1024)),
    ("objective.projection", Allowed::OneOf(&["rademacher", "gaussian"])),
    ("training.steps", Allowed::Integer(1, MOST)),
    ("training.batch_size", Allowed::Integer(1, 65_536)),
    ("training.accumulation", Allowed::Integer(1, 65_536)),
    ("training.learning_rate", Allowed::Closed(TINY, 1e3)),
    ("training.warmup", Allowed::Integer(0, MOST)),
    ("training.decay", Allowed::OneOf(&["cosine", "linear", "constant"])),
    ("training.betas", Allowed::Numbers(2, 2, 0.0, 1.0)),
    ("training.eps", Allowed::Closed(TINY, 1.0)),
    ("training.weight_decay", Allowed::Closed(0.0, 1e3)),
    ("training.clip_norm", Allowed::AtLeast(0.0)),
    ("training.ema_decay", Allowed::HalfOpen(0.0, 1.0)),
    ("training.label_dropout", Allowed::Closed(0.0, 1.0)),
    ("training.time_sampling", Allowed::OneOf(&TIME_SAMPLINGS)),
    ("training.log_normal_mean", Allowed::Closed(-20.0, 20.0)),
    ("training.log_normal_deviation", Allowed::Closed(1e-6, 20.0)),
    ("training.precision", Allowed::OneOf(&["f32", "bf16"])),
    ("training.gradient_checkpointing", Allowed::Flag),
    ("training.device", Allowed::OneOf(&["auto", "cpu", "cuda"])),
    ("training.threads", Allowed::Integer(0, tweedie_torch_ext::MOST_THREADS as i64)),
    ("training.seed", Allowed::Integer(0, MOST)),
    ("training.max_bad_steps", Allowed::Integer(1, MOST)),
    ("training.from", Allowed::Text),
    ("logging.every", Allowed::Integer(1, MOST)),
    ("logging.held_out_every", Allowed::Integer(0, MOST)),
    ("logging.held_out_images", Allowed::Integer(1, MOST)),
    ("logging.tensorboard", Allowed::Flag),
    ("checkpoints.every", Allowed::Integer(1, MOST)),
    ("checkpoints.keep_last", Allowed::Integer(1, MOST)),
    ("checkpoints.best_by", Allowed::OneOf(&["held_out_loss", "train_loss"])),
    ("samples.every", Allowed::Integer(0, MOST)),
    ("samples.rows", Allowed::Integer(1, 256)),
    ("samples.columns", Allowed::Integer(1, 256)),
    ("samples.steps", Allowed::Integer(1, 1_000_000)),
    ("samples.eta", Allowed::Closed(0.0, 1.0)),
    ("samples.seed", Allowed::Integer(0, MOST)),
];

/// Keys that came later, version by version: the configuration of a run made before one has none of its
/// keys, and then each takes the default that it had in effect.
const LATER: [&[&str]; 2] = [
    &["objective.kind", "objective.weighting", "objective.reduction"],
    &[
        "data.centered",
        "schedule.zero_terminal_snr",
        "objective.time_input",
        "objective.input_scaling",
        "training.gradient_checkpointing",
    ],
];

/// Refuses a table in which a key is missing of those that `config` is written with.
pub(super) fn check_complete(table: &Table, config: &RunConfig) -> Result<(), ConfigError> {
    let whole = Table::try_from(config).map_err(|source| ConfigError::Encode { source })?;
    let has = |table: &Table, key: &str| {
        key.split_once('.').is_some_and(|(section, name)| {
            table.get(section).and_then(|entries| entries.get(name)).is_some()
        })
    };
    let made_before = |version: &&[&str]| !version.iter().any(|key| has(table, key));
    let forgiven: Vec<_> = LATER.into_iter().filter(made_before).flatten().collect();
    let needed = |key: &str| has(&whole, key) && !forgiven.contains(&&key);
    if let Some((key, _)) = KEYS.iter().find(|(key, _)| needed(key) && !has(table, key)) {
        return Err(ConfigError::MissingKey { key: (*key).to_owned() });
    }
    match whole
        .get(NETWORK)
        .zip(table.get(NETWORK))
        .and_then(|(all, some)| lost(NETWORK, all, some))
    {
        Some(key) => Err(ConfigError::MissingKey { key }),
        None => Ok(()),
    }
}

/// The first key within the table `name` that stands in `all` and not in `some`.
fn lost(name: &str, all: &Value, some: &Value) -> Option<String> {
    all.as_table()?.iter().find_map(|(key, value)| {
        let name = format!("{name}.{key}");
        match some.get(key) {
            Some(other) => lost(&name, value, other),
            None => Some(name),
        }
    })
}

/// The section that may name a family of networks, whose keys the family knows.
const NETWORK: &str = "network";

/// Whether this is a section whose keys are those of a family of networks.
fn names_a_family(section: &str, entries: &Table) -> bool {
    section == NETWORK && entries.contains_key(FAMILY)
}

/// Holds every value of `table` against the list.
pub(super) fn check(table: &Table) -> Result<(), ConfigError> {
    for (section, content) in table {
        match content {
            Value::Table(entries) if names_a_family(section, entries) => {}
            Value::Table(entries) if is_section(section) => {
                for (name, value) in entries {
                    check_value(&format!("{section}.{name}"), value)?;
                }
            }
            Value::Table(entries) => {
                let (name, value) = entries.iter().next().map_or_else(
                    || (section.clone(), content),
                    |(name, value)| (format!("{section}.{name}"), value),
                );
                return Err(unknown(&name, value));
            }
            value => return Err(unknown(section, value)),
        }
    }
    Ok(())
}

fn check_value(name: &str, value: &Value) -> Result<(), ConfigError> {
    let allowed = allowed(name).ok_or_else(|| unknown(name, value))?;
    if allowed.accepts(value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { key: name.to_owned(), value: value.to_string(), allowed })
}

fn allowed(name: &str) -> Option<Allowed> {
    KEYS.iter().find(|(key, _)| *key == name).map(|(_, allowed)| *allowed)
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|(key, _)| key.split('.').next() == Some(name))
}

/// Whether the configuration in `table` may have a key of this name.
pub(super) fn may_stand_in(name: &str, table: &Table) -> bool {
    let family = || match (name.split_once('.'), table.get(NETWORK)) {
        (Some((NETWORK, FAMILY)), _) => true,
        (Some((NETWORK, _)), Some(Value::Table(entries))) => names_a_family(NETWORK, entries),
        _ => false,
    };
    allowed(name).is_some() || family()
}

/// Whether a key that does not exist asks for estimates of the data within their range.
fn would_clip(name: &str) -> bool {
    let (section, key) = name.rsplit_once('.').unwrap_or_default();
    // where gradients are clipped
    section != "training" && (key.starts_with("clip") || key.contains("threshold"))
}

/// The error for a key that does not exist, with the one most like it.
pub(super) fn unknown(name: &str, value: &Value) -> ConfigError {
    if would_clip(name) {
        return ConfigError::ClippedEstimate { key: name.to_owned(), value: value.to_string() };
    }
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |key: &str| {
        strsim::jaro_winkler(key, name).max(strsim::jaro_winkler(&last(key), &last(name)))
    };
    let nearest = KEYS
        .iter()
        .map(|(key, _)| *key)
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .unwrap_or_default();
    ConfigError::UnknownKey { key: name.to_owned(), value: value.to_string(), nearest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        InputScalingKind, ProjectionKind, ReductionKind, TimeInputKind, VarianceKind, WeightingKind,
    };

    fn keys_of(config: &RunConfig) -> Vec<String> {
        let Value::Table(table) = Value::try_from(config).unwrap() else { panic!("a table") };
        let mut keys = Vec::new();
        for (section, entries) in &table {
            keys.extend(entries.as_table().unwrap().keys().map(|name| format!("{section}.{name}")));
        }
        keys.sort();
        keys
    }

    #[test]
    fn the_list_names_every_field_and_nothing_else() {
        let mut config = RunConfig::default();
        config.data.pad = Some([32, 32]);
        config.data.size = Some([64, 64]);
        let objective = &mut config.objective;
        (objective.sigma_data, objective.min_snr_gamma) = (Some(0.5), Some(5.0));
        objective.weighting = Some(WeightingKind::Own);
        objective.time_input = Some(TimeInputKind::Index);
        objective.input_scaling = Some(InputScalingKind::None);
        objective.reduction = Some(ReductionKind::Mean);
        (objective.variance, objective.vlb_weight) = (Some(VarianceKind::Learned), Some(1.0));
        (objective.projections, objective.projection) = (Some(1), Some(ProjectionKind::Gaussian));
        let training = &mut config.training;
        (training.log_normal_mean, training.log_normal_deviation) = (Some(-1.2), Some(1.2));
        training.from = Some("model".to_owned());
        let schedule = &mut config.schedule;
        (schedule.beta_min, schedule.beta_max) = (Some(0.1), Some(20.0));
        (schedule.sigma_min, schedule.sigma_max) = (Some(0.01), Some(50.0));
        schedule.time_min = Some(1e-5);
        let mut listed: Vec<_> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
        listed.sort();
        assert_eq!(keys_of(&config), listed);
    }

    /// The cells of the page's tables: key, default, allowed.
    fn documented(page: &str) -> Vec<[&str; 3]> {
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        rows.map(|line| {
            let mut cells = line.trim_matches('|').split('|').map(str::trim);
            std::array::from_fn(|_| cells.next().unwrap().trim_matches('`'))
        })
        .collect()
    }

    #[test]
    fn the_page_lists_every_key_with_its_default_and_what_is_allowed() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/configuration.md");
        let page = std::fs::read_to_string(page).unwrap();
        let Value::Table(defaults) = Value::try_from(RunConfig::default()).unwrap() else {
            panic!("a table")
        };
        let documented = documented(&page);
        let keys: Vec<_> = documented.iter().map(|[key, ..]| *key).collect();
        assert_eq!(keys, KEYS.iter().map(|(key, _)| *key).collect::<Vec<_>>());
        for ([key, default, text], (_, allowed)) in documented.into_iter().zip(KEYS) {
            let (section, name) = key.split_once('.').unwrap();
            let value = defaults[section].get(name);
            let parsed = (default != "none").then(|| default.parse::<Value>().unwrap());
            assert_eq!(parsed.as_ref(), value, "{key}");
            assert_eq!(text, allowed.to_string(), "{key}");
        }
    }

    #[test]
    fn the_defaults_are_allowed() {
        let Value::Table(table) = Value::try_from(RunConfig::default()).unwrap() else {
            panic!("a table")
        };
        check(&table).unwrap();
    }
}
