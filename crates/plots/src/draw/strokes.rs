//! Lines, dots, marks and shades, in pixels.

use super::{Area, Drawn};
use crate::font::rgb;
use crate::{Colour, Dash, Density, Mark, Style};
use plotters::element::DashedPathElement;
use plotters::prelude::{
    Circle, Color, DrawingBackend, PathElement, Polygon, Rectangle, ShapeStyle,
};
use std::ops::Range;

type Pixel = (i32, i32);

/// Half the side of a mark, in points.
const MARK: f64 = 3.2;

/// A line through pixels.
pub(super) fn line<DB: DrawingBackend>(
    area: &Area<DB>,
    points: impl IntoIterator<Item = Pixel>,
    style: &Style,
    pixels: f64,
) -> Drawn<DB> {
    let width = (style.width * pixels).round().max(1.0);
    let points = thinned(points, 0.5 * width);
    let stroke = rgb(style.colour).stroke_width(width as u32);
    let (on, off) = match style.dash {
        Dash::Solid => return solid(area, &points, stroke),
        Dash::Dashed => (3.5 * width, 2.5 * width),
        Dash::Dotted => (1.2 * width, 1.8 * width),
    };
    area.draw(&DashedPathElement::new(points, on as i32, off as i32, stroke))
}

/// An unbroken line with round joints at its sharp turns: the drawing library would sharpen those
/// into long spikes.
fn solid<DB: DrawingBackend>(area: &Area<DB>, points: &[Pixel], stroke: ShapeStyle) -> Drawn<DB> {
    let mut start = 0;
    for (index, corner) in points.windows(3).enumerate() {
        if is_sharp(corner) {
            area.draw(&PathElement::new(&points[start..index + 2], stroke))?;
            let radius = (stroke.stroke_width / 2) as i32;
            area.draw(&Circle::new(corner[1], radius, stroke.filled()))?;
            start = index + 1;
        }
    }
    area.draw(&PathElement::new(&points[start..], stroke))
}

/// Whether a line turns by more than a third of a right angle.
fn is_sharp(corner: &[Pixel]) -> bool {
    let direction = |a: Pixel, b: Pixel| (f64::from(b.0 - a.0), f64::from(b.1 - a.1));
    let (u, v) = (direction(corner[0], corner[1]), direction(corner[1], corner[2]));
    let cosine = (u.0 * v.0 + u.1 * v.1) / (u.0.hypot(u.1) * v.0.hypot(v.1));
    cosine < 0.866
}

/// The points that are at least `apart` from the last one kept, and the last of all: pixels are
/// whole numbers, so the directions of very short strokes would be rough.
fn thinned(points: impl IntoIterator<Item = Pixel>, apart: f64) -> Vec<Pixel> {
    let mut kept: Vec<Pixel> = Vec::new();
    let mut last = None;
    for point in points {
        let far = |other: &Pixel| {
            f64::from(point.0 - other.0).hypot(f64::from(point.1 - other.1)) >= apart
        };
        if kept.last().is_none_or(far) {
            kept.push(point);
        }
        last = Some(point);
    }
    if let Some(last) = last
        && kept.last() != Some(&last)
    {
        if kept.len() > 1 {
            kept.pop();
        }
        kept.push(last);
    }
    kept
}

/// Filled circles.
pub(super) fn dots<DB: DrawingBackend>(
    area: &Area<DB>,
    points: &[Pixel],
    colour: Colour,
    radius: f64,
) -> Drawn<DB> {
    for point in points {
        area.draw(&Circle::new(*point, radius.round() as i32, rgb(colour).filled()))?;
    }
    Ok(())
}

/// The marks of a line's points.
pub(super) fn marks<DB: DrawingBackend>(
    area: &Area<DB>,
    points: &[Pixel],
    style: &Style,
    pixels: f64,
) -> Drawn<DB> {
    let Some(mark) = style.mark else { return Ok(()) };
    let size = (MARK * pixels).round() as i32;
    let fill = rgb(style.colour).filled();
    for (x, y) in points.iter().copied() {
        let corners = |offsets: &[Pixel]| -> Vec<Pixel> {
            offsets.iter().map(|(dx, dy)| (x + dx, y + dy)).collect()
        };
        match mark {
            Mark::Circle => area.draw(&Circle::new((x, y), size, fill))?,
            Mark::Square => {
                let half = size * 7 / 8;
                area.draw(&Rectangle::new([(x - half, y - half), (x + half, y + half)], fill))?;
            }
            Mark::Triangle => {
                let corners = corners(&[(0, -size), (size, size * 4 / 5), (-size, size * 4 / 5)]);
                area.draw(&Polygon::new(corners, fill))?;
            }
            Mark::Diamond => {
                let far = size * 5 / 4;
                area.draw(&Polygon::new(
                    corners(&[(0, -far), (far, 0), (0, far), (-far, 0)]),
                    fill,
                ))?;
            }
            Mark::Cross => {
                cross(area, (x, y), size, rgb(style.colour).stroke_width((1.6 * pixels) as u32))?
            }
        }
    }
    Ok(())
}

fn cross<DB: DrawingBackend>(
    area: &Area<DB>,
    (x, y): Pixel,
    size: i32,
    stroke: ShapeStyle,
) -> Drawn<DB> {
    area.draw(&PathElement::new([(x - size, y - size), (x + size, y + size)], stroke))?;
    area.draw(&PathElement::new([(x - size, y + size), (x + size, y - size)], stroke))
}

/// The sample of a line that stands in the legend.
pub(super) fn swatch<DB: DrawingBackend>(
    area: &Area<DB>,
    ends: [Pixel; 2],
    style: &Style,
    pixels: f64,
) -> Drawn<DB> {
    let (left, top) = area.get_base_pixel();
    let ends = ends.map(|(x, y)| (x + left, y + top));
    let screen = area.use_screen_coord();
    line(&screen, ends, style, pixels)?;
    let middle = ((ends[0].0 + ends[1].0) / 2, ends[0].1);
    marks(&screen, &[middle], style, pixels)
}

/// Shades, cell by cell, within the pixels of the chart.
pub(super) fn density<DB: DrawingBackend>(
    area: &Area<DB>,
    density: &Density,
    (across, down): (Range<i32>, Range<i32>),
    place: impl Fn((f64, f64)) -> Pixel,
) -> Drawn<DB> {
    let held = |(x, y): Pixel| (x.clamp(across.start, across.end), y.clamp(down.start, down.end));
    for (low, high, shade) in density.cells().filter(|cell| cell.2 > 0.0) {
        let corners = [held(place(low)), held(place(high))];
        area.draw(&Rectangle::new(corners, rgb(Colour::of_density(shade)).filled()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gentle_bend_is_not_sharp_and_a_way_back_is() {
        assert!(!is_sharp(&[(0, 0), (10, 0), (20, 2)]));
        assert!(is_sharp(&[(0, 0), (10, 0), (10, 9)]));
        assert!(is_sharp(&[(0, 0), (10, 0), (0, 1)]));
    }

    #[test]
    fn thinning_keeps_both_ends_and_no_crowd() {
        let line: Vec<_> = (0..100).map(|x| (x, 0)).collect();
        let kept = thinned(line, 7.0);
        assert_eq!((kept[0], kept[kept.len() - 1]), ((0, 0), (99, 0)));
        assert!(kept.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 7));
        assert_eq!(thinned([(1, 1), (2, 1)], 7.0), [(1, 1), (2, 1)]);
        assert!(thinned([], 7.0).is_empty());
    }
}
