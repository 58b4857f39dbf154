//! The header of a safetensors file: which tensors lie where.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use safetensors::Dtype;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::json_object::{Unique, twice};
use crate::{CheckpointError, TensorDescription};

/// The name under which free text stands among the tensors.
const METADATA: &str = "__metadata__";

/// What a header says, checked: the tensors lie behind one another without gap or overlap, each in as many bytes as
/// its type and shape take.
#[derive(Debug)]
pub(crate) struct TensorHeader {
    /// Every tensor, and where in the data it begins, ordered by that.
    pub(crate) tensors: Vec<(String, TensorDescription, u64)>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Bytes that all tensors take.
    pub(crate) data_length: u64,
}

impl TensorHeader {
    /// # Errors
    /// When it is no JSON of that form, a name stands twice, or a tensor's type, shape and range do not fit; then
    /// the error names the tensor.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self, CheckpointError> {
        let Written { entries, metadata } = serde_json::from_slice(text)
            .map_err(|source| CheckpointError::Header { path: path.to_path_buf(), source })?;
        let mut entries: Vec<_> = entries.into_iter().collect();
        entries.sort_by_key(|(_, entry)| entry.data_offsets);
        let (mut tensors, mut data_length) = (Vec::with_capacity(entries.len()), 0);
        for (name, entry) in entries {
            let Entry { dtype, shape, data_offsets: (begin, end) } = entry;
            let refuse = |problem: String| CheckpointError::HeaderTensor {
                path: path.to_path_buf(),
                name: name.clone(),
                dtype: dtype.clone(),
                problem: format!("and shape {shape:?} {problem}"),
            };
            if begin != data_length {
                return Err(refuse(format!("begins at byte {begin}, expected {data_length}")));
            }
            let known = known_dtype(&dtype).ok_or_else(|| {
                refuse("is of a type that safetensors files do not have".to_owned())
            })?;
            check_range(known, &shape, (begin, end)).map_err(refuse)?;
            data_length = end;
            tensors.push((name, TensorDescription { dtype: known, shape }, begin));
        }
        Ok(Self { tensors, metadata, data_length })
    }
}

fn known_dtype(name: &str) -> Option<Dtype> {
    Dtype::deserialize(StrDeserializer::<serde_json::Error>::new(name)).ok()
}

/// Holds a range against the bytes that type and shape take; else gives what is wrong.
fn check_range(dtype: Dtype, shape: &[usize], (begin, end): (u64, u64)) -> Result<(), String> {
    let bits = shape.iter().try_fold(dtype.bitsize() as u64, |n, &d| n.checked_mul(d as u64));
    let bits = bits.ok_or_else(|| "takes more bytes than can be counted".to_owned())?;
    let length = end.checked_sub(begin);
    let length = length.ok_or_else(|| format!("begins at byte {begin} and ends at {end}"))?;
    if length.checked_mul(8) == Some(bits) {
        return Ok(());
    }
    Err(format!("takes {} bytes, its range has {length}", bits.div_ceil(8)))
}

/// The header as it stands in the file.
#[derive(Default)]
struct Written {
    entries: BTreeMap<String, Entry>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Written;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Written, A::Error> {
        let (mut entries, mut metadata) = (BTreeMap::new(), None);
        while let Some(name) = map.next_key::<String>()? {
            if entries.contains_key(&name) || (name == METADATA && metadata.is_some()) {
                return Err(twice(&name));
            }
            if name == METADATA {
                let said = map.next_value_seed(Unique)?;
                let said: Option<_> = serde_json::from_value(said).map_err(A::Error::custom)?;
                metadata = Some(said.unwrap_or_default());
                continue;
            }
            let in_tensor = |error| A::Error::custom(format_args!("tensor `{name}`: {error}"));
            let entry: Entry = map.next_value().map_err(in_tensor)?;
            entries.insert(name, entry);
        }
        Ok(Written { entries, metadata: metadata.unwrap_or_default() })
    }
}
