//! A tensor that lies in a file, read when its values are asked for.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;

use crate::CheckpointError;
use crate::data_file::{DataFile, FileBytes};

/// What a file says about one of its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorDescription {
    /// The element type.
    pub dtype: Dtype,
    /// The shape, row-major.
    pub shape: Vec<usize>,
}

/// A tensor that lies in a file: its type, its shape, and where its elements are. It was checked
/// against the file when that was opened.
#[derive(Clone, Debug)]
pub struct StoredTensor {
    pub(crate) file: Arc<DataFile>,
    /// Where the first element begins, in bytes from the start of the file.
    pub(crate) offset: u64,
    pub(crate) description: TensorDescription,
    /// Steps between neighbours in each dimension, in elements; `None` where they lie row-major
    /// without gaps.
    pub(crate) strides: Option<Vec<usize>>,
}

impl StoredTensor {
    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> Dtype {
        self.description.dtype
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.description.shape
    }

    /// Bytes that [`read`](Self::read) gives.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.len() as u64 * self.dtype().bitsize() as u64 / 8
    }

    /// The file it lies in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The tensor's bytes: little endian, row-major, whatever the order in the file. Large tensors are
    /// mapped and not copied; drop the bytes before the next tensor's are asked for, and no more than
    /// one tensor is in memory.
    ///
    /// The file must not be cut short while its bytes are looked at: a process that touches a mapping
    /// beyond the end of its file is ended by the operating system.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bytes(&self) -> Result<FileBytes<'_>, CheckpointError> {
        self.part(0..self.len())
    }

    /// The bytes of some of its elements, which are counted row-major; of what lies beyond its last one
    /// there are none. Otherwise as [`bytes`](Self::bytes): whoever asks for part after part has no more
    /// than one of them in memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn part(&self, elements: Range<usize>) -> Result<FileBytes<'_>, CheckpointError> {
        let end = elements.end.min(self.len());
        let elements = elements.start.min(end)..end;
        // of an empty tensor the offset may be anything
        if elements.is_empty() {
            return Ok(FileBytes::read(Vec::new()));
        }
        let size = element_bytes(self.dtype()) as usize;
        let Some(strides) = &self.strides else {
            let start = self.offset + (elements.start * size) as u64;
            return self.file.bytes(start, (elements.len() * size) as u64);
        };
        let span = span(self.shape(), strides).unwrap_or(0);
        let stored = self.file.bytes(self.offset, span * size as u64)?;
        Ok(FileBytes::read(gather(&stored, self.shape(), strides, size, elements)))
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        // no overflow: checked when the file was opened
        if self.shape().contains(&0) { 0 } else { self.shape().iter().product() }
    }

    /// Whether it has no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the tensor's bytes, as by [`bytes`](Self::bytes).
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&self) -> Result<Vec<u8>, CheckpointError> {
        self.bytes().map(FileBytes::into_vec)
    }
}

/// Bytes of one element of a type that takes whole bytes.
pub(crate) fn element_bytes(dtype: Dtype) -> u64 {
    dtype.bitsize() as u64 / 8
}

/// Elements from the first to the last that a tensor of this shape touches; `None` on overflow.
pub(crate) fn span(shape: &[usize], strides: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().zip(strides).try_fold(1_u64, |reach, (size, stride)| {
        let steps = (*size as u64 - 1).checked_mul(*stride as u64)?;
        reach.checked_add(steps)
    })
}

/// Whether elements with these strides lie row-major without gaps. The stride of a dimension of one
/// element does not matter.
pub(crate) fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
}

/// Copies strided elements of `size` bytes, those of a range, into row-major order.
fn gather(
    stored: &[u8],
    shape: &[usize],
    strides: &[usize],
    size: usize,
    elements: Range<usize>,
) -> Vec<u8> {
    let mut gathered = Vec::with_capacity(elements.len() * size);
    let mut index = vec![0; shape.len()];
    let mut rest = elements.start;
    for dimension in (0..shape.len()).rev() {
        index[dimension] = rest % shape[dimension];
        rest /= shape[dimension];
    }
    let mut at: usize = index.iter().zip(strides).map(|(index, stride)| index * stride).sum();
    for _ in elements {
        gathered.extend_from_slice(&stored[at * size..(at + 1) * size]);
        // counts on like an odometer
        for dimension in (0..shape.len()).rev() {
            index[dimension] += 1;
            at += strides[dimension];
            if index[dimension] < shape[dimension] {
                break;
            }
            at -= strides[dimension] * shape[dimension];
            index[dimension] = 0;
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strided_elements_are_gathered_row_major() {
        let stored = [0, 1, 2, 3, 4, 5];
        assert_eq!(gather(&stored, &[3, 2], &[1, 3], 1, 0..6), [0, 3, 1, 4, 2, 5]);
        assert_eq!(gather(&stored, &[3, 2], &[1, 3], 1, 1..4), [3, 1, 4]);
        assert_eq!(gather(&stored, &[2, 2], &[0, 1], 1, 0..4), [0, 1, 0, 1]);
        assert_eq!(gather(&stored, &[2, 2], &[0, 1], 1, 3..4), [1]);
        assert_eq!(gather(&stored, &[], &[], 2, 0..1), [0, 1]);
    }

    #[test]
    fn the_parts_of_a_tensor_are_its_bytes_in_order() {
        let file = DataFile::in_memory(Path::new("m"), (0..24).collect());
        let tensor = |strides| StoredTensor {
            file: Arc::clone(&file),
            offset: 4,
            description: TensorDescription { dtype: Dtype::F16, shape: vec![2, 4] },
            strides,
        };
        for tensor in [tensor(None), tensor(Some(vec![1, 2]))] {
            let parts = [0..3, 3..4, 4..7, 7..100, 8..9];
            let parts = parts.map(|part| tensor.part(part).unwrap().to_vec());
            assert_eq!(parts.concat(), *tensor.bytes().unwrap());
            assert_eq!(parts[1].len(), 2);
        }
    }

    #[test]
    fn a_span_reaches_from_the_first_to_the_last_element() {
        assert_eq!(span(&[3, 4], &[4, 1]), Some(12));
        assert_eq!(span(&[3], &[4]), Some(9));
        assert_eq!(span(&[0, 9], &[9, 1]), Some(0));
        assert_eq!(span(&[2, 3], &[usize::MAX, 1]), None);
    }

    #[test]
    fn only_gapless_row_major_strides_are_contiguous() {
        assert!(is_contiguous(&[2, 1, 3], &[3, 77, 1]));
        assert!(is_contiguous(&[], &[]));
        assert!(!is_contiguous(&[2, 3], &[1, 2]));
        assert!(!is_contiguous(&[2, 3], &[4, 1]));
    }
}
