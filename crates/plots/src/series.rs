//! How the lines of a chart are told apart.

use crate::Colour;

/// How a line is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dash {
    /// Not at all.
    #[default]
    Solid,
    /// Into dashes.
    Dashed,
    /// Into dots.
    Dotted,
}

/// What marks the points of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A filled circle.
    Circle,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A filled square on its corner.
    Diamond,
    /// Two crossed strokes.
    Cross,
}

/// Looks of a line or of dots. Sizes are in points, of which a picture is about 750 wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// Colour.
    pub colour: Colour,
    /// Width of the line, or half the width of a dot.
    pub width: f64,
    /// How the line is broken.
    pub dash: Dash,
    /// What marks its points.
    pub mark: Option<Mark>,
}

impl Style {
    /// A thin line of a colour, without marks.
    #[must_use]
    pub fn plain(colour: Colour, width: f64) -> Self {
        Self { colour, width, dash: Dash::Solid, mark: None }
    }

    /// The look of the series number `index` of a chart: colours first, then dashes.
    #[must_use]
    pub fn of_series(index: usize) -> Self {
        let dash = [Dash::Solid, Dash::Dashed, Dash::Dotted][index / 7 % 3];
        Self { colour: Colour::of_series(index), width: 1.8, dash, mark: None }
    }

    /// [`of_series`](Self::of_series) with a mark at each point.
    #[must_use]
    pub fn of_marked_series(index: usize) -> Self {
        use Mark::{Circle, Cross, Diamond, Square, Triangle};
        let mark = [Circle, Square, Triangle, Diamond, Cross][index % 5];
        Self { width: 1.4, mark: Some(mark), ..Self::of_series(index) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_series_look_different() {
        let styles: Vec<_> = (0..100).map(Style::of_marked_series).collect();
        for (k, style) in styles.iter().enumerate() {
            assert!(!styles[..k].contains(style), "series {k}");
        }
    }
}
