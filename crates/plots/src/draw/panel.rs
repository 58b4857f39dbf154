//! One chart: its axes, and its layers in their places.

use super::scale::MarkedScale;
use super::{Area, Drawn, strokes};
use crate::clip::Frame;
use crate::font::{rgb, text};
use crate::ticks::Ticks;
use crate::{Chart, Colour, Layer, PlotError};
use plotters::prelude::{
    Cartesian2d, ChartBuilder, ChartContext, Color, DrawingBackend, Rectangle, ShapeStyle, Text,
};
use plotters::style::text_anchor::{HPos, VPos};

/// Sizes in points.
const LABEL: f64 = 12.0;
const NUMBER: f64 = 10.5;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 38.0;
const MARGIN: f64 = 8.0;

/// Room that a numbered mark wants along each axis, in points.
const MARK_ROOM: (f64, f64) = (52.0, 40.0);

const GRID: Colour = Colour([226, 230, 235]);
const FINE_GRID: Colour = Colour([238, 241, 244]);

type Plane = Cartesian2d<MarkedScale, MarkedScale>;

/// A chart with the ends of its axes known.
pub(super) struct Panel<'a> {
    chart: &'a Chart,
    frame: Frame,
}

impl<'a> Panel<'a> {
    pub(super) fn new(chart: &'a Chart) -> Result<Self, PlotError> {
        let points: Vec<_> = chart.layers.iter().flat_map(Layer::points).collect();
        let x = chart.x.ends(points.iter().map(|point| point.0))?;
        let y = chart.y.ends(points.iter().map(|point| point.1))?;
        Ok(Self { chart, frame: Frame { x, y } })
    }

    /// Draws the chart on its part of the page; shades lie under the grid, all else above it.
    pub(super) fn draw<DB: DrawingBackend>(&self, area: &Area<DB>, pixels: f64) -> Drawn<DB> {
        let (width, height) = area.dim_in_pixel();
        let scale = |scale, ends, side: u32, room: f64| {
            let count = (f64::from(side) / pixels / room).max(2.0) as usize;
            MarkedScale { ends, ticks: Ticks::new(scale, ends, count) }
        };
        let x = scale(self.chart.x.scale, self.frame.x, width, MARK_ROOM.0);
        let y = scale(self.chart.y.scale, self.frame.y, height, MARK_ROOM.1);
        let px = |points: f64| (points * pixels).round() as u32;
        let mut builder = ChartBuilder::on(area);
        builder.margin(px(MARGIN));
        if !self.chart.framed {
            builder.x_label_area_size(px(BOTTOM)).y_label_area_size(px(LEFT));
        }
        if !self.chart.title.is_empty() {
            builder.margin_top(px(MARGIN + self.title_size() + 5.0));
        }
        let mut context = builder.build_cartesian_2d(x, y)?;
        self.title(&context, pixels)?;
        self.shades(&context)?;
        if !self.chart.framed {
            self.grid(&mut context, pixels)?;
        }
        self.layers(&context, pixels)?;
        if self.chart.framed {
            let plane = context.plotting_area();
            let (across, down) = plane.get_pixel_range();
            let corners = [(across.start, down.start), (across.end, down.end)];
            let border = Rectangle::new(corners, stroke(Colour::GREY, 0.8 * pixels));
            plane.use_screen_coord().draw(&border)?;
        }
        Ok(())
    }

    /// Small charts have small titles.
    fn title_size(&self) -> f64 {
        if self.chart.framed { 11.0 } else { 13.0 }
    }

    /// The title, over the middle of the plane.
    fn title<DB: DrawingBackend>(
        &self,
        context: &ChartContext<'_, DB, Plane>,
        pixels: f64,
    ) -> Drawn<DB> {
        let plane = context.plotting_area();
        let (across, down) = plane.get_pixel_range();
        let place = (i32::midpoint(across.start, across.end), down.start - (6.0 * pixels) as i32);
        let style = text(self.title_size() * pixels, Colour::INK, HPos::Center, VPos::Bottom);
        plane.use_screen_coord().draw(&Text::new(self.chart.title.as_str(), place, style))
    }

    fn grid<DB: DrawingBackend>(
        &self,
        context: &mut ChartContext<'_, DB, Plane>,
        pixels: f64,
    ) -> Drawn<DB> {
        let style = |size: f64| text(size * pixels, Colour::INK, HPos::Center, VPos::Center);
        let mut mesh = context.configure_mesh();
        if self.chart.layers.iter().any(|layer| matches!(layer, Layer::Density(_))) {
            mesh.disable_mesh();
        }
        mesh.bold_line_style(stroke(GRID, 0.8 * pixels))
            .light_line_style(stroke(FINE_GRID, 0.6 * pixels))
            .axis_style(stroke(Colour::GREY, pixels))
            .set_all_tick_mark_size((4.0 * pixels) as i32)
            .y_label_offset((1.2 * pixels) as i32)
            .label_style(style(NUMBER))
            .axis_desc_style(style(LABEL))
            .x_desc(self.chart.x.label.as_str())
            .y_desc(self.chart.y.label.as_str())
            .draw()
    }

    fn shades<DB: DrawingBackend>(&self, context: &ChartContext<'_, DB, Plane>) -> Drawn<DB> {
        let plane = context.plotting_area();
        let screen = plane.use_screen_coord();
        for layer in &self.chart.layers {
            if let Layer::Density(density) = layer {
                let corner = |point| plane.map_coordinate(&self.place(point));
                strokes::density(&screen, density, plane.get_pixel_range(), corner)?;
            }
        }
        Ok(())
    }

    fn layers<DB: DrawingBackend>(
        &self,
        context: &ChartContext<'_, DB, Plane>,
        pixels: f64,
    ) -> Drawn<DB> {
        let plane = context.plotting_area();
        let screen = plane.use_screen_coord();
        let inside = |points: &[(f64, f64)]| -> Vec<(i32, i32)> {
            let places = points.iter().map(|point| self.place(*point));
            let inside = places.filter(|place| self.frame.holds(*place));
            inside.map(|place| plane.map_coordinate(&place)).collect()
        };
        for layer in &self.chart.layers {
            match layer {
                Layer::Density(_) => {}
                Layer::Dots(dots) => {
                    let radius = dots.radius * pixels;
                    strokes::dots(&screen, &inside(&dots.points), dots.colour, radius)?;
                }
                Layer::Line(line) => {
                    let places: Vec<_> = line.points.iter().map(|p| self.place(*p)).collect();
                    for piece in self.frame.pieces(&places) {
                        let piece = piece.iter().map(|place| plane.map_coordinate(place));
                        strokes::line(&screen, piece, &line.style, pixels)?;
                    }
                    strokes::marks(&screen, &inside(&line.points), &line.style, pixels)?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.chart.x.place(x), self.chart.y.place(y))
    }
}

fn stroke(colour: Colour, width: f64) -> ShapeStyle {
    rgb(colour).stroke_width(width.round() as u32)
}
