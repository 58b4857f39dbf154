//! Charts side by side under one title, and their bytes as PNG or SVG.

use crate::{Chart, PlotError, draw, font};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, RgbImage, imageops};
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
        encode(&imageops::thumbnail(&oversize, size.0 / OVERSIZE, size.1 / OVERSIZE))
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

fn encode(picture: &RgbImage) -> Result<Vec<u8>, PlotError> {
    let mut bytes = Vec::new();
    let encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::Adaptive);
    let (width, height) = picture.dimensions();
    encoder
        .write_image(picture, width, height, ExtendedColorType::Rgb8)
        .map_err(PlotError::Encode)?;
    Ok(bytes)
}
