//! A recorded case and the file that holds it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tweedie_schedules::Prediction;
use tweedie_score::Replay;

use super::fields::{numbers, tensor};
use super::{Exact, Fields, Mixture};

/// The cases of one file.
#[derive(Debug)]
pub struct CaseFile {
    /// All of its cases.
    pub cases: Vec<Case>,
}

/// One recorded case. What its fields mean stands in the README of the recorded cases.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name, for messages alone: nothing may depend on it.
    pub id: String,
    /// `owner/repository@commit` or `package==version`.
    pub peer: String,
    /// Feature group.
    pub family: String,
    /// `sample`, `ode`, `table`, `timesteps`, ...
    pub kind: String,
    /// `float64`, `mixed` or `int`.
    pub dtype: String,
    /// Kind and parameters of the schedule.
    #[serde(default)]
    pub schedule: Fields,
    /// Name of the data distribution; absent for tables.
    pub mixture: Option<String>,
    /// What the model returns.
    pub model: Option<String>,
    /// What the model sees: `x` or `alpha*x`.
    pub model_input: Option<String>,
    /// Space of the states: `vp`, `k` or `subvp`.
    pub state_space: Option<String>,
    /// The peer's sampler and its options.
    #[serde(default)]
    pub sampler: Sampler,
    /// Time values in the order visited, as the peer exposes them.
    #[serde(default, deserialize_with = "optional_numbers")]
    pub timesteps: Option<Vec<f64>>,
    /// Noise levels as the peer exposes them.
    #[serde(default, deserialize_with = "optional_numbers")]
    pub sigmas: Option<Vec<f64>>,
    /// Other planning data that the peer exposes.
    #[serde(default)]
    pub plan: Fields,
    /// Named inputs.
    #[serde(default)]
    pub inputs: Fields,
    /// Every random draw, in order.
    #[serde(default)]
    pub noises: Vec<Recorded>,
    /// The recorded evaluations: lists `t`, `alpha`, `sigma`.
    pub model_calls: Option<Fields>,
    /// What the peer gave.
    pub outputs: Fields,
    /// Number of evaluations, or the peer's own count of them.
    pub nfe: Option<f64>,
    /// Conventions of this case.
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(skip)]
    mixtures: Arc<BTreeMap<String, Mixture>>,
}

/// A peer's sampler.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Sampler {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Arguments of its constructor.
    #[serde(default)]
    pub options: Fields,
    /// Arguments of each step or of the call.
    #[serde(default)]
    pub step_options: Fields,
    /// Number of steps.
    pub steps: Option<usize>,
}

/// One random draw.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// `randn`, `rand` or `randint`.
    pub op: String,
    /// The values drawn.
    pub values: ArrayD<f64>,
}

impl<'de> Deserialize<'de> for Recorded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let op = value.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        let values = tensor(&value).map_err(serde::de::Error::custom)?;
        Ok(Self { op, values })
    }
}

fn optional_numbers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<f64>>, D::Error> {
    let value = Option::<Value>::deserialize(deserializer)?;
    value.map(|value| numbers(&value).map_err(serde::de::Error::custom)).transpose()
}

impl CaseFile {
    /// Reads `path`.
    ///
    /// # Errors
    /// When it cannot be read or is not a file of cases.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = || path.display().to_string();
        Self::parse(&std::fs::read_to_string(path).with_context(shown)?).with_context(shown)
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Raw {
            #[serde(default)]
            mixtures: BTreeMap<String, Mixture>,
            cases: Vec<Case>,
        }
        let raw: Raw = serde_json::from_str(text)?;
        let mixtures = Arc::new(raw.mixtures);
        let attach = |case| Case { mixtures: Arc::clone(&mixtures), ..case };
        Ok(Self { cases: raw.cases.into_iter().map(attach).collect() })
    }
}

impl Case {
    /// The peer without its version.
    #[must_use]
    pub fn peer_name(&self) -> &str {
        self.peer.split(['@', '=']).next().unwrap_or_default()
    }

    /// Options of the sampler's constructor.
    #[must_use]
    pub fn options(&self) -> &Fields {
        &self.sampler.options
    }

    /// Number of steps asked for.
    ///
    /// # Errors
    /// When the case does not say.
    pub fn steps(&self) -> Result<usize> {
        self.sampler.steps.context("the sampler has no steps")
    }

    /// The state sampling starts from.
    ///
    /// # Errors
    /// When there is none.
    pub fn start(&self) -> Result<ArrayD<f64>> {
        self.inputs.tensor("x_T")
    }

    /// The data distribution.
    ///
    /// # Errors
    /// When the case names none or an unknown one.
    pub fn mixture(&self) -> Result<&Mixture> {
        let name = self.mixture.as_deref().context("the case names no mixture")?;
        self.mixture_named(name).with_context(|| format!("no mixture {name}"))
    }

    /// A data distribution of the case's file.
    #[must_use]
    pub fn mixture_named(&self, name: &str) -> Option<&Mixture> {
        self.mixtures.get(name)
    }

    /// What the model of the case returns.
    ///
    /// # Errors
    /// When it is absent or depends on the step (`posterior_mean`).
    pub fn prediction(&self) -> Result<Prediction> {
        Ok(match self.model.as_deref().context("the case has no model")? {
            "epsilon" => Prediction::Noise,
            "x0" => Prediction::Data,
            "v" => Prediction::Velocity,
            "score" => Prediction::Score,
            "edm_F" => Prediction::EdmF { sigma_data: self.schedule.f64("sigma_data")? },
            other => bail!("a model that returns {other} has no one prediction"),
        })
    }

    /// The closed form of the model.
    ///
    /// # Errors
    /// As [`mixture`](Self::mixture) and [`prediction`](Self::prediction).
    pub fn model(&self) -> Result<Exact<'_>> {
        Ok(Exact::new(self.mixture()?, self.prediction()?))
    }

    /// All recorded draws, to be served in order.
    #[must_use]
    pub fn noise(&self) -> Replay {
        Replay::new(self.noises.iter().map(|draw| draw.values.iter().copied().collect()))
    }

    /// Number of evaluations to agree with, where the case has one.
    #[must_use]
    pub fn evaluations(&self) -> Option<usize> {
        let calls = self.model_calls.as_ref().and_then(|calls| calls.numbers("t").ok());
        let own_count = matches!(self.kind.as_str(), "sample" | "ode" | "likelihood")
            .then_some(self.nfe)
            .flatten();
        calls.map(|calls| calls.len()).or(own_count.map(|count| count as usize))
    }
}
