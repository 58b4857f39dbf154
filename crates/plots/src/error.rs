//! What can go wrong while a picture is drawn.

use thiserror::Error;

/// A picture that cannot be drawn.
#[non_exhaustive]
#[derive(Debug, Error)]
pub enum PlotError {
    /// A picture without a chart, or with no column to put it in.
    #[error("a picture of {charts} charts in {columns} columns, expected at least 1 of each")]
    Empty {
        /// Number of charts.
        charts: usize,
        /// Number of columns.
        columns: usize,
    },
    /// The picture would be too large to hold in memory.
    #[error("a picture of {width} x {height} points, expected 1 to {most} each way")]
    Size {
        /// Width in points.
        width: u32,
        /// Height in points.
        height: u32,
        /// The largest side allowed.
        most: u32,
    },
    /// An axis has no room between its ends, or they are not finite (above 0 when logarithmic).
    #[error(
        "the axis '{label}' runs from {low} to {high}, expected finite and rising ends, \
         above 0 on a logarithmic axis"
    )]
    Range {
        /// What the axis shows.
        label: String,
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// The drawing library failed.
    #[error("cannot draw the picture")]
    Draw(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The picture cannot be encoded.
    #[error("cannot encode the picture as PNG")]
    Encode(#[source] png::EncodingError),
}
