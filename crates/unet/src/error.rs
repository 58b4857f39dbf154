//! What can be wrong with a configuration, weights or an input.

use std::fmt::{Display, Formatter};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UNetError {
    /// The configuration cannot be read: an unknown key, an unsupported value or no JSON at all.
    #[error("network configuration, key `{key}`: {reason}")]
    Config {
        /// Where in the configuration.
        key: String,
        /// What was got and what is allowed.
        reason: serde_json::Error,
    },
    /// Keys without which nothing says how the network is built.
    #[error("the network configuration is not whole: missing are {}", missing.join(", "))]
    MissingKeys {
        /// The keys, each behind its group.
        missing: Vec<&'static str>,
    },
    /// A value of the configuration is out of its range or does not fit another one.
    #[error("network configuration, key `{key}` is {value}, expected {allowed}")]
    Value {
        /// Which value.
        key: &'static str,
        /// What was got.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The configuration is of another class of networks.
    #[error("network configuration is of class `{class}`, expected `UNet2DModel`")]
    Class {
        /// What was got.
        class: String,
    },
    /// Weights do not fit the configuration.
    #[error("weights do not fit the network: {0}")]
    Weights(WeightMismatch),
    /// The input is not a batch of images with the expected channels.
    #[error("input has shape {got:?}, expected [n, {channels}, height, width] with n at least 1")]
    InputShape {
        /// The shape.
        got: Vec<i64>,
        /// The channels of the network.
        channels: i64,
    },
    /// Height or width cannot be halved often enough.
    #[error("input is {height}x{width}, but {divisor} must divide both height and width")]
    InputSize {
        /// Pixels from top to bottom.
        height: i64,
        /// Pixels from left to right.
        width: i64,
        /// What must divide both.
        divisor: i64,
    },
    /// A pool was made for images of another size.
    #[error("input is {height}x{width}, but the network's pool is made for {pixels} pixels")]
    InputPixels {
        /// Pixels from top to bottom.
        height: i64,
        /// Pixels from left to right.
        width: i64,
        /// How many there must be.
        pixels: i64,
    },
    /// The network would be larger than any memory.
    #[error("the network has {parameters} parameters, at most {most} are made")]
    TooLarge {
        /// How many it has.
        parameters: u64,
        /// How many it may have.
        most: u64,
    },
    /// The input lies on another device than the parameters.
    #[error("input is on {got:?}, the network's parameters are on {expected:?}")]
    InputDevice {
        /// Where the input is.
        got: tch::Device,
        /// Where the parameters are.
        expected: tch::Device,
    },
    /// The times are neither one value nor one a sample.
    #[error("times have shape {got:?}, expected [] or [{batch}]")]
    Times {
        /// Their shape.
        got: Vec<i64>,
        /// The number of samples.
        batch: i64,
    },
    /// A time is not an index that the network knows.
    #[error("times range from {lowest} to {highest}, expected whole numbers from 0 to {}",
        .count - 1)]
    TimeRange {
        /// The lowest time.
        lowest: f64,
        /// The highest time.
        highest: f64,
        /// How many times the network knows.
        count: i64,
    },
    /// The network has classes and got no labels, or the other way round.
    #[error("the network {}, but class labels were {}",
        if *.expected { "is class-conditional" } else { "has no classes" },
        if *.expected { "not given" } else { "given" })]
    LabelsPresence {
        /// Whether the network has a class embedding.
        expected: bool,
    },
    /// The labels have the wrong shape.
    #[error("class labels have shape {got:?}, expected {expected:?}")]
    LabelsShape {
        /// Their shape.
        got: Vec<i64>,
        /// What it should be.
        expected: Vec<i64>,
    },
    /// A label is not a class.
    #[error("class labels range from {lowest} to {highest}, expected 0 to {}", .classes - 1)]
    LabelRange {
        /// The lowest label.
        lowest: i64,
        /// The highest label.
        highest: i64,
        /// The number of rows of the class embedding, the null class included.
        classes: i64,
    },
    /// A checkpoint cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] tweedie_checkpoints::CheckpointError),
    /// A tensor of a file has an element type that libtorch has no counterpart for.
    #[error("tensor `{name}` has element type {dtype:?}, expected F16, BF16, F32, F64, I64 or I32")]
    ElementType {
        /// The tensor.
        name: String,
        /// Its type.
        dtype: tweedie_checkpoints::Dtype,
    },
    /// Diffusers' `UNet2DModel` has no network that computes the same.
    #[error("the network has no equal among those of diffusers' UNet2DModel: {differs}")]
    NotInDiffusers {
        /// All that differs.
        differs: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch refused an operation")]
    Libtorch(#[from] tch::TchError),
}

/// Everything that is wrong with a set of weights, at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightMismatch {
    /// Parameters of the network that the weights lack.
    pub missing: Vec<String>,
    /// Weights that the network has no place for.
    pub unexpected: Vec<String>,
    /// Name, the shape got and the shape expected.
    pub shapes: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Name and type of weights that are no floats.
    pub types: Vec<(String, String)>,
    /// Weights among whose values is an infinite one, or one that is no number.
    pub not_finite: Vec<String>,
}

impl WeightMismatch {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Display for WeightMismatch {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let shapes = self
            .shapes
            .iter()
            .map(|(name, got, expected)| format!("{name} {got:?}, expected {expected:?}"));
        let types = self.types.iter().map(|(name, got)| format!("{name} {got}"));
        let parts = [
            ("missing", self.missing.clone()),
            ("unexpected", self.unexpected.clone()),
            ("of another shape", shapes.collect()),
            ("of a type that is not F16, BF16, F32 or F64", types.collect()),
            ("with values that are infinite or no numbers", self.not_finite.clone()),
        ];
        let mut separator = "";
        for (what, names) in parts.iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, "{separator}{} {what}: {}", names.len(), names.join(", "))?;
            separator = "; ";
        }
        Ok(())
    }
}
