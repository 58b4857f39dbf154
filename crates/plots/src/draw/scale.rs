//! An axis as the drawing library wants it: places to pixels, marks and their texts.

use crate::ticks::Ticks;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use std::ops::Range;

/// A stretch of places with its marks.
#[derive(Clone, Debug)]
pub(super) struct MarkedScale {
    pub(super) ends: (f64, f64),
    pub(super) ticks: Ticks,
}

impl Ranged for MarkedScale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (start, end): (i32, i32)) -> i32 {
        let share = (place - self.ends.0) / (self.ends.1 - self.ends.0);
        start + (share * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.ticks.minor.clone()
        } else {
            self.ticks.numbered.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.ends.0..self.ends.1
    }
}

impl ValueFormatter<f64> for MarkedScale {
    fn format_ext(&self, place: &f64) -> String {
        self.ticks.text(*place)
    }
}
