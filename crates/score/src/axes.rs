//! Products of a matrix with one axis of a state: channels mixed, rows and columns blurred or averaged.

#[cfg(feature = "ndarray")]
mod ndarray_axes;
#[cfg(feature = "tch")]
mod tch_axes;

use crate::Batch;

/// A state with axes of its own: the batch first, then those of a sample.
pub trait Axes: Batch {
    /// `matrix` times the vectors along `axis`, whose length becomes the number of the matrix's rows.
    /// The matrix is row-major and has as many columns as the axis is long.
    ///
    /// # Panics
    /// When there is no such axis, or the matrix is not a whole number of rows.
    fn along_axis(&self, axis: usize, matrix: &[f64]) -> Self;

    /// The same values, in row-major order, as samples of this shape.
    ///
    /// # Panics
    /// When the shape has another number of values.
    fn with_item_shape(&self, item: &[usize]) -> Self;
}
