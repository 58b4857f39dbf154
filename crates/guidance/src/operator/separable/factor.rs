//! One matrix of a Kronecker product, and its singular value decomposition.

use nalgebra::DMatrix;
use std::sync::OnceLock;

/// A matrix that acts on one axis of a sample, or on several neighbouring ones as if they were one.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    axes: usize,
    matrix: DMatrix<f64>,
    /// Made when it is first asked for: products of maps need none of their parts.
    decomposition: OnceLock<Decomposition>,
}

/// A full decomposition: as many coordinates as columns.
#[derive(Clone, Debug)]
struct Decomposition {
    /// Rows are the right singular vectors, those without a singular value last.
    right: DMatrix<f64>,
    /// From measurements to coordinates, without the singular values.
    left: DMatrix<f64>,
    values: Vec<f64>,
}

impl Factor {
    pub(super) fn new(axes: usize, matrix: DMatrix<f64>) -> Self {
        Self { axes, matrix, decomposition: OnceLock::new() }
    }

    /// The number of axes that it acts on.
    pub(super) fn axes(&self) -> usize {
        self.axes
    }

    pub(super) fn matrix(&self) -> &DMatrix<f64> {
        &self.matrix
    }

    /// This factor and that of the next axes as one.
    pub(super) fn and(&self, next: &Self) -> Self {
        Self::new(self.axes + next.axes, self.matrix.kronecker(&next.matrix))
    }

    /// This factor after one of the same axes.
    pub(super) fn after(&self, first: &Self) -> Self {
        Self::new(self.axes, &self.matrix * &first.matrix)
    }

    pub(super) fn right(&self) -> &DMatrix<f64> {
        &self.decomposition().right
    }

    pub(super) fn left(&self) -> &DMatrix<f64> {
        &self.decomposition().left
    }

    pub(super) fn singular_values(&self) -> &[f64] {
        &self.decomposition().values
    }

    fn decomposition(&self) -> &Decomposition {
        self.decomposition.get_or_init(|| Decomposition::of(&self.matrix))
    }
}

impl Decomposition {
    fn of(matrix: &DMatrix<f64>) -> Self {
        let (rows, columns) = matrix.shape();
        // at least as many rows as columns, so that all right singular vectors come out, seen or not
        let tall = matrix.clone().resize_vertically(rows.max(columns), 0.0);
        let svd = tall.svd(true, true);
        let none = || DMatrix::zeros(columns, columns);
        let right = svd.v_t.unwrap_or_else(none);
        let left = svd.u.unwrap_or_else(none).transpose().columns(0, rows).into_owned();
        Self { right, left, values: svd.singular_values.iter().copied().collect() }
    }
}
