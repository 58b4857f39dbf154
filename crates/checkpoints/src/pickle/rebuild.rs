//! What the allowed names make of their arguments: plain values.

use super::allowed::{Global, elements};
use super::machine::wrong_kind;
use super::numpy;
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
        (Global::RebuildFromType, [function, kind, arguments, ..]) => {
            from_type(graph, [*function, *kind, *arguments], position)
        }
        (Global::RebuildTensor | Global::RebuildTyped | Global::RebuildParameter, arguments) => {
            rebuild_tensor(graph, function, arguments, position)
        }
        (Global::NumpyType, [code, ..]) => numpy::element_type(graph, *code),
        (Global::NumpyScalar, [kind, bytes]) => numpy::scalar(graph, *kind, *bytes),
        (Global::NumpyReconstruct, [kind, ..]) => numpy::empty(graph, *kind),
        (Global::NumpyFromBuffer, [bytes, kind, shape, order]) => {
            numpy::over_bytes(graph, [*bytes, *kind, *shape, *order])
        }
        _ => Err(MALFORMED),
    }
}

const MALFORMED: PickleError =
    PickleError::Malformed { expected: "arguments as torch and Python write them" };

fn rebuild_tensor(
    graph: &mut Graph,
    function: Global,
    arguments: &[NodeId],
    position: u64,
) -> Result<NodeId, PickleError> {
    match (function, arguments) {
        (Global::RebuildTensor, [storage, offset, shape, strides, rest @ ..]) => {
            check_stored_as_is(graph, rest.get(2))?;
            tensor(graph, [*storage, *offset, *shape, *strides], None, position)
        }
        (Global::RebuildTyped, [storage, offset, shape, strides, _, _, kind, rest @ ..]) => {
            check_stored_as_is(graph, rest.first())?;
            tensor(graph, [*storage, *offset, *shape, *strides], Some(*kind), position)
        }
        (Global::RebuildParameter, [tensor, ..]) => match graph.node(*tensor) {
            Node::Tensor(_) => Ok(*tensor),
            other => Err(wrong_kind("the content of a parameter", "a tensor", other)),
        },
        _ => Err(MALFORMED),
    }
}

/// A tensor with attributes, out of the function that makes it without them.
fn from_type(
    graph: &mut Graph,
    [function, kind, arguments]: [NodeId; 3],
    position: u64,
) -> Result<NodeId, PickleError> {
    let Node::Global(Global::TensorType) = graph.node(kind) else {
        return Err(wrong_kind("the type of a tensor", "one of torch", graph.node(kind)));
    };
    // other functions could be this one again, any number of times
    match *graph.node(function) {
        Node::Global(
            function @ (Global::RebuildTensor | Global::RebuildTyped | Global::RebuildParameter),
        ) => {
            let items = graph.items(arguments).unwrap_or_default();
            let arguments = items[..items.len().min(8)].to_vec();
            rebuild_tensor(graph, function, &arguments, position)
        }
        ref other => Err(wrong_kind("what makes a tensor", "one of torch's functions", other)),
    }
}

/// Refuses tensors whose stored elements are not their own yet: lazy conjugates and negatives.
fn check_stored_as_is(graph: &Graph, metadata: Option<&NodeId>) -> Result<(), PickleError> {
    let Some(Node::Dict(entries)) = metadata.map(|id| graph.node(*id)) else { return Ok(()) };
    let is_set = |(_, value): &(NodeId, NodeId)| !matches!(graph.node(*value), Node::Bool(false));
    if entries.iter().any(is_set) {
        return Err(PickleError::Malformed {
            expected: "a tensor that is stored as it is, not as its conjugate or negative",
        });
    }
    Ok(())
}

/// Sets the state of a value. Attributes that torch hangs on dicts (`_metadata`) are passed over.
pub(super) fn build(graph: &mut Graph, value: NodeId, state: NodeId) -> Result<(), PickleError> {
    match (graph.node(value), graph.node(state)) {
        (Node::Dict(_), Node::Dict(_)) => Ok(()),
        (Node::NumpyType(_), Node::Tuple(_)) => numpy::check_order(graph, state),
        (Node::NumpyArray(_), Node::Tuple(_)) => numpy::fill(graph, value, state),
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

/// A tensor over a storage, of the storage's own elements or of those that `kind` names.
fn tensor(
    graph: &mut Graph,
    [storage, offset, shape, strides]: [NodeId; 4],
    kind: Option<NodeId>,
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
    let dtype = match kind.map(|kind| graph.node(kind)) {
        None => graph.storages[storage as usize].dtype,
        Some(Node::Global(Global::ElementType(name))) => elements(name)
            .ok_or(PickleError::Malformed { expected: "an element type of weight files" })?,
        Some(other) => return Err(wrong_kind("the type of elements", "a name of torch", other)),
    };
    graph.spend((size_of::<TensorClaim>() + 16 * shape.len()) as u64)?;
    graph.tensors.push(TensorClaim { storage, dtype, offset, shape, strides, position });
    graph.add(Node::Tensor(graph.tensors.len() as u32 - 1))
}

pub(super) fn sizes(graph: &Graph, id: NodeId) -> Option<Vec<usize>> {
    let items = graph.items(id).filter(|items| items.len() <= DIMENSIONS)?;
    items.iter().map(|item| graph.count(*item)?.try_into().ok()).collect()
}
