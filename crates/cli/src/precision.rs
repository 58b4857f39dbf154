//! What the network computes in, by name, and how fine a tolerance that can keep.

use anyhow::{Result, bail};
use clap::ValueEnum;
use tweedie_unet::Precision;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionName {
    F32,
    Bf16,
}

impl PrecisionName {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    /// What the network is told.
    pub(crate) fn of_network(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }

    /// The tolerance of an adaptive method, refused where rounding would decide the steps in its place.
    ///
    /// # Errors
    /// When it is not above 0, or too fine for this precision.
    pub(crate) fn tolerance(self, option: &str, value: f64) -> Result<f64> {
        let value = positive(option, value)?;
        let (finest, rounding) = self.finest_tolerance();
        if value >= finest {
            return Ok(value);
        }
        let name = self.name();
        bail!("{option} is {value:e}, expected at least {finest:e} in {name}: {rounding}")
    }

    /// The finest tolerance, and why there is none finer.
    fn finest_tolerance(self) -> (f64, &'static str) {
        match self {
            // f32::EPSILON, to the decade
            Self::F32 => (1e-7, "the states of the flow are themselves rounded there"),
            // the error of a step of size h is known to about 2^-9 h / 10, so that the steps grow in number
            // as the tolerance falls, and not as its fifth root: some thousand are taken at this one
            Self::Bf16 => (
                1e-6,
                "below it steps would follow the rounding of the network, --precision f32 has less",
            ),
        }
    }
}

/// The value of an option that must be above 0.
fn positive(option: &str, value: f64) -> Result<f64> {
    if value > 0.0 && value.is_finite() {
        return Ok(value);
    }
    bail!("{option} is {value}, expected a finite number above 0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tolerance_that_rounding_would_decide_is_refused_with_the_finest_one() {
        for (precision, finest) in [(PrecisionName::F32, 1e-7), (PrecisionName::Bf16, 1e-6)] {
            assert_eq!(precision.tolerance("--rtol", finest).unwrap(), finest);
            for value in [0.9 * finest, 1e-300] {
                let error = precision.tolerance("--rtol", value).unwrap_err().to_string();
                let says = format!("at least {finest:e} in {}", precision.name());
                assert!(error.contains(&says), "`{says}` is not in: {error}");
            }
        }
        for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(PrecisionName::F32.tolerance("--atol", value).is_err(), "{value}");
        }
    }
}
