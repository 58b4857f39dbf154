//! What the allowed names make of their arguments: plain values.

use safetensors::Dtype;

use super::allowed::Global;
use super::machine::wrong_kind;
use super::{Graph, Node, NodeId, PickleError, StorageClaim, TensorClaim};

/// More dimensions than libtorch's tensors have.
const DIMENSIONS: usize = 64;

/// The value of `function(*arguments)`, described at `position` of the file.
pub(super) fn reduce(
    graph: &mut Graph,
    function: NodeId,
    arguments: NodeId,
    position: u64,
) -> Result<NodeId, PickleError> {
    let Node::Global(function) = *graph.node(function) else {
        return Err(wrong_kind("what is called", "an allowed name", graph.node(function)));
    };
    let arguments = match graph.node(arguments) {
        // no function below has more; a longer list is not copied
        Node::Tuple(items) => items[..items.len().min(8)].to_vec(),
        other => return Err(wrong_kind("a list of arguments", "a tuple", other)),
    };
    match (function, arguments.as_slice()) {
        (Global::Dict | Global::DefaultDict, []) => graph.add(Node::Dict(Vec::new())),
        (Global::DefaultDict, [_type]) => graph.add(Node::Dict(Vec::new())),
        (Global::Dict, [items]) => dict(graph, *items),
        (Global::Set, [items]) => {
            let items = items_of(graph, *items, "the content of a set")?;
            graph.add(Node::Set(items))
        }
        (Global::Bytes, []) => graph.add(Node::Bytes(Vec::new())),
        (Global::Encode, [text, ..]) => encode(graph, *text),
        (Global::Size, [sizes]) => Ok(*sizes),
        (Global::Device, [kind, index @ ..]) => device(graph, *kind, index),
        (Global::RebuildTensor, [storage, offset, shape, strides, ..]) => {
            tensor(graph, [*storage, *offset, *shape, *strides], position)
        }
        (Global::RebuildParameter, [tensor, ..]) => match graph.node(*tensor) {
            Node::Tensor(_) => Ok(*tensor),
            other => Err(wrong_kind("the content of a parameter", "a tensor", other)),
        },
        (Global::NumpyType, [code, ..]) => numpy_type(graph, *code),
        (Global::NumpyScalar, [kind, bytes]) => numpy_scalar(graph, *kind, *bytes),
        _ => Err(PickleError::Malformed { expected: "arguments as torch and Python write them" }),
    }
}

/// Sets the state of a value. Attributes that torch hangs on dicts (`_metadata`) are passed over.
pub(super) fn build(graph: &Graph, value: NodeId, state: NodeId) -> Result<(), PickleError> {
    match (graph.node(value), graph.node(state)) {
        (Node::Dict(_), Node::Dict(_)) => Ok(()),
        (Node::NumpyType(_), Node::Tuple(state)) => {
            let order = state.get(1).and_then(|id| graph.text(*id));
            if order == Some(">") { Err(PickleError::BigEndian) } else { Ok(()) }
        }
        (other, _) => Err(wrong_kind("what attributes are set of", "a dict", other)),
    }
}

/// A storage out of the tuple by which torch's files refer to it.
pub(super) fn persistent(graph: &mut Graph, id: NodeId) -> Result<NodeId, PickleError> {
    let malformed = PickleError::Malformed { expected: "a reference to a storage" };
    let [tag, kind, key, _place, elements, view @ ..] = graph.items(id).unwrap_or_default() else {
        return Err(malformed);
    };
    let whole = view.iter().all(|view| matches!(graph.node(*view), Node::None));
    let (key, Some(elements)) = (*key, graph.count(*elements)) else { return Err(malformed) };
    let Node::Global(Global::Storage(dtype)) = *graph.node(*kind) else {
        return Err(wrong_kind("the type of a storage", "a storage's name", graph.node(*kind)));
    };
    if graph.text(*tag) != Some("storage") || graph.text(key).is_none() || !whole {
        return Err(malformed);
    }
    graph.spend(size_of::<StorageClaim>() as u64)?;
    graph.storages.push(StorageClaim { key, dtype, elements });
    graph.add(Node::Storage(graph.storages.len() as u32 - 1))
}

/// A dict of the pairs in a list, or the dict that is given.
fn dict(graph: &mut Graph, items: NodeId) -> Result<NodeId, PickleError> {
    if let Node::Dict(_) = graph.node(items) {
        return Ok(items);
    }
    let items = items_of(graph, items, "the content of a dict")?;
    let pairs = items.iter().map(|pair| match graph.items(*pair) {
        Some([key, value]) => Ok((*key, *value)),
        _ => Err(wrong_kind("an entry of a dict", "a pair", graph.node(*pair))),
    });
    let pairs = pairs.collect::<Result<_, _>>()?;
    graph.add(Node::Dict(pairs))
}

/// A copy of the items of a list, tuple or set, counted before it is made.
fn items_of(graph: &mut Graph, id: NodeId, what: &'static str) -> Result<Vec<NodeId>, PickleError> {
    let count = match graph.items(id) {
        Some(items) => items.len(),
        None => return Err(wrong_kind(what, "a list", graph.node(id))),
    };
    graph.spend((count * size_of::<NodeId>()) as u64)?;
    Ok(graph.items(id).unwrap_or_default().to_vec())
}

/// Bytes that are written as a text whose characters are their values.
fn encode(graph: &mut Graph, text: NodeId) -> Result<NodeId, PickleError> {
    let Some(length) = graph.text(text).map(str::len) else {
        return Err(wrong_kind("what is encoded", "a text", graph.node(text)));
    };
    graph.spend(length as u64)?;
    let characters = graph.text(text).unwrap_or_default().chars();
    let bytes = characters.map(|c| u8::try_from(u32::from(c))).collect::<Result<_, _>>();
    let bytes = bytes.map_err(|_| PickleError::Malformed { expected: "text in Latin-1" })?;
    graph.add(Node::Bytes(bytes))
}

fn device(graph: &mut Graph, kind: NodeId, index: &[NodeId]) -> Result<NodeId, PickleError> {
    match (graph.text(kind), index) {
        (Some(_), []) => Ok(kind),
        (Some(name), [index]) if name.len() < 16 => {
            let index = graph.count(*index).unwrap_or(0);
            let name = format!("{name}:{index}");
            graph.add(Node::Text(name))
        }
        _ => Err(PickleError::Malformed { expected: "a device" }),
    }
}

fn tensor(
    graph: &mut Graph,
    [storage, offset, shape, strides]: [NodeId; 4],
    position: u64,
) -> Result<NodeId, PickleError> {
    let Node::Storage(storage) = *graph.node(storage) else {
        return Err(wrong_kind("the content of a tensor", "a storage", graph.node(storage)));
    };
    let malformed = PickleError::Malformed { expected: "offset, sizes and strides of a tensor" };
    let (Some(offset), Some(shape), Some(strides)) =
        (graph.count(offset), sizes(graph, shape), sizes(graph, strides))
    else {
        return Err(malformed);
    };
    if shape.len() != strides.len() {
        return Err(malformed);
    }
    graph.spend((size_of::<TensorClaim>() + 16 * shape.len()) as u64)?;
    graph.tensors.push(TensorClaim { storage, offset, shape, strides, position });
    graph.add(Node::Tensor(graph.tensors.len() as u32 - 1))
}

fn sizes(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    let items = graph.items(id).filter(|items| items.len() <= DIMENSIONS)?;
    items.iter().map(|item| graph.count(*item)?.try_into().ok()).collect()
}

/// The numpy types whose scalars are read, by their codes.
const NUMPY_TYPES: [(&str, Dtype); 11] = [
    ("f8", Dtype::F64),
    ("f4", Dtype::F32),
    ("i8", Dtype::I64),
    ("i4", Dtype::I32),
    ("i2", Dtype::I16),
    ("i1", Dtype::I8),
    ("u8", Dtype::U64),
    ("u4", Dtype::U32),
    ("u2", Dtype::U16),
    ("u1", Dtype::U8),
    ("b1", Dtype::BOOL),
];

fn numpy_type(graph: &mut Graph, code: NodeId) -> Result<NodeId, PickleError> {
    let code = graph.text(code).unwrap_or_default();
    if code.starts_with('>') {
        return Err(PickleError::BigEndian);
    }
    let code = code.trim_start_matches(['<', '|', '=']);
    let known = NUMPY_TYPES.iter().find(|(known, _)| *known == code);
    let &(_, dtype) =
        known.ok_or(PickleError::Malformed { expected: "a numpy type of plain numbers" })?;
    graph.add(Node::NumpyType(dtype))
}

fn numpy_scalar(graph: &mut Graph, kind: NodeId, bytes: NodeId) -> Result<NodeId, PickleError> {
    let (Node::NumpyType(dtype), Node::Bytes(bytes)) = (graph.node(kind), graph.node(bytes)) else {
        return Err(PickleError::Malformed { expected: "a numpy number" });
    };
    let number = plain_number(*dtype, bytes);
    graph.add(number.ok_or(PickleError::Malformed { expected: "the bytes of a numpy number" })?)
}

/// A little-endian number as a value; `None` where its bytes are not as many as they should be.
fn plain_number(dtype: Dtype, bytes: &[u8]) -> Option<Node> {
    Some(match dtype {
        Dtype::F64 => Node::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::F32 => Node::Float(f32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I64 => Node::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::I32 => Node::Int(i32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I16 => Node::Int(i16::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::I8 => Node::Int(i8::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::U32 => Node::Int(u32::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::U16 => Node::Int(u16::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::U8 => Node::Int(u8::from_le_bytes(bytes.try_into().ok()?).into()),
        Dtype::BOOL => Node::Bool(u8::from_le_bytes(bytes.try_into().ok()?) != 0),
        Dtype::U64 => {
            let value = u64::from_le_bytes(bytes.try_into().ok()?);
            let small = value.try_into().map(Node::Int);
            small.unwrap_or_else(|_| Node::LongInt([bytes, &[0]].concat()))
        }
        _ => return None,
    })
}
