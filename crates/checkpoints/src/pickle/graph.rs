//! The values of a pickle: a graph of numbered nodes.

use safetensors::Dtype;

use super::PickleError;
use super::allowed::Global;

/// Bytes that the values of a pickle may take, tensors' elements aside. A tensor takes some 1200 of them,
/// so this is room for twenty-five thousand; training states of large networks hold a few thousand.
const MEMORY_LIMIT: u64 = 32 << 20;

/// The number of a node in its graph.
pub(crate) type NodeId = u32;

/// A value. What it holds is named by number, so that values may be shared or hold themselves.
#[derive(Debug)]
pub(crate) enum Node {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little endian in two's complement.
    LongInt(Vec<u8>),
    Float(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    Set(Vec<NodeId>),
    Dict(Vec<(NodeId, NodeId)>),
    /// One of the allowed names.
    Global(Global),
    /// A numpy element type.
    NumpyType(Dtype),
    /// An array of numpy.
    NumpyArray(Box<NumpyArray>),
    /// The number of a [`StorageClaim`].
    Storage(u32),
    /// The number of a [`TensorClaim`].
    Tensor(u32),
}

impl Node {
    /// The kind of value in words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a bool",
            Self::Int(_) | Self::LongInt(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(_) => "a set",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a name",
            Self::NumpyType(_) => "a numpy type",
            Self::NumpyArray(_) => "a numpy array",
            Self::Storage(_) => "a storage",
            Self::Tensor(_) => "a tensor",
        }
    }
}

/// An array of numpy, whose elements stand in the pickle.
#[derive(Debug)]
pub(crate) struct NumpyArray {
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// Its bytes; `None` where they do not lie row-major, or are not set yet.
    pub(crate) bytes: Option<NodeId>,
}

/// What a pickle says about a storage; nothing of it is checked yet.
#[derive(Debug)]
pub(crate) struct StorageClaim {
    /// The text by which the file knows it.
    pub(crate) key: NodeId,
    pub(crate) dtype: Dtype,
    pub(crate) elements: u64,
}

/// What a pickle says about a tensor; nothing of it is checked yet.
#[derive(Debug)]
pub(crate) struct TensorClaim {
    /// The number of its [`StorageClaim`].
    pub(crate) storage: u32,
    pub(crate) dtype: Dtype,
    /// Elements before its first.
    pub(crate) offset: u64,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
    /// Where in the file it is described.
    pub(crate) position: u64,
}

/// All values of the pickles of one file.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    nodes: Vec<Node>,
    pub(crate) storages: Vec<StorageClaim>,
    pub(crate) tensors: Vec<TensorClaim>,
    spent: u64,
}

impl Graph {
    pub(crate) fn add(&mut self, node: Node) -> Result<NodeId, PickleError> {
        let content = match &node {
            Node::Text(text) => text.len(),
            Node::Bytes(bytes) | Node::LongInt(bytes) => bytes.len(),
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => 4 * items.len(),
            Node::Dict(entries) => 8 * entries.len(),
            _ => 0,
        };
        self.spend((size_of::<Node>() + content) as u64)?;
        self.nodes.push(node);
        Ok(self.nodes.len() as NodeId - 1)
    }

    /// Counts memory that is about to be taken.
    pub(crate) fn spend(&mut self, bytes: u64) -> Result<(), PickleError> {
        self.spent += bytes;
        if self.spent > MEMORY_LIMIT {
            return Err(PickleError::TooLarge { limit: MEMORY_LIMIT });
        }
        Ok(())
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id as usize]
    }

    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A non-negative integer.
    pub(crate) fn count(&self, id: NodeId) -> Option<u64> {
        match self.node(id) {
            Node::Int(value) => (*value).try_into().ok(),
            _ => None,
        }
    }

    /// The items of a list, tuple or set.
    pub(crate) fn items(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => Some(items),
            _ => None,
        }
    }
}
