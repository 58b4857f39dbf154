//! `[network]`: the short table of a DDPM U-Net, or the configuration of any family of networks.

use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};
use tweedie_unet::ArchitectureConfig;

use crate::error::chain;

/// The key whose presence says that the table names a family.
pub(super) const FAMILY: &str = "family";
/// How a null of JSON is written in TOML, which has none.
const NULL: &str = "null";

/// `[network]`: which network.
#[derive(Clone, Debug, PartialEq)]
pub enum NetworkConfig {
    /// A DDPM U-Net by a short table; its input size and number of classes come from the data.
    Short(ShortNetwork),
    /// A network of any family, in the words of the program that it comes from.
    Family(Box<ArchitectureConfig>),
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::Short(ShortNetwork::default())
    }
}

impl NetworkConfig {
    /// Whether it returns classes instead of images.
    #[must_use]
    pub fn is_classifier(&self) -> bool {
        let Self::Family(network) = self else { return false };
        matches!(**network, ArchitectureConfig::AdmEncoder(_))
    }

    /// Whether the network is told classes.
    #[must_use]
    pub fn is_class_conditional(&self) -> bool {
        match self {
            Self::Short(network) => network.class_conditional,
            Self::Family(network) => network.classes().is_some(),
        }
    }
}

/// The short table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ShortNetwork {
    /// Channels at full resolution, before the multipliers.
    pub channels: usize,
    /// Channels of each level as multiples of `channels`; each level halves height and width.
    pub multipliers: Vec<usize>,
    /// Residual blocks a level.
    pub blocks: usize,
    /// Image heights at which self-attention stands, such as 16.
    pub attention: Vec<usize>,
    /// Channels of an attention head; 0 for a single head.
    pub head_channels: usize,
    /// Groups of the group norms.
    pub groups: usize,
    /// Probability with which a residual block drops a value while training.
    pub dropout: f64,
    /// Tell the network each image's class.
    pub class_conditional: bool,
}

impl Default for ShortNetwork {
    fn default() -> Self {
        Self {
            channels: 32,
            multipliers: vec![1, 2],
            blocks: 2,
            attention: vec![4],
            head_channels: 8,
            groups: 8,
            dropout: 0.0,
            class_conditional: true,
        }
    }
}

impl Serialize for NetworkConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Short(network) => network.serialize(serializer),
            Self::Family(network) => {
                let values = serde_json::to_value(network).map_err(S::Error::custom)?;
                let table = to_toml(values).ok_or_else(|| S::Error::custom("no number of TOML"))?;
                table.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for NetworkConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = Table::deserialize(deserializer)?;
        if !table.contains_key(FAMILY) {
            return ShortNetwork::deserialize(table).map(Self::Short).map_err(D::Error::custom);
        }
        let values = table.into_iter().map(|(key, value)| (key, to_json(value))).collect();
        let network = ArchitectureConfig::from_values(values)
            .map_err(|error| D::Error::custom(chain(&error)))?;
        Ok(Self::Family(Box::new(network)))
    }
}

/// Numbers, texts, lists and tables as JSON.
fn to_json(value: Value) -> serde_json::Value {
    match value {
        Value::String(text) if text == NULL => serde_json::Value::Null,
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Boolean(flag) => flag.into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values.into_iter().map(to_json).collect(),
        Value::Table(table) => {
            table.into_iter().map(|(key, value)| (key, to_json(value))).collect()
        }
    }
}

/// The same back; `None` where a number is too large.
fn to_toml(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => Value::String(NULL.to_owned()),
        serde_json::Value::Bool(flag) => Value::Boolean(flag),
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Integer(whole),
            None => Value::Float(number.as_f64().filter(|_| !number.is_u64())?),
        },
        serde_json::Value::Array(values) => {
            Value::Array(values.into_iter().map(to_toml).collect::<Option<_>>()?)
        }
        serde_json::Value::Object(values) => {
            let entry = |(key, value)| Some((key, to_toml(value)?));
            Value::Table(values.into_iter().map(entry).collect::<Option<_>>()?)
        }
    })
}
