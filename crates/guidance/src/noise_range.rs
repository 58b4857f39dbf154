//! In which noise levels guidance acts, and how strongly.
//!
//! Guidance at the noisiest levels takes away diversity, at the cleanest it does nothing: Kynkäänniemi
//! et al. 2024 let it act in between alone.

use std::fmt;

use crate::GuidanceError;
use tweedie_schedules::NoiseLevel;

/// A range of noise levels, by the deviation of the noise in units of the data, `sigma / alpha`: the
/// lower end excluded, the upper one included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseRange {
    above: f64,
    up_to: f64,
}

impl Default for NoiseRange {
    /// [`ALL`](Self::ALL).
    fn default() -> Self {
        Self::ALL
    }
}

impl NoiseRange {
    /// All noise levels.
    pub const ALL: Self = Self { above: f64::NEG_INFINITY, up_to: f64::INFINITY };

    /// The levels with `above < sigma / alpha <= up_to`, the latter infinite for no upper end.
    ///
    /// # Errors
    /// When `above` is negative or not finite, or `up_to` is not larger than it.
    pub fn new(above: f64, up_to: f64) -> Result<Self, GuidanceError> {
        if !(above >= 0.0 && above.is_finite()) {
            let (name, allowed) = ("lower end of the noise range", "a finite value of at least 0");
            return Err(GuidanceError::ParameterOutOfRange { name, value: above, allowed });
        }
        if up_to.is_nan() || up_to <= above {
            let (name, allowed) = ("upper end of the noise range", "a value above its lower end");
            return Err(GuidanceError::ParameterOutOfRange { name, value: up_to, allowed });
        }
        Ok(Self { above, up_to })
    }

    /// Whether a level lies in it.
    #[must_use]
    pub fn contains(&self, NoiseLevel { alpha, sigma }: NoiseLevel) -> bool {
        let ratio = sigma / alpha;
        ratio > self.above && ratio <= self.up_to // Kynkäänniemi et al. 2024, sec. 3
    }
}

/// As `sigma / alpha in (0.2, 5]`.
impl fmt::Display for NoiseRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sigma / alpha in ({}, {}]", self.above, self.up_to)
    }
}

/// The largest scale of guidance: far stronger than any that leaves pictures, and such that no step leaves the range
/// of single precision.
pub const LARGEST_SCALE: f64 = 1e6;

/// A scale that counts in a range of noise levels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Strength {
    pub(crate) scale: f64,
    pub(crate) range: NoiseRange,
}

impl Strength {
    pub(crate) fn new(scale: f64) -> Result<Self, GuidanceError> {
        check_scale(scale)?;
        Ok(Self { scale, range: NoiseRange::ALL })
    }

    /// The scale at a level; 0 outside the range.
    pub(crate) fn at(&self, level: NoiseLevel) -> f64 {
        if self.range.contains(level) { self.scale } else { 0.0 }
    }
}

pub(crate) fn check_scale(value: f64) -> Result<(), GuidanceError> {
    if value.abs() <= LARGEST_SCALE {
        return Ok(());
    }
    let (name, allowed) = ("guidance scale", "a value from -1e6 to 1e6");
    Err(GuidanceError::ParameterOutOfRange { name, value, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(alpha: f64, sigma: f64) -> NoiseLevel {
        NoiseLevel { alpha, sigma }
    }

    #[test]
    fn the_lower_end_is_outside_and_the_upper_one_inside() {
        let range = NoiseRange::new(0.5, 2.0).unwrap();
        assert!(!range.contains(level(1.0, 0.5)) && range.contains(level(1.0, 0.6)));
        assert!(range.contains(level(0.5, 1.0)) && !range.contains(level(0.5, 1.1)));
        assert!(!range.contains(level(0.0, 1.0)) && !range.contains(NoiseLevel::CLEAN));
    }

    #[test]
    fn all_levels_are_in_the_whole_range() {
        for level in [level(0.0, 1.0), NoiseLevel::CLEAN, level(1.0, 80.0)] {
            assert!(NoiseRange::ALL.contains(level));
        }
        assert!(NoiseRange::new(1.0, f64::INFINITY).unwrap().contains(level(0.0, 1.0)));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let refused = |above, up_to| NoiseRange::new(above, up_to).unwrap_err().to_string();
        let text = "upper end of the noise range is 1, expected a value above its lower end";
        assert_eq!(refused(1.0, 1.0), text);
        assert!(refused(1.0, f64::NAN).starts_with("upper end"));
        assert!(refused(-1.0, 1.0).starts_with("lower end"));
        assert!(refused(f64::INFINITY, f64::INFINITY).starts_with("lower end"));
        let text = "guidance scale is inf, expected a value from -1e6 to 1e6";
        assert_eq!(Strength::new(f64::INFINITY).unwrap_err().to_string(), text);
        assert!(Strength::new(-1.1e6).is_err() && Strength::new(f64::NAN).is_err());
    }
}
