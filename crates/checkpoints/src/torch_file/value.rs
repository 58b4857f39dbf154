//! What stands in a file of torch.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use safetensors::Dtype;

use super::TorchFile;
use crate::pickle::{Node, NodeId};
use crate::{CheckpointError, StoredTensor, TensorFile};

/// How often the tensors of one dict may hold the bytes of their file. Tied weights are written once
/// and counted twice; a file whose tensors are all one storage would take any amount of memory.
const REPETITIONS: u64 = 4;

/// A value in a [`TorchFile`]: a number, a text, a container, or a tensor that stays in the file until
/// it is read.
///
/// A file may hold a value inside itself, so whoever walks over all of them bounds the depth.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    file: &'a TorchFile,
    id: NodeId,
}

impl<'a> Value<'a> {
    pub(super) fn new(file: &'a TorchFile, id: NodeId) -> Self {
        Self { file, id }
    }

    fn node(self) -> &'a Node {
        self.file.graph.node(self.id)
    }

    fn with(self, id: NodeId) -> Self {
        Self { file: self.file, id }
    }

    /// The file that it stands in.
    pub(crate) fn path(self) -> &'a Path {
        self.file.path()
    }

    /// The kind of value in words: "a dict", "a tensor".
    #[must_use]
    pub fn kind(self) -> &'static str {
        self.node().kind()
    }

    /// Whether it is Python's `None`.
    #[must_use]
    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// A truth value.
    #[must_use]
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// An integer of at most 64 bits.
    #[must_use]
    pub fn as_i64(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A number, integers among them.
    #[must_use]
    pub fn as_f64(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A text; devices and element types are texts too, such as "cuda:0" and "bfloat16".
    #[must_use]
    pub fn as_str(self) -> Option<&'a str> {
        match self.node() {
            Node::Text(text) => Some(text),
            Node::Global(global) => global.element_type(),
            _ => None,
        }
    }

    /// A string of bytes.
    #[must_use]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self.node() {
            Node::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// An array of numpy: the type of its elements, its shape, and its bytes, row-major and little
    /// endian. `None` for anything else, and for arrays of several dimensions that lie by columns.
    #[must_use]
    pub fn as_array(self) -> Option<(Dtype, &'a [usize], &'a [u8])> {
        match self.node() {
            Node::NumpyArray(array) => {
                let bytes = self.with(array.bytes?).as_bytes()?;
                Some((array.dtype, &array.shape, bytes))
            }
            _ => None,
        }
    }

    /// A tensor, a parameter of a module among them.
    #[must_use]
    pub fn as_tensor(self) -> Option<&'a StoredTensor> {
        match self.node() {
            Node::Tensor(index) => self.file.tensors.get(*index as usize),
            _ => None,
        }
    }

    /// The items of a list, tuple or set in their order; `None` for anything else.
    #[must_use]
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        let items = self.file.graph.items(self.id)?;
        Some(items.iter().map(move |id| self.with(*id)))
    }

    /// Keys and values of a dict in the order in which they were set; `None` for anything else.
    #[must_use]
    pub fn entries(self) -> Option<impl DoubleEndedIterator<Item = (Self, Self)>> {
        match self.node() {
            Node::Dict(entries) => {
                Some(entries.iter().map(move |(key, value)| (self.with(*key), self.with(*value))))
            }
            _ => None,
        }
    }

    /// The value of a dict's key, or the item of a list by its number in decimal digits. An integer key
    /// is found by its digits.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Self> {
        let number = key.parse::<i64>().ok();
        if let Some(mut entries) = self.entries() {
            // the last one of a key that was set twice is the one that Python keeps
            let found = entries.rfind(|(name, _)| {
                name.as_str() == Some(key) || number.is_some() && name.as_i64() == number
            });
            return found.map(|(_, value)| value);
        }
        self.items()?.nth(number?.try_into().ok()?)
    }

    /// The value at the end of a path of keys, as by [`get`](Self::get).
    ///
    /// # Errors
    /// When a key on the way is missing; the error names it and those that are there.
    pub fn at(self, path: &[&str]) -> Result<Self, CheckpointError> {
        path.iter().enumerate().try_fold(self, |value, (depth, key)| {
            value.get(key).ok_or_else(|| CheckpointError::MissingEntry {
                path: self.file.path().to_path_buf(),
                key: path[..=depth].join("."),
                found: value.summary(),
            })
        })
    }

    /// What a message says about a value: the first keys of a dict, the kind of anything else.
    pub(crate) fn summary(self) -> String {
        const SHOWN: usize = 12;
        let Some(entries) = self.entries() else { return self.kind().to_owned() };
        let mut keys: Vec<_> =
            entries.filter_map(|(key, _)| key.as_str()).take(SHOWN + 1).collect();
        if keys.len() > SHOWN {
            keys[SHOWN] = "...";
        }
        format!("a dict of [{}]", keys.join(", "))
    }

    /// The tensors of a dict by their names, such as a module's state, or those of a list by their
    /// numbers in decimal digits.
    ///
    /// # Errors
    /// When it is neither, when one of its values is no tensor, or when the tensors share storages so
    /// much that they would take many times the file's length.
    pub fn tensors(self) -> Result<TensorFile, CheckpointError> {
        let mut tensors = BTreeMap::new();
        if let Some(entries) = self.entries() {
            for (key, value) in entries {
                let name = key.as_str().map(str::to_owned);
                let name = name.or_else(|| key.as_i64().map(|number| number.to_string()));
                let name = name.unwrap_or_else(|| key.kind().to_owned());
                tensors.insert(name.clone(), value.expect_tensor(&name)?.clone());
            }
        } else {
            for (index, tensor) in self.tensor_list()?.into_iter().enumerate() {
                tensors.insert(index.to_string(), tensor.clone());
            }
        }
        self.check_total(tensors.values())?;
        Ok(TensorFile::from_tensors(self.file.path(), tensors))
    }

    /// The tensors of a list in their order.
    ///
    /// # Errors
    /// When it is no list, when one of its items is no tensor, or when they share storages so much that
    /// they would take many times the file's length.
    pub fn tensor_list(self) -> Result<Vec<&'a StoredTensor>, CheckpointError> {
        let items = self.items().ok_or_else(|| self.no_tensors("the value"))?;
        let tensors: Vec<_> = items
            .enumerate()
            .map(|(index, item)| item.expect_tensor(&index.to_string()))
            .collect::<Result<_, _>>()?;
        self.check_total(tensors.iter().copied())?;
        Ok(tensors)
    }

    fn expect_tensor(self, name: &str) -> Result<&'a StoredTensor, CheckpointError> {
        self.as_tensor().ok_or_else(|| self.no_tensors(name))
    }

    fn no_tensors(self, name: &str) -> CheckpointError {
        let path = self.file.path().to_path_buf();
        CheckpointError::NotATensor { path, name: name.to_owned(), found: self.kind() }
    }

    fn check_total<'t>(
        self,
        mut tensors: impl Iterator<Item = &'t StoredTensor>,
    ) -> Result<(), CheckpointError> {
        let allowed = self.file.file.length().saturating_mul(REPETITIONS);
        let total = tensors.try_fold(0_u64, |sum, tensor| sum.checked_add(tensor.byte_len()));
        match total {
            Some(total) if total <= allowed => Ok(()),
            total => Err(CheckpointError::Repeated {
                path: self.file.path().to_path_buf(),
                claimed: total.unwrap_or(u64::MAX),
                allowed,
            }),
        }
    }
}

/// The kind, and what is short: never a whole tree, which may be endless.
impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node() {
            Node::None | Node::Bool(_) | Node::Int(_) | Node::Float(_) | Node::Text(_) => {
                self.node().fmt(f)
            }
            _ => f.write_str(&self.summary()),
        }
    }
}
