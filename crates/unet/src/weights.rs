//! Tensors out of files.

use tch::{Kind, Tensor};
use tweedie_checkpoints::{Dtype, TensorFile};

use crate::UNetError;

/// One tensor of a file, on the CPU, with the element type it has there.
///
/// # Errors
/// If the file lacks it, cannot be read, or holds a type that libtorch lacks.
pub fn read_tensor(file: &TensorFile, name: &str) -> Result<Tensor, UNetError> {
    let description = file.describe(name)?;
    let kind = match description.dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        dtype => return Err(UNetError::ElementType { name: name.to_owned(), dtype }),
    };
    let shape: Vec<i64> = description.shape.iter().map(|size| *size as i64).collect();
    // mapped, not copied: the tensor is the only copy
    Ok(Tensor::f_from_data_size(&file.tensor(name)?.bytes()?, &shape, kind)?)
}

/// Every tensor of a file with its name.
///
/// # Errors
/// As for [`read_tensor`].
pub fn read_tensors(file: &TensorFile) -> Result<Vec<(String, Tensor)>, UNetError> {
    file.names().map(|name| Ok((name.to_owned(), read_tensor(file, name)?))).collect()
}
