//! Axes of `ndarray` arrays.

use super::Axes;
use ndarray::{ArrayD, Axis};

macro_rules! axes_of {
    ($real:ty) => {
        impl Axes for ArrayD<$real> {
            fn along_axis(&self, axis: usize, matrix: &[f64]) -> Self {
                let columns = self.shape()[axis];
                assert!(columns > 0 && matrix.len() % columns == 0, "whole rows of {columns}");
                let mut shape = self.shape().to_vec();
                shape[axis] = matrix.len() / columns;
                let mut product = ArrayD::zeros(shape);
                let lanes = product.lanes_mut(Axis(axis)).into_iter();
                for (mut out, lane) in lanes.zip(self.lanes(Axis(axis))) {
                    for (out, row) in out.iter_mut().zip(matrix.chunks_exact(columns)) {
                        let terms = row.iter().zip(lane.iter()).map(|(a, x)| a * f64::from(*x));
                        *out = terms.sum::<f64>() as $real;
                    }
                }
                product
            }

            fn with_item_shape(&self, item: &[usize]) -> Self {
                let shape = [&self.shape()[..1], item].concat();
                assert_eq!(self.len(), shape.iter().product::<usize>(), "values of a state");
                let values = self.iter().copied().collect();
                ArrayD::from_shape_vec(shape, values).expect("as many values as before")
            }
        }
    };
}

axes_of!(f32);
axes_of!(f64);

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array;

    #[test]
    fn a_matrix_acts_on_the_axis_it_is_given_and_may_change_its_length() {
        let x = Array::from_iter((0..12).map(f64::from)).into_shape_with_order((2, 3, 2)).unwrap();
        let x = x.into_dyn();
        let sums = x.along_axis(1, &[1.0, 1.0, 1.0, 0.0, 0.0, 2.0]);
        let expected = [6.0, 9.0, 8.0, 10.0, 24.0, 27.0, 20.0, 22.0];
        assert_eq!(sums.iter().copied().collect::<Vec<_>>(), expected);
        assert_eq!(sums.shape(), [2, 2, 2]);
        let means = x.along_axis(2, &[0.5, 0.5]);
        assert_eq!(means.shape(), [2, 3, 1]);
        assert_eq!(means[[1, 2, 0]], 10.5);
    }

    #[test]
    fn a_sample_takes_another_shape_row_by_row() {
        let x = Array::from_iter(0..12).mapv(f64::from).into_shape_with_order((2, 3, 2)).unwrap();
        let turned = x.clone().permuted_axes([0, 2, 1]).into_dyn();
        let flat = turned.with_item_shape(&[6]);
        assert_eq!(flat.shape(), [2, 6]);
        assert_eq!(
            flat.iter().copied().take(6).collect::<Vec<_>>(),
            [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]
        );
    }
}
