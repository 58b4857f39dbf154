//! Latents on disk, and the way there and back.

use crate::arrays::{Array, ArrayFormat};
use crate::inputs::check_shape;
use crate::output;
use crate::run::Run;
use anyhow::{Context, Result, bail};
use std::path::Path;
use tch::Tensor;
use tweedie_sde::Sde;

/// What a safetensors file calls latents.
const LATENTS: &str = "latents";

/// What it says about them.
const ABOUT: (&str, &str) = ("latents", "states at the noisiest time; class -1 is the null class");

/// Latents `[n, c, h, w]` on the CPU, with the class that each was encoded with, where that is known.
pub(crate) struct Latents {
    pub(crate) states: Tensor,
    pub(crate) classes: Option<Vec<Option<usize>>>,
}

impl Latents {
    /// Reads latents of a run.
    ///
    /// # Errors
    /// When the file cannot be read, or they are not finite or of another shape than the run's images.
    pub(crate) fn read(run: &Run, path: &Path) -> Result<Self> {
        let Array { shape, values, classes } = Array::read(path, LATENTS)?;
        let [n, c, h, w] = shape;
        check_shape(&path.display().to_string(), [c, h, w], run.shape())?;
        if let Some(warning) = unlikely(&values, run.schedule().prior_std()) {
            eprintln!("warning: {}: {warning}", path.display());
        }
        let sides = [n, c, h, w].map(|side| side as i64);
        Ok(Self { states: Tensor::from_slice(&values).view(sides), classes })
    }

    /// Writes them in the form of the path's ending.
    ///
    /// # Errors
    /// When a latent is not finite, and when the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        output::check_finite(&self.states)?;
        let shape: Vec<usize> = self.states.size().iter().map(|side| *side as usize).collect();
        let shape = <[usize; 4]>::try_from(shape).ok().context("latents have four axes")?;
        let values = Vec::try_from(self.states.contiguous().flatten(0, -1))?;
        Array { shape, values, classes: self.classes.clone() }.write(path, LATENTS, ABOUT)
    }
}

/// What is odd about latents that are far smaller or larger than the noise at which a model begins.
fn unlikely(values: &[f32], prior: f64) -> Option<String> {
    let squares: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    let found = (squares / values.len() as f64).sqrt();
    (!(0.5..=2.0).contains(&(found / prior))).then(|| {
        format!(
            "the latents' root mean square is {found:.3}, the noise that this model begins with has {prior:.3}: \
             were they encoded with another model?"
        )
    })
}

/// Refuses a path where latents cannot be written, before anything is computed.
///
/// # Errors
/// When its ending is unknown, or nothing can be written there.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    if ArrayFormat::of(path).is_none() {
        bail!("--out is {}, expected a name that ends in .npy or .safetensors", path.display());
    }
    output::check_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_of_another_model_are_told_by_their_size() {
        let ones = [1.0, -1.0, 1.0, 1.0];
        assert_eq!(unlikely(&ones, 1.0), None);
        assert_eq!(unlikely(&ones, 1.9), None);
        let warning = unlikely(&ones, 50.0).unwrap();
        assert!(warning.contains("square is 1.000") && warning.contains("has 50.000"), "{warning}");
        assert!(unlikely(&[3.0, -3.0], 1.0).is_some());
    }
}
