//! Axes of libtorch tensors.

use super::Axes;
use tch::{Kind, Tensor};

impl Axes for Tensor {
    /// In double precision whatever the tensor's own, as for arrays: an operator and its pseudo-inverse
    /// are walked at every step, and their rounding would add up.
    fn along_axis(&self, axis: usize, matrix: &[f64]) -> Self {
        let columns = self.size()[axis];
        let whole = columns > 0 && matrix.len().is_multiple_of(columns as usize);
        assert!(whole, "whole rows of {columns}");
        let axis = axis as i64;
        let matrix = Tensor::from_slice(matrix).view([-1, columns]).to_device(self.device());
        let vectors = self.to_kind(Kind::Double).movedim_int(axis, -1);
        vectors.matmul(&matrix.tr()).movedim_int(-1, axis).to_kind(self.kind())
    }

    fn with_item_shape(&self, item: &[usize]) -> Self {
        let shape: Vec<i64> =
            self.size()[..1].iter().copied().chain(item.iter().map(|side| *side as i64)).collect();
        assert_eq!(self.numel() as i64, shape.iter().product::<i64>(), "values of a state");
        self.reshape(&shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, IxDyn};

    fn pair() -> (Tensor, ArrayD<f64>) {
        let values: Vec<f64> = (0..48).map(|k| f64::from(k * k % 17) - 3.5).collect();
        let tensor = Tensor::from_slice(&values).view([2, 3, 2, 4]);
        (tensor, ArrayD::from_shape_vec(IxDyn(&[2, 3, 2, 4]), values).unwrap())
    }

    fn values(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.to_kind(Kind::Double).contiguous().flatten(0, -1)).unwrap()
    }

    #[test]
    fn a_matrix_acts_on_the_axis_of_a_tensor_as_on_that_of_an_array() {
        let (tensor, array) = pair();
        for (axis, length) in [(1, 3), (2, 2), (3, 4)] {
            for rows in [1, 3, 5] {
                let matrix: Vec<f64> = (0..rows * length).map(|k| (k as f64).sin()).collect();
                let product = tensor.along_axis(axis, &matrix);
                let expected = array.along_axis(axis, &matrix);
                let shape: Vec<usize> = product.size().iter().map(|side| *side as usize).collect();
                assert_eq!(shape, expected.shape());
                let pairs = values(&product).into_iter().zip(expected.iter().copied());
                assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-12), "{axis}, {rows}");
            }
        }
    }

    #[test]
    fn single_precision_is_rounded_once() {
        let (tensor, array) = pair();
        let matrix = [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0];
        let product = tensor.to_kind(Kind::Float).along_axis(1, &matrix);
        assert_eq!(product.kind(), Kind::Float);
        let expected = array.along_axis(1, &matrix);
        let rounded: Vec<f64> = expected.iter().map(|value| f64::from(*value as f32)).collect();
        assert_eq!(values(&product), rounded);
    }

    #[test]
    fn a_tensor_takes_another_shape_row_by_row() {
        let (tensor, array) = pair();
        let turned = tensor.permute([0, 1, 3, 2]).with_item_shape(&[6, 4]);
        let expected = array.permuted_axes(IxDyn(&[0, 1, 3, 2])).with_item_shape(&[6, 4]);
        assert_eq!(turned.size(), [2, 6, 4]);
        assert_eq!(values(&turned), expected.iter().copied().collect::<Vec<_>>());
    }
}
