//! The free-form part of a case: options by name.

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A JSON object, read by name and type.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Fields(pub Map<String, Value>);

impl Fields {
    /// The value of `name`, unless it is absent or null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A number, which may be written "inf", "-inf" or "nan".
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn f64(&self, name: &str) -> Result<f64> {
        number(self.get(name).with_context(|| format!("no {name}"))?).context(name.to_owned())
    }

    /// A number, or `default` where there is none.
    ///
    /// # Errors
    /// When it is something else.
    pub fn f64_or(&self, name: &str, default: f64) -> Result<f64> {
        self.get(name).map_or(Ok(default), |value| number(value).context(name.to_owned()))
    }

    /// A whole number.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn usize(&self, name: &str) -> Result<usize> {
        whole(self.f64(name)?).context(name.to_owned())
    }

    /// A whole number, or `default` where there is none.
    ///
    /// # Errors
    /// When it is something else.
    pub fn usize_or(&self, name: &str, default: usize) -> Result<usize> {
        if self.get(name).is_some() { self.usize(name) } else { Ok(default) }
    }

    /// Yes or no, or `default` where there is nothing.
    ///
    /// # Errors
    /// When it is something else.
    pub fn bool_or(&self, name: &str, default: bool) -> Result<bool> {
        self.get(name).map_or(Ok(default), |value| {
            value.as_bool().with_context(|| format!("{name} is {value}, not a boolean"))
        })
    }

    /// A string.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn str(&self, name: &str) -> Result<&str> {
        let value = self.get(name).with_context(|| format!("no {name}"))?;
        value.as_str().with_context(|| format!("{name} is {value}, not a string"))
    }

    /// A string, or `default` where there is none.
    ///
    /// # Errors
    /// When it is something else.
    pub fn str_or<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str> {
        if self.get(name).is_some() { self.str(name) } else { Ok(default) }
    }

    /// A list of numbers, or the values of a tensor.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let value = self.get(name).with_context(|| format!("no {name}"))?;
        numbers(value.get("data").unwrap_or(value)).context(name.to_owned())
    }

    /// A tensor.
    ///
    /// # Errors
    /// When it is absent or something else.
    pub fn tensor(&self, name: &str) -> Result<ArrayD<f64>> {
        tensor(self.get(name).with_context(|| format!("no {name}"))?).context(name.to_owned())
    }
}

/// A JSON number, or one of the words for what JSON cannot write.
pub(super) fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Number(number) => number.as_f64().context("a number beyond f64"),
        Value::String(word) => match word.as_str() {
            "nan" => Ok(f64::NAN),
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            _ => bail!("{word:?} is not a number"),
        },
        _ => bail!("{value} is not a number"),
    }
}

/// A list of numbers.
pub(super) fn numbers(value: &Value) -> Result<Vec<f64>> {
    value.as_array().with_context(|| format!("{value} is not a list"))?.iter().map(number).collect()
}

/// `{"shape": [...], "data": [...]}`.
pub(super) fn tensor(value: &Value) -> Result<ArrayD<f64>> {
    let part = |name: &str| value.get(name).with_context(|| format!("a tensor without {name}"));
    let shape: Result<Vec<_>> = numbers(part("shape")?)?.into_iter().map(whole).collect();
    Ok(ArrayD::from_shape_vec(shape?, numbers(part("data")?)?)?)
}

fn whole(value: f64) -> Result<usize> {
    if value >= 0.0 && value.fract() == 0.0 {
        Ok(value as usize)
    } else {
        bail!("{value} is not a whole number")
    }
}
