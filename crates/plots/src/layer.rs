//! What a chart is made of.

use crate::{Colour, Style};

/// Points joined by a line, in order. A point that is not finite breaks the line.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) style: Style,
    pub(crate) label: Option<String>,
}

impl Line {
    /// A line without a name in the legend.
    #[must_use]
    pub fn new(points: Vec<(f64, f64)>, style: Style) -> Self {
        Self { points, style, label: None }
    }

    /// The same line with a name in the legend; lines of one name are shown once.
    #[must_use]
    pub fn named(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

/// Points, each on its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Dots {
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) colour: Colour,
    pub(crate) radius: f64,
}

impl Dots {
    /// Filled circles of a radius in points (of which a picture is about 750 wide).
    #[must_use]
    pub fn new(points: Vec<(f64, f64)>, colour: Colour, radius: f64) -> Self {
        Self { points, colour, radius }
    }
}

/// A function of the plane, as shades from white to blue.
#[derive(Clone, Debug, PartialEq)]
pub struct Density {
    /// Column after column from the left, each from the bottom, in `[0, 1]`.
    pub(crate) shades: Vec<f64>,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
}

impl Density {
    /// The values of `shade` at the middles of `cells` (columns and rows) of equal size, into which
    /// the rectangle of the two ranges is cut.
    ///
    /// A shade of 0 is white and 1 the darkest blue; others are held between.
    #[must_use]
    pub fn new(
        x: (f64, f64),
        y: (f64, f64),
        cells: (usize, usize),
        shade: impl Fn(f64, f64) -> f64,
    ) -> Self {
        let (columns, rows) = cells;
        let middle = |(low, high): (f64, f64), index: usize, count: usize| {
            low + (high - low) * (index as f64 + 0.5) / count as f64
        };
        let column = |i: usize| (0..rows).map(move |j| (i, j));
        let value = |(i, j)| shade(middle(x, i, columns), middle(y, j, rows)).clamp(0.0, 1.0);
        let shades = (0..columns).flat_map(column).map(value).collect();
        Self { shades, columns, rows, x, y }
    }

    /// The cells: lower left corner, upper right corner, shade.
    pub(crate) fn cells(&self) -> impl Iterator<Item = ((f64, f64), (f64, f64), f64)> {
        let edge = |(low, high): (f64, f64), index: usize, count: usize| {
            low + (high - low) * index as f64 / count as f64
        };
        let corner =
            move |i: usize, j: usize| (edge(self.x, i, self.columns), edge(self.y, j, self.rows));
        self.shades.iter().enumerate().map(move |(index, shade)| {
            let (i, j) = (index / self.rows, index % self.rows);
            (corner(i, j), corner(i + 1, j + 1), *shade)
        })
    }
}

/// One layer of a chart.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// A line.
    Line(Line),
    /// Points.
    Dots(Dots),
    /// Shades.
    Density(Density),
}

impl Layer {
    /// The points an axis is fitted to: the corners of a density.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        match self {
            Self::Line(line) => line.points.clone(),
            Self::Dots(dots) => dots.points.clone(),
            Self::Density(density) => {
                vec![(density.x.0, density.y.0), (density.x.1, density.y.1)]
            }
        }
    }
}

impl From<Line> for Layer {
    fn from(line: Line) -> Self {
        Self::Line(line)
    }
}

impl From<Dots> for Layer {
    fn from(dots: Dots) -> Self {
        Self::Dots(dots)
    }
}

impl From<Density> for Layer {
    fn from(density: Density) -> Self {
        Self::Density(density)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cells_of_a_density_cover_its_rectangle() {
        let density = Density::new((0.0, 2.0), (-1.0, 1.0), (4, 2), |x, y| x * (y + 1.0) / 4.0);
        let cells: Vec<_> = density.cells().collect();
        assert_eq!(cells.len(), 8);
        assert_eq!(cells[0], ((0.0, -1.0), (0.5, 0.0), 0.25 * 0.5 / 4.0));
        assert_eq!(cells[7].1, (2.0, 1.0));
    }

    #[test]
    fn shades_are_held_within_their_range() {
        let density = Density::new((0.0, 1.0), (0.0, 1.0), (2, 1), |x, _| 10.0 * (x - 0.5));
        assert_eq!(density.shades, [0.0, 1.0]);
    }
}
