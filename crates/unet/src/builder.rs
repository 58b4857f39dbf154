//! One walk over the architecture that asks for every parameter by name, shape and initial values.
//!
//! The walk draws initial values from a seed, or takes them from given weights, or only counts. With
//! given weights it collects everything that is missing or misshapen before it reports.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use crate::UNetError;
use crate::error::WeightMismatch;
use crate::legacy::present_name;
use crate::parameters::Parameters;

/// How a parameter starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    /// Uniform in [-bound, bound].
    Uniform(f64),
    /// Standard normal.
    Normal,
    Zeros,
    Ones,
}

enum Source {
    Seed(Box<ChaCha8Rng>),
    Weights { given: BTreeMap<String, Tensor>, mismatch: WeightMismatch },
    Count(u64),
}

/// What the walk gathers.
pub(crate) struct Gathering {
    source: Source,
    parameters: Parameters,
    error: Option<UNetError>,
}

impl Gathering {
    /// Initial values as a pure function of the seed, the same on every machine.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::new(Source::Seed(Box::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// Values by name; older names are understood.
    pub(crate) fn from_weights(given: impl IntoIterator<Item = (String, Tensor)>) -> Self {
        let given = given.into_iter().map(|(name, tensor)| (present_name(&name), tensor)).collect();
        Self::new(Source::Weights { given, mismatch: WeightMismatch::default() })
    }

    /// No values, only their number.
    pub(crate) fn counting() -> Self {
        Self::new(Source::Count(0))
    }

    fn new(source: Source) -> Self {
        Self { source, parameters: Parameters::default(), error: None }
    }

    pub(crate) fn root(&mut self) -> Builder<'_> {
        Builder { gathering: self, prefix: String::new() }
    }

    /// The parameters, or what was wrong with the configuration or the weights.
    pub(crate) fn finish(self) -> Result<Parameters, UNetError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if let Source::Weights { given, mut mismatch } = self.source {
            mismatch.unexpected = given.into_keys().collect();
            if !mismatch.is_empty() {
                return Err(UNetError::Weights(mismatch));
            }
        }
        Ok(self.parameters)
    }

    /// How many values a counting walk was asked for, or what was wrong with the configuration.
    pub(crate) fn count(self) -> Result<u64, UNetError> {
        match (self.error, self.source) {
            (Some(error), _) => Err(error),
            (None, Source::Count(count)) => Ok(count),
            (None, _) => Ok(self.parameters.element_count() as u64),
        }
    }

    fn value(&mut self, name: &str, shape: &[i64], initial: Initial) -> Tensor {
        match &mut self.source {
            Source::Seed(rng) => draw(rng, shape, initial),
            Source::Count(count) => {
                let values = shape.iter().fold(1u64, |n, side| n.saturating_mul(*side as u64));
                *count = count.saturating_add(values);
                Tensor::from(0.0)
            }
            Source::Weights { given, mismatch } => match given.remove(name) {
                Some(tensor) if tensor.size() == shape => tensor,
                Some(tensor) => {
                    mismatch.shapes.push((name.to_owned(), tensor.size(), shape.to_vec()));
                    Tensor::from(0.0)
                }
                None => {
                    mismatch.missing.push(name.to_owned());
                    Tensor::from(0.0)
                }
            },
        }
    }
}

fn draw(rng: &mut ChaCha8Rng, shape: &[i64], initial: Initial) -> Tensor {
    let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
    let values: Vec<f32> = match initial {
        Initial::Uniform(bound) => {
            (0..count).map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32).collect()
        }
        Initial::Normal => (0..count)
            .map(|_| {
                let value: f64 = StandardNormal.sample(rng);
                value as f32
            })
            .collect(),
        Initial::Zeros => vec![0.0; count],
        Initial::Ones => vec![1.0; count],
    };
    Tensor::from_slice(&values).view(shape).to_kind(Kind::Float)
}

/// A place in the tree of modules.
pub(crate) struct Builder<'a> {
    gathering: &'a mut Gathering,
    prefix: String,
}

impl Builder<'_> {
    /// The module `name` under this one.
    pub(crate) fn at(&mut self, name: impl std::fmt::Display) -> Builder<'_> {
        let prefix = format!("{}{name}.", self.prefix);
        Builder { gathering: self.gathering, prefix }
    }

    /// The parameter `name` of this module.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[i64], initial: Initial) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.gathering.value(&name, shape, initial);
        let shared = tensor.shallow_clone();
        self.gathering.parameters.by_name.insert(name, tensor);
        shared
    }

    /// Records that a value of the configuration does not fit; the first one is reported.
    pub(crate) fn reject(&mut self, key: &'static str, value: String, allowed: String) {
        let error = UNetError::Value { key, value, allowed };
        self.gathering.error.get_or_insert(error);
    }
}
