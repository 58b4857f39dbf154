//! Figures as JSON, and in words.

use super::measurement::Subject;
use serde_json::{Value, json};
use tweedie_samplers::RunningMean;

/// JSON has no other numbers.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A mean over images in words, with its standard error where it has one.
pub(super) fn with_error(value: RunningMean) -> String {
    let (mean, count) = (value.mean(), value.count());
    match finite(value.standard_error()) {
        Some(error) => {
            format!("{mean:.4} ± {error:.4} (mean and standard error of {count} images)")
        }
        None => format!("{mean:.4} (of one image)"),
    }
}

/// A mean with its standard error.
pub(super) fn mean(value: RunningMean) -> Value {
    json!({"mean": value.mean(), "standard_error": finite(value.standard_error())})
}

/// The bits per dimension of each image, with its number in the data set.
pub(super) fn per_image(subject: Subject<'_>, bits: &[f64]) -> Value {
    let images = subject.inputs.numbers().iter().zip(bits);
    images.map(|(number, bits)| json!({"number": number, "bits_per_dim": bits})).collect()
}
