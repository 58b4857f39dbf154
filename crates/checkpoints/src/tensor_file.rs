//! Reads safetensors files, one tensor at a time, checked before anything is allocated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use safetensors::Dtype;

use crate::data_file::DataFile;
use crate::foreign_file::instead_of_weights;
use crate::tensor_header::TensorHeader;
use crate::{CheckpointError, StoredTensor, TensorDescription};

/// The format's own limit on the header's length.
const HEADER_LIMIT: u64 = 100_000_000;

/// Tensors with names that lie in a file, read one at a time. The file is a safetensors file, or what
/// holds a dict of tensors like one: a [`TorchFile`](crate::TorchFile), or several files of one model.
#[derive(Clone, Debug)]
pub struct TensorFile {
    path: PathBuf,
    tensors: BTreeMap<String, StoredTensor>,
    metadata: BTreeMap<String, String>,
}

impl TensorFile {
    /// Opens a safetensors file and checks its header: valid JSON, ranges that cover the rest of the
    /// file without gap or overlap, sizes that agree with shapes.
    ///
    /// # Errors
    /// When the file cannot be read or one of those checks fails; the error names the file.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::parse(&DataFile::open(path)?)
    }

    /// The same for a safetensors file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::parse(&DataFile::in_memory(name, bytes))
    }

    /// Tensors that were found and checked elsewhere; `path` is where a missing one is missed.
    pub(crate) fn from_tensors(path: &Path, tensors: BTreeMap<String, StoredTensor>) -> Self {
        Self { path: path.to_path_buf(), tensors, metadata: BTreeMap::new() }
    }

    fn parse(file: &Arc<DataFile>) -> Result<Self, CheckpointError> {
        let path = file.path().to_path_buf();
        let header = read_header(file)?;
        let data_start = 8 + header.len() as u64;
        let header = TensorHeader::parse(&path, &header)?;
        let end = data_start.saturating_add(header.data_length);
        check_length(&path, end, file.length())?;
        let tensors = header.tensors.into_iter().map(|(name, description, begin)| {
            let (file, offset) = (Arc::clone(file), data_start + begin);
            (name, StoredTensor { file, offset, description, strides: None })
        });
        let (tensors, metadata) = (tensors.collect(), header.metadata);
        Ok(Self { path, tensors, metadata })
    }

    /// The file's path, as it was given; for several files, their folder or index.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How many tensors the file holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether the file holds no tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The free text entries of the header.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Whether the file holds a tensor of this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The tensors with their names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &StoredTensor)> {
        self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// A tensor, to be read later.
    ///
    /// # Errors
    /// When the file holds no tensor of this name.
    pub fn tensor(&self, name: &str) -> Result<&StoredTensor, CheckpointError> {
        self.tensors.get(name).ok_or_else(|| CheckpointError::MissingTensor {
            path: self.path.clone(),
            name: name.to_owned(),
        })
    }

    /// Element type and shape of a tensor.
    ///
    /// # Errors
    /// When the file holds no tensor of this name.
    pub fn describe(&self, name: &str) -> Result<TensorDescription, CheckpointError> {
        Ok(self.tensor(name)?.description.clone())
    }

    /// The tensor's bytes: little endian, row-major.
    ///
    /// # Errors
    /// When the file holds no tensor of this name or cannot be read.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, CheckpointError> {
        self.tensor(name)?.read()
    }

    /// A tensor that must have this element type and shape.
    ///
    /// # Errors
    /// When the tensor is missing, or has another type or shape.
    pub fn expecting(
        &self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
    ) -> Result<&StoredTensor, CheckpointError> {
        let tensor = self.expect_dtype(name, dtype)?;
        if tensor.shape() != shape {
            return Err(CheckpointError::WrongShape {
                path: self.path.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                actual: tensor.shape().to_vec(),
            });
        }
        Ok(tensor)
    }

    /// The values of a tensor of type F32, row-major.
    ///
    /// # Errors
    /// When the tensor is missing or of another type.
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        let bytes = self.expect_dtype(name, Dtype::F32)?.bytes()?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect())
    }

    /// The values of a tensor of type F64, row-major.
    ///
    /// # Errors
    /// When the tensor is missing or of another type.
    pub fn read_f64(&self, name: &str) -> Result<Vec<f64>, CheckpointError> {
        let bytes = self.expect_dtype(name, Dtype::F64)?.bytes()?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect())
    }

    /// The values of a tensor of type I64, row-major.
    ///
    /// # Errors
    /// When the tensor is missing or of another type.
    pub fn read_i64(&self, name: &str) -> Result<Vec<i64>, CheckpointError> {
        let bytes = self.expect_dtype(name, Dtype::I64)?.bytes()?;
        Ok(bytes.as_chunks().0.iter().map(|chunk| i64::from_le_bytes(*chunk)).collect())
    }

    fn expect_dtype(&self, name: &str, expected: Dtype) -> Result<&StoredTensor, CheckpointError> {
        let tensor = self.tensor(name)?;
        if tensor.dtype() == expected {
            return Ok(tensor);
        }
        Err(CheckpointError::WrongDtype {
            path: self.path.clone(),
            name: name.to_owned(),
            expected,
            actual: tensor.dtype(),
        })
    }
}

/// The header's bytes, read only after its claimed length has been held against the file's.
fn read_header(file: &DataFile) -> Result<Vec<u8>, CheckpointError> {
    let path = file.path();
    check_reaches(path, 8, file.length())?;
    let claimed = u64::from_le_bytes(file.read(0, 8)?.try_into().unwrap_or_default());
    if claimed > HEADER_LIMIT {
        // text has letters where the length stands, so that it claims more than any header may have
        let found = instead_of_weights(file)?;
        let path = path.to_path_buf();
        if let Some(found) = found {
            return Err(CheckpointError::ForeignFile { path, found });
        }
        return Err(CheckpointError::HeaderTooLarge { path, claimed, limit: HEADER_LIMIT });
    }
    file.read(8, claimed)
}

fn check_reaches(path: &Path, expected: u64, actual: u64) -> Result<(), CheckpointError> {
    if actual >= expected {
        return Ok(());
    }
    Err(CheckpointError::Truncated { path: path.to_path_buf(), expected, actual })
}

fn check_length(path: &Path, expected: u64, actual: u64) -> Result<(), CheckpointError> {
    check_reaches(path, expected, actual)?;
    if actual == expected {
        return Ok(());
    }
    Err(CheckpointError::TrailingBytes { path: path.to_path_buf(), expected, actual })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::chain;
    use crate::{OwnedTensor, write_safetensors};

    fn example(folder: &Path) -> PathBuf {
        let path = folder.join("weights.safetensors");
        let tensors = [
            ("w", OwnedTensor::from_f32(&[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap()),
            ("step", OwnedTensor::from_i64(&[1], &[-3]).unwrap()),
        ];
        let metadata = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
        write_safetensors(&path, tensors, &metadata).unwrap();
        path
    }

    /// A file with this header and `data` zero bytes after it.
    fn with_header(folder: &Path, header: &str, data: usize) -> PathBuf {
        let path = folder.join("hand-made.safetensors");
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[track_caller]
    fn check_refused(path: &Path, says: &str) {
        let message = chain(&TensorFile::open(path).unwrap_err());
        assert!(message.contains(says), "{message}");
        assert!(message.contains(path.to_str().unwrap()), "does not name the file: {message}");
    }

    #[test]
    fn tensors_come_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = TensorFile::open(&example(folder.path())).unwrap();
        assert_eq!(file.names().collect::<Vec<_>>(), ["step", "w"]);
        assert_eq!(file.describe("w").unwrap().shape, [2, 3]);
        assert_eq!(file.read_f32("w").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(file.read_i64("step").unwrap(), [-3]);
        assert_eq!(file.metadata()["format"], "pt");
    }

    #[test]
    fn every_truncation_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = example(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            check_refused(&path, "truncated");
        }
    }

    #[test]
    fn trailing_bytes_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = example(folder.path());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.push(0);
        std::fs::write(&path, bytes).unwrap();
        check_refused(&path, "accounts for");
    }

    #[test]
    fn an_absurd_header_length_allocates_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absurd");
        std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
        check_refused(&path, "claims a header of 18446744073709551615 bytes");
    }

    #[test]
    fn what_a_download_left_in_the_place_of_weights_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diffusion_pytorch_model.safetensors");
        let pointer =
            "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 143158284\n";
        for (text, says) in [
            (pointer, "is a pointer of Git LFS, not the file itself"),
            ("<!DOCTYPE html><html></html>", "is a web page, not the file itself"),
            ("\n<!doctype html>", "is a web page, not the file itself"),
            ("<html><body>404</body></html>", "is a web page, not the file itself"),
            ("\u{feff}<!DOCTYPE html>", "is a web page, not the file itself"),
            ("<HTML>\n<HEAD>", "is a web page, not the file itself"),
            ("version of something else", "claims a header of"),
        ] {
            std::fs::write(&path, text).unwrap();
            check_refused(&path, says);
        }
    }

    #[test]
    fn a_header_as_long_as_letters_say_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let header = format!("{:<1$}", "{}", usize::from(u16::from_le_bytes(*b"<!")));
        let path = with_header(folder.path(), &header, 0);
        assert!(std::fs::read(&path).unwrap().starts_with(b"<!"));
        assert!(TensorFile::open(&path).unwrap().is_empty());
    }

    #[test]
    fn absurd_shapes_and_ranges_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let huge = r#"{"a":{"dtype":"F32","shape":[9223372036854775807,4],"data_offsets":[0,8]}}"#;
        let says = "tensor `a` of type F32 and shape [9223372036854775807, 4] takes more bytes";
        check_refused(&with_header(folder.path(), huge, 8), says);
        let far = r#"{"a":{"dtype":"U8","shape":[576460752303423488],"data_offsets":[0,576460752303423488]}}"#;
        check_refused(&with_header(folder.path(), far, 8), "truncated");
    }

    #[test]
    fn overlapping_ranges_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let overlap = r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#;
        let says = "tensor `b` of type U8 and shape [4] begins at byte 2, expected 4";
        check_refused(&with_header(folder.path(), overlap, 6), says);
        let back = r#"{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"c":{"dtype":"U8","shape":[1],"data_offsets":[4,3]}}"#;
        check_refused(&with_header(folder.path(), back, 4), "begins at byte 4 and ends at 3");
    }

    #[test]
    fn a_tensor_that_is_wrong_is_named_with_its_type() {
        let folder = tempfile::tempdir().unwrap();
        for (entry, says) in [
            (
                r#"{"dtype":"Q8","shape":[2],"data_offsets":[0,8]}"#,
                "tensor `a` of type Q8 and shape [2] is of a type",
            ),
            (
                r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#,
                "tensor `a` of type F32 and shape [3] takes 12 bytes, its range has 8",
            ),
            (r#"{"dtype":"F32","shape":[2]}"#, "tensor `a`: missing field `data_offsets`"),
            ("7", "tensor `a`: invalid type"),
        ] {
            check_refused(&with_header(folder.path(), &format!(r#"{{"a":{entry}}}"#), 8), says);
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let one = r#""a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}"#;
        let twice = format!("{{{one},{one}}}");
        check_refused(&with_header(folder.path(), &twice, 4), "`a` stands twice");
        let metadata = format!(r#"{{"__metadata__":{{}},{one},"__metadata__":{{}}}}"#);
        check_refused(&with_header(folder.path(), &metadata, 4), "`__metadata__` stands twice");
        let texts = format!(r#"{{{one},"__metadata__":{{"b":"1","b":"2"}}}}"#);
        check_refused(&with_header(folder.path(), &texts, 4), "`b` stands twice");
        let field = r#"{"a":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
        check_refused(&with_header(folder.path(), field, 4), "tensor `a`: duplicate field `dtype`");
    }

    #[test]
    fn text_that_is_no_header_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        check_refused(&with_header(folder.path(), "not json", 0), "invalid safetensors header");
    }

    #[test]
    fn wrong_types_shapes_and_names_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let file = TensorFile::open(&example(folder.path())).unwrap();
        let message = file.read_f32("step").unwrap_err().to_string();
        assert!(
            message.contains("`step`") && message.contains("is I64, expected F32"),
            "{message}"
        );
        let message = file.expecting("w", Dtype::F32, &[3, 2]).unwrap_err().to_string();
        assert!(message.contains("has shape [2, 3], expected [3, 2]"), "{message}");
        let message = file.read("v").unwrap_err().to_string();
        assert!(message.contains("holds no tensor `v`"), "{message}");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("noise");
            std::fs::write(&path, bytes).unwrap();
            if let Ok(file) = TensorFile::open(&path) {
                prop_assert!(file.is_empty());
            }
        }
    }
}
