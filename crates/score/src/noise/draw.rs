//! How a backend turns a stream of numbers into a state.

use crate::Batch;

/// A state that can be filled from a stream of numbers, sample after sample in row-major order.
pub trait Draw: Batch {
    /// A state of the shape, type and device of `like`, filled by calling `next` once a value.
    fn draw_like(like: &Self, next: &mut dyn FnMut() -> f64) -> Self;
}
