//! Axes of tensors.

use super::Axes;
use tch::Tensor;

impl Axes for Tensor {
    fn shape(&self) -> Vec<usize> {
        self.size().into_iter().map(|length| length as usize).collect()
    }

    fn along_axis(&self, axis: usize, matrix: &[f64]) -> Self {
        let (axis, columns) = (axis as i64, self.size()[axis]);
        let matrix = Tensor::from_slice(matrix).view([-1, columns]);
        let matrix = matrix.to_kind(self.kind()).to_device(self.device());
        self.movedim_int(axis, -1).matmul(&matrix.tr()).movedim_int(-1, axis)
    }
}
