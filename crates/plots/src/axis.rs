//! What an axis shows, on which scale, from where to where.

use crate::PlotError;

/// How values are laid out along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal distances for equal differences.
    Linear,
    /// Equal distances for equal ratios; values up to 0 are left out.
    Log,
}

/// One axis of a chart.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
    range: Option<(f64, f64)>,
}

/// Room left around the values of a fitted axis, as a share of its length.
const ROOM: f64 = 0.04;

impl Axis {
    /// An axis with a linear scale, fitted to what is drawn.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Linear, range: None }
    }

    /// An axis with a logarithmic scale, fitted to what is drawn.
    #[must_use]
    pub fn log(label: impl Into<String>) -> Self {
        Self { label: label.into(), scale: Scale::Log, range: None }
    }

    /// The same axis from `low` to `high`; what lies outside is cut off.
    #[must_use]
    pub fn over(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    /// A value's place: the value itself, or its decimal logarithm.
    pub(crate) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => value,
            Scale::Log if value > 0.0 => value.log10(),
            Scale::Log => f64::NAN,
        }
    }

    /// Places of both ends: those asked for, or those that fit the values.
    pub(crate) fn ends(&self, values: impl Iterator<Item = f64>) -> Result<(f64, f64), PlotError> {
        let Some((low, high)) = self.range else {
            return Ok(fitted(values.map(|value| self.place(value)).filter(|v| v.is_finite())));
        };
        let (from, to) = (self.place(low), self.place(high));
        if from.is_finite() && to.is_finite() && from < to {
            return Ok((from, to));
        }
        Err(PlotError::Range { label: self.label.clone(), low, high })
    }
}

/// Ends with room around the values; of a single value with room for a scale to be read.
fn fitted(places: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| {
        (low.min(place), high.max(place))
    });
    if low > high {
        return (0.0, 1.0);
    }
    let least = 1e-9 * (1.0 + low.abs().max(high.abs()));
    let room = if high - low > least { ROOM * (high - low) } else { 0.5 };
    (low - room, high + room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fitted_axis_holds_its_values() {
        let ends = Axis::linear("x").ends([1.0, f64::NAN, 3.0, f64::INFINITY].into_iter());
        assert_eq!(ends.unwrap(), (0.92, 3.08));
        let (low, high) = Axis::log("x").ends([0.0, 0.1, 10.0].into_iter()).unwrap();
        assert!((low + 1.08).abs() < 1e-12 && (high - 1.08).abs() < 1e-12);
        assert_eq!(Axis::linear("x").ends([2.0].into_iter()).unwrap(), (1.5, 2.5));
        assert_eq!(Axis::linear("x").ends(std::iter::empty()).unwrap(), (0.0, 1.0));
    }

    #[test]
    fn ends_in_the_wrong_order_are_refused_by_name() {
        let error = Axis::linear("time").over(2.0, 1.0).ends(std::iter::empty()).unwrap_err();
        assert!(error.to_string().starts_with("the axis 'time' runs from 2 to 1, expected"));
        assert!(Axis::log("x").over(0.0, 1.0).ends(std::iter::empty()).is_err());
    }
}
