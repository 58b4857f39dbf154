//! One pair of axes and what is drawn between them.

use crate::{Axis, Layer};

/// A chart: axes and layers, the first at the bottom.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) layers: Vec<Layer>,
    pub(crate) framed: bool,
}

impl Chart {
    /// An empty chart; no title takes no room.
    #[must_use]
    pub fn new(title: impl Into<String>, x: Axis, y: Axis) -> Self {
        Self { title: title.into(), x, y, layers: Vec::new(), framed: false }
    }

    /// The same chart with a plain frame in place of its axes, for many small charts side by side.
    #[must_use]
    pub fn framed(mut self) -> Self {
        self.framed = true;
        self
    }

    /// The same chart with one more layer on top.
    #[must_use]
    pub fn with(mut self, layer: impl Into<Layer>) -> Self {
        self.layers.push(layer.into());
        self
    }

    /// The same chart with more layers on top.
    #[must_use]
    pub fn with_all<L: Into<Layer>>(mut self, layers: impl IntoIterator<Item = L>) -> Self {
        self.layers.extend(layers.into_iter().map(Into::into));
        self
    }
}
