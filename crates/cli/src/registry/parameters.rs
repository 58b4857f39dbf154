//! Parameters written behind a name, as in `linear:steps=500,beta-end=0.01`.

use anyhow::{Context, Result, bail};

/// The parameters given for one name, and those its method has asked for.
pub(crate) struct Parameters<'a> {
    name: &'a str,
    given: Vec<(&'a str, &'a str)>,
    known: Vec<&'static str>,
}

impl<'a> Parameters<'a> {
    /// Takes `NAME` or `NAME:KEY=VALUE,KEY=VALUE` apart; a key without a value is a flag.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        let (name, rest) = text.split_once(':').unwrap_or((text, ""));
        let pairs = rest.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let given: Vec<_> =
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "true"))).collect();
        for (index, (key, _)) in given.iter().enumerate() {
            if given[..index].iter().any(|(other, _)| other == key) {
                bail!("{key} is given twice");
            }
        }
        Ok(Self { name: name.trim(), given, known: Vec::new() })
    }

    /// The name in front.
    pub(crate) fn name(&self) -> &'a str {
        self.name
    }

    fn take(&mut self, key: &'static str) -> Option<&'a str> {
        self.known.push(key);
        self.given.iter().find(|(given, _)| *given == key).map(|(_, value)| *value)
    }

    /// The number of a key, or its default.
    pub(crate) fn number(&mut self, key: &'static str, default: f64) -> Result<f64> {
        let Some(value) = self.take(key) else { return Ok(default) };
        value.parse().ok().with_context(|| format!("{key} is '{value}', expected a number"))
    }

    /// The whole number of a key, from 1 to `most`, or its default.
    pub(crate) fn count(
        &mut self,
        key: &'static str,
        default: usize,
        most: usize,
    ) -> Result<usize> {
        let Some(value) = self.take(key) else { return Ok(default) };
        let count = value.parse().ok().filter(|count| (1..=most).contains(count));
        count.with_context(|| {
            format!("{key} is '{value}', expected a whole number from 1 to {most}")
        })
    }

    /// Whether a flag is set.
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<bool> {
        let Some(value) = self.take(key) else { return Ok(false) };
        value.parse().ok().with_context(|| format!("{key} is '{value}', expected true or false"))
    }

    /// Refuses keys that nobody has asked for.
    pub(crate) fn finish(self) -> Result<()> {
        match self.given.iter().find(|(key, _)| !self.known.contains(key)) {
            None => Ok(()),
            Some((key, _)) => {
                bail!("{} has no '{key}', expected {}", self.name, self.known.join(", "))
            }
        }
    }
}
