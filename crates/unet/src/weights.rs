//! Tensors out of files.

use std::ops::Range;

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::{Dtype, StoredTensor, TensorFile};

use crate::UNetError;
use crate::parameters::empty;

/// Bytes of a file that are mapped at once, all that lies in memory beside the tensor they are copied to.
const WINDOW: usize = 1 << 20;

/// Bytes that are converted and laid out anew at once: few enough to stay near the processor. Fewer, too, than
/// the size from which the C library's allocator asks the system for memory of its own (128 KiB, raised to the
/// largest such block that was ever freed): with larger pieces tensors come to lie between them, in memory full
/// of holes.
const PIECE: usize = 1 << 16;

/// One tensor of a file, on the CPU, with the element type it has there.
///
/// # Errors
/// If the file lacks it, cannot be read, or holds a type that libtorch lacks.
pub fn read_tensor(file: &TensorFile, name: &str) -> Result<Tensor, UNetError> {
    let stored = file.tensor(name)?;
    let shape: Vec<i64> = stored.shape().iter().map(|size| *size as i64).collect();
    let tensor = Tensor::f_empty(shape, (known_kind(file, name)?, Device::Cpu))?;
    read_into(file, name, &tensor)?;
    Ok(tensor)
}

/// Every tensor of a file with its name.
///
/// # Errors
/// As for [`read_tensor`].
pub fn read_tensors(file: &TensorFile) -> Result<Vec<(String, Tensor)>, UNetError> {
    file.names().map(|name| Ok((name.to_owned(), read_tensor(file, name)?))).collect()
}

/// Copies a tensor of a file over the values of `target`, in whatever kind, order in memory and place
/// that has: piece by piece, so that next to nothing lies in memory twice.
///
/// # Errors
/// If the file lacks it, cannot be read, holds a type that libtorch lacks, or the shapes differ.
pub fn read_into(file: &TensorFile, name: &str, target: &Tensor) -> Result<(), UNetError> {
    let (stored, kind) = (file.tensor(name)?, known_kind(file, name)?);
    let shape: Vec<usize> = target.size().iter().map(|size| *size as usize).collect();
    copy(file.expecting(name, stored.dtype(), &shape)?, kind, target).map(drop)
}

fn known_kind(file: &TensorFile, name: &str) -> Result<Kind, UNetError> {
    let dtype = file.tensor(name)?.dtype();
    kind(dtype).ok_or_else(|| UNetError::ElementType { name: name.to_owned(), dtype })
}

/// Copies a tensor of elements of this kind over `target`, of the same shape. Says whether all values are
/// finite there.
fn copy(stored: &StoredTensor, kind: Kind, target: &Tensor) -> Result<bool, UNetError> {
    // Rows of a batch of filters lie side by side in any memory format; all else lies in order.
    let target = if target.dim() == 4 { target.detach() } else { target.detach().f_view(-1)? };
    if target.numel() == 0 {
        return Ok(true);
    }
    let mut shape = target.size();
    let (rows, row) = (shape[0], shape[1..].iter().product::<i64>());
    let row_bytes = row as usize * kind.elt_size_in_bytes();
    let mut finite = true;
    for window in blocks(0..rows, WINDOW / row_bytes) {
        let bytes = stored.part((window.start * row) as usize..(window.end * row) as usize)?;
        for rows in blocks(window.clone(), PIECE / row_bytes) {
            let [start, end] =
                [rows.start, rows.end].map(|at| (at - window.start) as usize * row_bytes);
            shape[0] = rows.end - rows.start;
            let piece = Tensor::f_from_data_size(&bytes[start..end], &shape, kind)?;
            let piece = piece.f_to_kind(target.kind())?;
            finite = finite && all_finite(&piece)?;
            target.f_narrow(0, rows.start, shape[0])?.f_copy_(&piece)?;
        }
    }
    Ok(finite)
}

/// The rows in blocks of this many, at least one.
fn blocks(rows: Range<i64>, at_once: usize) -> impl Iterator<Item = Range<i64>> {
    let at_once = at_once.max(1);
    let end = rows.end;
    rows.step_by(at_once).map(move |start| start..end.min(start + at_once as i64))
}

/// Whether all values are finite: those that are not spread to the lowest or the highest one.
fn all_finite(values: &Tensor) -> Result<bool, UNetError> {
    if values.numel() == 0 || !values.is_floating_point() {
        return Ok(true);
    }
    let (lowest, highest) = values.f_aminmax(None, false)?;
    Ok(lowest.double_value(&[]).is_finite() && highest.double_value(&[]).is_finite())
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        _ => return None,
    })
}

/// Values for a parameter, wherever they lie.
#[derive(Debug)]
pub(crate) enum Given {
    /// In a file; read when the parameter's turn comes.
    Stored(StoredTensor),
    /// In memory; copied then.
    Lent(Tensor),
    /// In memory, and shared where it is of the kind and on the device that are asked for.
    Shared(Tensor),
    /// In a network already, and not checked again.
    Used(Tensor),
}

impl Given {
    pub(crate) fn shape(&self) -> Vec<i64> {
        match self {
            Self::Stored(tensor) => tensor.shape().iter().map(|size| *size as i64).collect(),
            Self::Lent(tensor) | Self::Shared(tensor) | Self::Used(tensor) => tensor.size(),
        }
    }

    /// The type in words.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Stored(tensor) => format!("{:?}", tensor.dtype()),
            Self::Lent(tensor) | Self::Shared(tensor) | Self::Used(tensor) => {
                format!("{:?}", tensor.kind())
            }
        }
    }

    /// The kind of number; `None` where libtorch lacks it.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            Self::Stored(tensor) => kind(tensor.dtype()),
            Self::Lent(tensor) | Self::Shared(tensor) | Self::Used(tensor) => Some(tensor.kind()),
        }
    }

    /// A tensor with these values, which are of the first kind and become the second, and whether all of
    /// them are finite. It is one of its own, laid out as is fastest on the device, but where it is shared.
    pub(crate) fn placed(
        self,
        [own_kind, kind]: [Kind; 2],
        device: Device,
    ) -> Result<(Tensor, bool), UNetError> {
        if let Self::Shared(tensor) = &self {
            let shared = tensor.detach().f_to_device(device)?.f_to_kind(kind)?;
            let finite = all_finite(&shared)?;
            return Ok((shared, finite));
        }
        let target = empty(&self.shape(), kind, device)?;
        let copied = |from: Tensor| tch::no_grad(|| target.shallow_clone().f_copy_(&from));
        let finite = match self {
            Self::Stored(tensor) => copy(&tensor, own_kind, &target)?,
            Self::Lent(tensor) | Self::Shared(tensor) => {
                copied(tensor)?;
                all_finite(&target)?
            }
            Self::Used(tensor) => {
                copied(tensor)?;
                true
            }
        };
        Ok((target, finite))
    }
}
