//! Charts as pictures: lines, dots and densities on linear or logarithmic axes, as PNG or SVG.
//!
//! A [`Picture`] is a title, a legend and one or more [`Chart`]s side by side; a chart is two
//! [`Axis`] and a list of layers, [`Line`], [`Dots`] and [`Density`], drawn in that order. All of it
//! is plain data: nothing is drawn until [`Picture::png`] or [`Picture::svg`] is asked for bytes, and
//! nothing is written to disk here.
//!
//! Colours are told apart by colour-blind readers too, lines differ in dashes and marks as well, and
//! the font travels with the crate, so that a picture has the same bytes on every machine.
//!
//! ```
//! use tweedie_plots::schedule_picture;
//! use tweedie_schedules::DiscreteTable;
//!
//! let (linear, cosine) = (DiscreteTable::linear(1000, 1e-4, 0.02)?, DiscreteTable::cosine(1000)?);
//! let picture = schedule_picture(&[("linear", &linear), ("cosine", &cosine)]);
//! assert_eq!(picture.charts.len(), 4);
//! assert!(picture.svg()?.starts_with("<svg"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod axis;
mod chart;
mod clip;
mod colour;
mod draw;
mod error;
mod font;
mod indexed;
mod layer;
mod legend;
mod picture;
mod schedules;
mod series;
mod ticks;

pub use axis::{Axis, Scale};
pub use chart::Chart;
pub use colour::Colour;
pub use error::PlotError;
pub use layer::{Density, Dots, Layer, Line};
pub use picture::Picture;
pub use schedules::schedule_picture;
pub use series::{Dash, Mark, Style};
