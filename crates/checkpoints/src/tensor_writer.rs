//! Writes safetensors files, the same bytes for the same tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, View};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::durable::write_then_rename;
use crate::{CheckpointError, FileRecord};

/// A tensor held as bytes, little endian, row-major.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedTensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl OwnedTensor {
    /// A tensor of the given element type and shape over little-endian, row-major `bytes`.
    ///
    /// # Errors
    /// When the number of bytes is not what type and shape ask for.
    pub fn new(dtype: Dtype, shape: &[usize], bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        let expected = byte_count(dtype, shape).unwrap_or(u64::MAX);
        if expected != bytes.len() as u64 {
            return Err(CheckpointError::TensorSize {
                name: String::new(),
                shape: shape.to_vec(),
                dtype,
                expected,
                actual: bytes.len() as u64,
            });
        }
        Ok(Self { dtype, shape: shape.to_vec(), bytes })
    }

    /// A tensor of `f32` values in row-major order.
    ///
    /// # Errors
    /// When the number of values is not the product of the shape.
    pub fn from_f32(shape: &[usize], values: &[f32]) -> Result<Self, CheckpointError> {
        Self::new(Dtype::F32, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    /// A tensor of `i64` values in row-major order.
    ///
    /// # Errors
    /// When the number of values is not the product of the shape.
    pub fn from_i64(shape: &[usize], values: &[i64]) -> Result<Self, CheckpointError> {
        Self::new(Dtype::I64, shape, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
}

impl View for OwnedTensor {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Bytes that a tensor of this type and shape takes; `None` where the product overflows or ends
/// inside a byte.
fn byte_count(dtype: Dtype, shape: &[usize]) -> Option<u64> {
    let elements = shape.iter().try_fold(1_u64, |n, &d| n.checked_mul(d as u64))?;
    let bits = elements.checked_mul(dtype.bitsize() as u64)?;
    (bits % 8 == 0).then_some(bits / 8)
}

/// The header as it stands in the file. Ordered maps, so that equal tensors give equal bytes.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__", skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, &'a TensorInfo>,
}

/// Writes `tensors` to a safetensors file at `path`, atomically, and returns its size and sha256.
///
/// The bytes depend on names, values and `metadata` only, not on the order given. A [`View`] hands
/// out its bytes when its turn comes, so tensors need not all be copied at once.
///
/// # Errors
/// When a tensor's bytes disagree with its shape, or the file cannot be written; a file that was
/// at `path` before then stays.
pub fn write_safetensors<S, V>(
    path: &Path,
    tensors: impl IntoIterator<Item = (S, V)>,
    metadata: &BTreeMap<String, String>,
) -> Result<FileRecord, CheckpointError>
where
    S: Into<String>,
    V: View,
{
    let mut tensors: Vec<(String, V)> = tensors.into_iter().map(|(n, t)| (n.into(), t)).collect();
    // Widest elements first, as the format's own writer does: every tensor then lies aligned.
    tensors.sort_by(|(a, s), (b, t)| t.dtype().cmp(&s.dtype()).then_with(|| a.cmp(b)));
    let header = header_bytes(path, &tensors, metadata)?;
    write_then_rename(path, |file| write_body(path, file, &header, &tensors))
}

fn header_bytes<V: View>(
    path: &Path,
    tensors: &[(String, V)],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, CheckpointError> {
    let mut infos = Vec::with_capacity(tensors.len());
    let mut offset = 0;
    for (name, tensor) in tensors {
        let end = offset + tensor.data_len();
        let info = TensorInfo {
            dtype: tensor.dtype(),
            shape: tensor.shape().to_vec(),
            data_offsets: (offset, end),
        };
        infos.push((name.clone(), info));
        offset = end;
    }
    Metadata::new(None, infos.clone())
        .map_err(|source| CheckpointError::Describe { path: path.to_path_buf(), source })?;
    let tensors = infos.iter().map(|(name, info)| (name.as_str(), info)).collect();
    let mut header = serde_json::to_vec(&Header { metadata, tensors })
        .map_err(|source| CheckpointError::Encode { path: path.to_path_buf(), source })?;
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok(header)
}

fn write_body<V: View>(
    path: &Path,
    file: &mut File,
    header: &[u8],
    tensors: &[(String, V)],
) -> Result<FileRecord, CheckpointError> {
    let mut out = Hashing { inner: BufWriter::new(file), sum: Sha256::new(), bytes: 0 };
    let failed = || CheckpointError::io("write", path);
    out.write_all(&(header.len() as u64).to_le_bytes()).map_err(failed())?;
    out.write_all(header).map_err(failed())?;
    for (name, tensor) in tensors {
        let data = tensor.data();
        if data.len() != tensor.data_len() {
            return Err(CheckpointError::TensorSize {
                name: name.clone(),
                shape: tensor.shape().to_vec(),
                dtype: tensor.dtype(),
                expected: tensor.data_len() as u64,
                actual: data.len() as u64,
            });
        }
        out.write_all(&data).map_err(failed())?;
    }
    out.flush().map_err(failed())?;
    Ok(FileRecord { bytes: out.bytes, sha256: hex(&out.sum.finalize()) })
}

/// Passes bytes on and sums them on the way.
struct Hashing<W> {
    inner: W,
    sum: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.sum.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// The sha256 of `bytes`, 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors() -> Vec<(&'static str, OwnedTensor)> {
        vec![
            ("b", OwnedTensor::from_f32(&[2, 1], &[1.0, 2.0]).unwrap()),
            ("a", OwnedTensor::from_i64(&[], &[7]).unwrap()),
            ("c", OwnedTensor::from_f32(&[0], &[]).unwrap()),
        ]
    }

    #[test]
    fn the_same_tensors_give_the_same_bytes_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let metadata: BTreeMap<_, _> =
            ["x", "y", "z"].map(|k| (k.to_owned(), "1".to_owned())).into_iter().collect();
        let mut reversed = tensors();
        reversed.reverse();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let first = write_safetensors(&one, tensors(), &metadata).unwrap();
        let second = write_safetensors(&two, reversed, &metadata).unwrap();
        assert_eq!(first, second);
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        assert_eq!(first.bytes, std::fs::metadata(&one).unwrap().len());
    }

    #[test]
    fn the_library_itself_reads_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one");
        write_safetensors(&path, tensors(), &BTreeMap::new()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(read.tensor("b").unwrap().shape(), [2, 1]);
        assert_eq!(read.tensor("a").unwrap().data(), 7_i64.to_le_bytes());
    }

    #[test]
    fn bytes_that_do_not_fit_the_shape_are_refused() {
        let error = OwnedTensor::new(Dtype::F32, &[3], vec![0; 8]).unwrap_err();
        assert_eq!(error.to_string(), "tensor `` of shape [3] and type F32 takes 12 bytes, got 8");
        OwnedTensor::new(Dtype::F32, &[usize::MAX, 2], vec![]).unwrap_err();
    }

    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
