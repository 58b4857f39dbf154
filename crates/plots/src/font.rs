//! The font of all pictures, and how wide it runs.
//!
//! `DejaVu` Sans, cut down to Latin, Greek and the signs of mathematics (assets/NOTICE.md).

use crate::{Colour, PlotError};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontStyle, IntoFont, RGBColor, TextStyle, register_font};
use std::sync::OnceLock;

/// The name under which the font is registered; in an SVG the reader's own font of that kind.
const FAMILY: &str = "sans-serif";

static BYTES: &[u8] = include_bytes!("../assets/DejaVuSans-subset.ttf");

/// Line height of the font in units of its size: the library wants sizes as line heights.
const LINE: f64 = 1.164;

/// Makes the font known to the drawing library, once a process.
pub(crate) fn register() -> Result<(), PlotError> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let done = || register_font(FAMILY, FontStyle::Normal, BYTES).is_ok();
    if *REGISTERED.get_or_init(done) {
        return Ok(());
    }
    Err(PlotError::Draw("the font of the pictures is damaged".into()))
}

/// Text of a size in pixels, anchored at a point.
pub(crate) fn text(size: f64, colour: Colour, across: HPos, down: VPos) -> TextStyle<'static> {
    let font = (FAMILY, size * LINE).into_font();
    TextStyle { font, color: rgb(colour).to_backend_color(), pos: Pos::new(across, down) }
}

/// A colour as the drawing library has it.
pub(crate) fn rgb(colour: Colour) -> RGBColor {
    let Colour([r, g, b]) = colour;
    RGBColor(r, g, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_is_readable() {
        register().unwrap();
        register().unwrap();
    }
}
