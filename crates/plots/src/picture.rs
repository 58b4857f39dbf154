//! Charts side by side under one title, and their bytes as PNG or SVG.

use crate::{Chart, PlotError, draw, font, indexed};
use image::{RgbImage, imageops};
use plotters::prelude::{BitMapBackend, IntoDrawingArea, SVGBackend};

/// A page of charts.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Title; empty for none.
    pub title: String,
    /// The charts, row by row.
    pub charts: Vec<Chart>,
    /// Charts a row.
    pub columns: usize,
    /// Width in points: text is 10 to 16 points high.
    pub width: u32,
    /// Height of one chart in points.
    pub chart_height: u32,
}

/// Pixels a point of a picture: sharp on a screen of double density.
const PIXELS: u32 = 2;

/// A PNG is drawn this much larger and made smaller again, which smooths all edges.
const OVERSIZE: u32 = 3;

/// The largest side in points.
const LARGEST: u32 = 2000;

impl Picture {
    /// Charts of an ordinary size in one column.
    #[must_use]
    pub fn new(title: impl Into<String>, charts: Vec<Chart>) -> Self {
        Self { title: title.into(), charts, columns: 1, width: 750, chart_height: 420 }
    }

    /// The same picture with its charts in columns, each of a height in points.
    #[must_use]
    pub fn in_columns(mut self, columns: usize, chart_height: u32) -> Self {
        (self.columns, self.chart_height) = (columns, chart_height);
        self
    }

    /// The picture as a PNG file of two pixels a point.
    ///
    /// # Errors
    /// When an axis has no room, or the picture has no chart or is too large.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        let page = self.page(f64::from(PIXELS * OVERSIZE))?;
        let size = page.size();
        let mut pixels = vec![255; 3 * size.0 as usize * size.1 as usize];
        page.draw(&BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area())?;
        let oversize = RgbImage::from_raw(size.0, size.1, pixels);
        let oversize = oversize.ok_or_else(|| self.size_error(size.0, size.1))?;
        indexed::png(&imageops::thumbnail(&oversize, size.0 / OVERSIZE, size.1 / OVERSIZE))
    }

    /// The picture as an SVG file.
    ///
    /// # Errors
    /// As [`png`](Self::png).
    pub fn svg(&self) -> Result<String, PlotError> {
        let page = self.page(f64::from(PIXELS))?;
        let mut text = String::new();
        page.draw(&SVGBackend::with_string(&mut text, page.size()).into_drawing_area())?;
        Ok(text)
    }

    /// Everything that is decided before anything is drawn.
    fn page(&self, pixels: f64) -> Result<draw::Page<'_>, PlotError> {
        if self.charts.is_empty() || self.columns == 0 {
            let charts = self.charts.len();
            return Err(PlotError::Empty { charts, columns: self.columns });
        }
        font::register()?;
        let page = draw::Page::new(self, pixels)?;
        let (width, height) = page.points();
        if (1..=LARGEST).contains(&width) && (1..=LARGEST).contains(&height) {
            return Ok(page);
        }
        Err(self.size_error(width, height))
    }

    fn size_error(&self, width: u32, height: u32) -> PlotError {
        PlotError::Size { width, height, most: LARGEST }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Axis, Colour, Density, Dots, Line, Style};

    /// A chart of everything there is, with values that cannot be drawn among the others.
    fn chart() -> Chart {
        let points =
            vec![(1.0, 0.1), (2.0, f64::NAN), (3.0, 0.0), (4.0, -1.0), (5.0, 10.0), (6.0, 0.2)];
        let lines = (0..15).map(|k| {
            Line::new(points.clone(), Style::of_marked_series(k)).named(format!("line {k}"))
        });
        Chart::new("a title", Axis::linear("x"), Axis::log("y"))
            .with(Density::new((1.0, 6.0), (0.1, 10.0), (4, 4), |x, y| x * y / 60.0))
            .with_all(lines)
            .with(Dots::new(points.clone(), Colour::INK, 3.0))
    }

    #[test]
    fn a_png_has_two_pixels_a_point_and_the_same_bytes_each_time() {
        let picture = Picture { width: 300, ..Picture::new("title", vec![chart(), chart()]) };
        let picture = picture.in_columns(2, 200);
        let bytes = picture.png().unwrap();
        let read = image::load_from_memory(&bytes).unwrap().into_rgb8();
        assert_eq!(read.width(), 600);
        assert!(read.height() > 400);
        assert!(read.pixels().any(|pixel| pixel.0 == Colour::of_series(0).0));
        assert_eq!(picture.png().unwrap(), bytes);
    }

    #[test]
    fn an_svg_holds_the_names() {
        let text = Picture::new("title", vec![chart().framed()]).svg().unwrap();
        assert!(text.starts_with("<svg") && text.contains("line 14") && text.contains("a title"));
    }

    #[test]
    fn an_empty_chart_has_axes_and_an_empty_picture_is_refused() {
        let empty = || Chart::new("", Axis::linear("x"), Axis::log("y"));
        Picture { width: 200, ..Picture::new("", vec![empty()]) }.svg().unwrap();
        let error = Picture::new("", Vec::new()).svg().unwrap_err();
        let says = "a picture of 0 charts in 1 columns, expected at least 1 of each";
        assert_eq!(error.to_string(), says);
        assert!(Picture::new("", vec![empty()]).in_columns(0, 100).png().is_err());
        let error = Picture::new("", vec![empty()]).in_columns(1, 100_000).png().unwrap_err();
        assert!(error.to_string().contains("expected 1 to 2000 each way"), "{error}");
    }
}
