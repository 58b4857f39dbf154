//! One walk over the architecture that asks for every parameter by name, shape and initial values.
//!
//! The walk draws initial values from a seed, or takes them from given weights, or only counts. With
//! given weights it collects everything that is missing or misshapen before it reports.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use tch::{Device, Kind, Tensor};

use crate::UNetError;
use crate::error::WeightMismatch;
use crate::packing::Packing;
use crate::parameters::Parameters;
use crate::weights::Given;

/// How a parameter starts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    /// Uniform in [-bound, bound].
    Uniform(f64),
    /// Normal with this deviation.
    Normal(f64),
    /// Normal around 1 with this deviation.
    NearOne(f64),
    Zeros,
    Ones,
}

enum Source {
    Seed(Box<ChaCha8Rng>),
    Weights {
        given: BTreeMap<String, Given>,
        mismatch: WeightMismatch,
        device: Device,
    },
    /// Nothing is allocated: every parameter is one zero, repeated without memory.
    Shapes,
}

/// What the walk gathers.
pub(crate) struct Gathering {
    source: Source,
    parameters: Parameters,
    /// What is kept and saved with the parameters, but never trained.
    constants: Parameters,
    /// The number of values in the parameters so far.
    pub(crate) count: u64,
    /// What kind of number parameters become; constants keep theirs.
    kind: Kind,
    packing: Packing,
    error: Option<UNetError>,
}

impl Gathering {
    /// Initial values as a pure function of the seed, the same on every machine.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self::new(Source::Seed(Box::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// Copies of the values given by name, on a device, the parameters as numbers of the given kind.
    pub(crate) fn from_weights(
        given: impl IntoIterator<Item = (String, Given)>,
        kind: Kind,
        device: Device,
    ) -> Self {
        let given = given.into_iter().collect();
        let source = Source::Weights { given, mismatch: WeightMismatch::default(), device };
        Self { kind, ..Self::new(source) }
    }

    /// No values, only their shapes and number.
    pub(crate) fn shapes() -> Self {
        Self::new(Source::Shapes)
    }

    fn new(source: Source) -> Self {
        let (parameters, constants) = (Parameters::default(), Parameters::default());
        let (packing, kind) = (Packing::default(), Kind::Float);
        Self { source, parameters, constants, count: 0, kind, packing, error: None }
    }

    pub(crate) fn root(&mut self) -> Builder<'_> {
        Builder { gathering: self, prefix: String::new() }
    }

    /// The parameters and the constants, or what was wrong with the configuration or the weights.
    pub(crate) fn finish(self) -> Result<(Parameters, Parameters), UNetError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if let Source::Weights { given, mut mismatch, .. } = self.source {
            mismatch.unexpected = given.into_keys().collect();
            if !mismatch.is_empty() {
                return Err(UNetError::Weights(mismatch));
            }
        }
        Ok((self.parameters, self.constants))
    }

    /// How many values the walk asked for, or what was wrong with the configuration.
    pub(crate) fn counted(self) -> Result<u64, UNetError> {
        self.error.map_or(Ok(self.count), Err)
    }

    /// What tells the layers whether they prepack their weights.
    pub(crate) fn packing(&self) -> Packing {
        self.packing.clone()
    }

    /// Whether given weights have a tensor of this name.
    fn holds(&self, name: &str) -> bool {
        matches!(&self.source, Source::Weights { given, .. } if given.contains_key(name))
    }

    fn value(&mut self, name: &str, shape: &[i64], initial: Initial, role: Role) -> Tensor {
        match &mut self.source {
            Source::Seed(rng) => draw(rng, shape, initial),
            Source::Shapes => stand_in(shape),
            Source::Weights { given, mismatch, device } => {
                let given = accepted(given.remove(name), name, shape, role, mismatch);
                let placed = given.map(|(given, own)| {
                    let kind = if role == Role::Parameter { self.kind } else { own };
                    given.placed([own, kind], *device)
                });
                match placed {
                    Some(Ok((tensor, finite))) => {
                        if !finite {
                            mismatch.not_finite.push(name.to_owned());
                        }
                        return tensor;
                    }
                    Some(Err(error)) => drop(self.error.get_or_insert(error)),
                    None => {}
                }
                stand_in(shape)
            }
        }
    }
}

/// One zero in the place of all values of a shape, for whoever asks for that shape.
fn stand_in(shape: &[i64]) -> Tensor {
    let zero = Tensor::from(0.0f32);
    zero.f_expand(shape, false).unwrap_or(zero)
}

/// What a tensor is to its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Trained, and of the kind that the network computes in.
    Parameter,
    /// Kept as it is.
    Constant,
    /// A count, which no output depends on.
    Count,
}

/// What was given for a tensor and of which kind, if it is of its shape and of a kind that can be; else
/// the mismatch records it.
fn accepted(
    given: Option<Given>,
    name: &str,
    shape: &[i64],
    role: Role,
    mismatch: &mut WeightMismatch,
) -> Option<(Given, Kind)> {
    let Some(given) = given else {
        mismatch.missing.push(name.to_owned());
        return None;
    };
    let floats = [Kind::Half, Kind::BFloat16, Kind::Float, Kind::Double];
    let kind = given.kind().filter(|kind| role == Role::Count || floats.contains(kind));
    if kind.is_none() {
        mismatch.types.push((name.to_owned(), given.type_name()));
    }
    if given.shape() != shape {
        mismatch.shapes.push((name.to_owned(), given.shape(), shape.to_vec()));
        return None;
    }
    kind.map(|kind| (given, kind))
}

fn draw(rng: &mut ChaCha8Rng, shape: &[i64], initial: Initial) -> Tensor {
    let count = usize::try_from(shape.iter().product::<i64>()).unwrap_or(0);
    let normal = |rng: &mut ChaCha8Rng, mean: f64, deviation: f64| -> Vec<f32> {
        let draw = |value: f64| (mean + value * deviation) as f32;
        (0..count).map(|_| draw(StandardNormal.sample(rng))).collect()
    };
    let values: Vec<f32> = match initial {
        Initial::Uniform(bound) => {
            (0..count).map(|_| (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32).collect()
        }
        Initial::Normal(deviation) => normal(rng, 0.0, deviation),
        Initial::NearOne(deviation) => normal(rng, 1.0, deviation),
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

    /// The name of this module.
    pub(crate) fn name(&self) -> String {
        self.prefix.trim_end_matches('.').to_owned()
    }

    /// What tells the layers whether they prepack their weights.
    pub(crate) fn packing(&self) -> Packing {
        self.gathering.packing()
    }

    /// The parameter `name` of this module.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[i64], initial: Initial) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.gathering.value(&name, shape, initial, Role::Parameter);
        let shared = tensor.shallow_clone();
        let values = shape.iter().fold(1u64, |n, side| n.saturating_mul(*side as u64));
        self.gathering.count = self.gathering.count.saturating_add(values);
        self.gathering.parameters.by_name.insert(name, tensor);
        shared
    }

    /// As [`Builder::parameter`], of what is saved with the parameters but never trained; it keeps
    /// its kind whatever the network computes in.
    pub(crate) fn constant(&mut self, name: &str, shape: &[i64], initial: Initial) -> Tensor {
        self.kept(name, shape, initial, Role::Constant)
    }

    /// As [`Builder::constant`], of a count that checkpoints hold and no output depends on.
    pub(crate) fn count(&mut self, name: &str) {
        let _ = self.kept(name, &[], Initial::Zeros, Role::Count);
    }

    fn kept(&mut self, name: &str, shape: &[i64], initial: Initial, role: Role) -> Tensor {
        let name = format!("{}{name}", self.prefix);
        let tensor = self.gathering.value(&name, shape, initial, role);
        let shared = tensor.shallow_clone();
        self.gathering.constants.by_name.insert(name, tensor);
        shared
    }

    /// As [`Builder::constant`], of values that follow from the configuration; weights may lack them.
    pub(crate) fn table(&mut self, name: &str, values: &Tensor) -> Tensor {
        let holds = self.gathering.holds(&format!("{}{name}", self.prefix));
        if holds {
            return self.constant(name, &values.size(), Initial::Zeros);
        }
        let name = format!("{}{name}", self.prefix);
        self.gathering.constants.by_name.insert(name, values.shallow_clone());
        values.shallow_clone()
    }

    /// What was made of the configuration, or `None` where that failed, which is recorded.
    pub(crate) fn accept<T>(&mut self, made: Result<T, UNetError>) -> Option<T> {
        made.map_err(|error| self.gathering.error.get_or_insert(error)).ok()
    }

    /// Records that a value of the configuration does not fit; the first one is reported.
    pub(crate) fn reject(&mut self, key: &'static str, value: String, allowed: String) {
        let error = UNetError::Value { key, value, allowed };
        self.gathering.error.get_or_insert(error);
    }
}
