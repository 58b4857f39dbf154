//! What the library gave for a case.

use std::collections::BTreeMap;

use ndarray::ArrayD;

/// One output.
#[derive(Clone, Debug)]
pub enum Output {
    /// A number.
    Number(f64),
    /// A list of numbers.
    Numbers(Vec<f64>),
    /// An array.
    Tensor(ArrayD<f64>),
    /// A list of arrays.
    Tensors(Vec<ArrayD<f64>>),
    /// Yes or no.
    Flag(bool),
    /// A word.
    Text(String),
    /// Outputs by name.
    Map(BTreeMap<String, Output>),
    /// A list of outputs of any kind.
    List(Vec<Output>),
    /// The request was refused with this error; agrees with a peer's own error.
    Refused(String),
}

/// All outputs of a case, by name.
#[derive(Clone, Debug, Default)]
pub struct Produced {
    /// The outputs.
    pub outputs: BTreeMap<String, Output>,
    /// Network evaluations made.
    pub evaluations: Option<usize>,
}

impl Produced {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds any output.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, output: Output) -> Self {
        self.outputs.insert(name.into(), output);
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(self, name: impl Into<String>, value: f64) -> Self {
        self.with(name, Output::Number(value))
    }

    /// Adds a list of numbers.
    #[must_use]
    pub fn numbers(self, name: impl Into<String>, values: Vec<f64>) -> Self {
        self.with(name, Output::Numbers(values))
    }

    /// Adds an array.
    #[must_use]
    pub fn tensor(self, name: impl Into<String>, values: ArrayD<f64>) -> Self {
        self.with(name, Output::Tensor(values))
    }

    /// Adds a list of arrays.
    #[must_use]
    pub fn states(self, name: impl Into<String>, states: Vec<ArrayD<f64>>) -> Self {
        self.with(name, Output::Tensors(states))
    }

    /// Adds an error that a request was refused with.
    #[must_use]
    pub fn refused(self, name: impl Into<String>, error: impl std::fmt::Display) -> Self {
        self.with(name, Output::Refused(error.to_string()))
    }

    /// States the number of network evaluations made.
    #[must_use]
    pub fn evaluations(mut self, count: usize) -> Self {
        self.evaluations = Some(count);
        self
    }
}
