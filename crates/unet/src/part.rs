//! A layer under its name.

use crate::builder::Builder;
use crate::program::Layer;

/// A layer (or a junction) and the name of its module.
#[derive(Debug)]
pub(crate) struct Part<L: ?Sized = dyn Layer> {
    pub(crate) name: String,
    pub(crate) layer: Box<L>,
}

impl Part<dyn Layer> {
    pub(crate) fn new<L: Layer + 'static>(
        b: Builder<'_>,
        make: impl FnOnce(Builder<'_>) -> L,
    ) -> Self {
        Self { name: b.name(), layer: Box::new(make(b)) }
    }
}
