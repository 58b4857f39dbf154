//! From charts to strokes: layout of the page, title and legend.

mod panel;
mod scale;
mod strokes;

use crate::font::text;
use crate::legend::{self, Entry};
use crate::{Colour, Picture, PlotError};
use panel::Panel;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, DrawingBackend};
use plotters::style::WHITE;
use plotters::style::text_anchor::{HPos, VPos};

type Area<DB> = DrawingArea<DB, Shift>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

/// Sizes in points.
const MARGIN: f64 = 8.0;
const TITLE: f64 = 16.0;
const LEGEND: f64 = 11.5;
const LEGEND_ROW: f64 = 19.0;
const LEGEND_GAP: f64 = 20.0;
const SWATCH: f64 = 24.0;

/// The drawing library centres text on its line, whose middle is above that of small letters.
const SINK: f64 = 1.2;

/// A picture with everything decided but the strokes.
pub(crate) struct Page<'a> {
    picture: &'a Picture,
    panels: Vec<Panel<'a>>,
    legend: Vec<Entry>,
    /// Row and left edge of each entry of the legend, in points.
    places: Vec<(usize, f64)>,
    /// Pixels a point.
    pixels: f64,
}

impl<'a> Page<'a> {
    /// Lays out a picture. The font must be registered.
    pub(crate) fn new(picture: &'a Picture, pixels: f64) -> Result<Self, PlotError> {
        let panels: Result<Vec<_>, _> = picture.charts.iter().map(Panel::new).collect();
        let legend = legend::entries(picture);
        let width = |entry: &Entry| {
            let style = text(100.0 * LEGEND, Colour::INK, HPos::Left, VPos::Center);
            let (width, _) =
                style.font.box_size(&entry.label).map_err(|e| PlotError::Draw(e.into()))?;
            Ok(f64::from(width) / 100.0 + SWATCH + 6.0)
        };
        let widths: Result<Vec<_>, PlotError> = legend.iter().map(width).collect();
        let places = legend::places(&widths?, LEGEND_GAP, f64::from(picture.width) - 2.0 * MARGIN);
        Ok(Self { picture, panels: panels?, legend, places, pixels })
    }

    /// Height of title and legend in points.
    fn heading(&self) -> f64 {
        let title = if self.picture.title.is_empty() { 0.0 } else { TITLE + 10.0 };
        let rows = self.places.last().map_or(0, |(row, _)| row + 1);
        MARGIN + title + LEGEND_ROW * rows as f64
    }

    /// Width and height in points.
    pub(crate) fn points(&self) -> (u32, u32) {
        let rows = self.panels.len().div_ceil(self.picture.columns) as u32;
        let charts = rows.saturating_mul(self.picture.chart_height);
        (self.picture.width, charts.saturating_add((self.heading() + MARGIN).ceil() as u32))
    }

    /// Width and height in pixels.
    pub(crate) fn size(&self) -> (u32, u32) {
        let (width, height) = self.points();
        let scale = self.pixels as u32;
        (width * scale, height * scale)
    }

    /// A length in whole pixels.
    fn px(&self, points: f64) -> i32 {
        (points * self.pixels).round() as i32
    }

    /// Draws the picture on an area of its size.
    pub(crate) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>) -> Result<(), PlotError>
    where
        DB::ErrorType: 'static,
    {
        self.strokes(area).map_err(|error| PlotError::Draw(Box::new(error)))
    }

    fn strokes<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        area.fill(&WHITE)?;
        let (heading, charts) = area.split_vertically(self.px(self.heading()));
        self.draw_heading(&heading)?;
        let rows = self.panels.len().div_ceil(self.picture.columns);
        let side = self.px(MARGIN) / 2;
        let charts = charts.margin(0, self.px(MARGIN), side, side);
        let places = charts.split_evenly((rows, self.picture.columns));
        for (panel, place) in self.panels.iter().zip(&places) {
            panel.draw(place, self.pixels)?;
        }
        area.present()
    }

    fn draw_heading<DB: DrawingBackend>(&self, area: &Area<DB>) -> Drawn<DB> {
        let middle = (area.dim_in_pixel().0 / 2) as i32;
        let style = text(TITLE * self.pixels, Colour::INK, HPos::Center, VPos::Top);
        area.draw_text(&self.picture.title, &style, (middle, self.px(MARGIN)))?;
        let rows = self.places.last().map_or(0, |(row, _)| row + 1);
        let top = self.heading() - LEGEND_ROW * rows as f64;
        for (entry, (row, left)) in self.legend.iter().zip(&self.places) {
            let height = self.px(top + LEGEND_ROW * (*row as f64 + 0.5));
            let left = MARGIN + left;
            let ends = [(self.px(left), height), (self.px(left + SWATCH), height)];
            strokes::swatch(area, ends, &entry.style, self.pixels)?;
            let style = text(LEGEND * self.pixels, Colour::INK, HPos::Left, VPos::Center);
            let place = (self.px(left + SWATCH + 6.0), height + self.px(SINK));
            area.draw_text(&entry.label, &style, place)?;
        }
        Ok(())
    }
}
