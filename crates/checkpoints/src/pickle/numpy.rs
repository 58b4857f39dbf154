//! Numbers and arrays of numpy, which training states hold here and there.

use safetensors::Dtype;

use super::allowed::Global;
use super::machine::wrong_kind;
use super::rebuild::sizes;
use super::{Graph, Node, NodeId, NumpyArray, PickleError};
use crate::stored_tensor::element_bytes;

/// The numpy types that are read, by their codes.
const TYPES: [(&str, Dtype); 13] = [
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
    ("f2", Dtype::F16),
    ("c8", Dtype::C64),
];

/// An element type out of its code, such as `f8`.
pub(super) fn element_type(graph: &mut Graph, code: NodeId) -> Result<NodeId, PickleError> {
    let code = graph.text(code).unwrap_or_default();
    if code.starts_with('>') {
        return Err(PickleError::BigEndian);
    }
    let code = code.trim_start_matches(['<', '|', '=']);
    let known = TYPES.iter().find(|(known, _)| *known == code);
    let &(_, dtype) =
        known.ok_or(PickleError::Malformed { expected: "a numpy type of plain numbers" })?;
    graph.add(Node::NumpyType(dtype))
}

/// A number out of its type and bytes.
pub(super) fn scalar(
    graph: &mut Graph,
    kind: NodeId,
    bytes: NodeId,
) -> Result<NodeId, PickleError> {
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

/// An array whose content comes later, as [`fill`] sets it.
pub(super) fn empty(graph: &mut Graph, kind: NodeId) -> Result<NodeId, PickleError> {
    let Node::Global(Global::NumpyArrayType) = graph.node(kind) else {
        return Err(wrong_kind("the type of an array", "numpy's own", graph.node(kind)));
    };
    let array = NumpyArray { dtype: Dtype::U8, shape: vec![0], bytes: None };
    graph.add(Node::NumpyArray(Box::new(array)))
}

/// Sets an array's content: version, shape, type, whether it lies by columns, and bytes.
pub(super) fn fill(graph: &mut Graph, array: NodeId, state: NodeId) -> Result<(), PickleError> {
    let [_version, shape, kind, by_columns, bytes] = *graph.items(state).unwrap_or_default() else {
        return Err(PickleError::Malformed { expected: "the five parts of an array" });
    };
    let by_columns = matches!(graph.node(by_columns), Node::Bool(true));
    let filled = described(graph, [bytes, kind, shape], by_columns)?;
    *graph.node_mut(array) = Node::NumpyArray(Box::new(filled));
    Ok(())
}

/// An array over bytes: with its type, its shape, and the order of its elements, `C` or `F`.
pub(super) fn over_bytes(
    graph: &mut Graph,
    [bytes, kind, shape, order]: [NodeId; 4],
) -> Result<NodeId, PickleError> {
    let by_columns = graph.text(order) != Some("C");
    let array = described(graph, [bytes, kind, shape], by_columns)?;
    graph.add(Node::NumpyArray(Box::new(array)))
}

fn described(
    graph: &mut Graph,
    [bytes, kind, shape]: [NodeId; 3],
    by_columns: bool,
) -> Result<NumpyArray, PickleError> {
    let Node::NumpyType(dtype) = *graph.node(kind) else {
        return Err(wrong_kind(
            "the type of an array's elements",
            "a numpy type",
            graph.node(kind),
        ));
    };
    let malformed = PickleError::Malformed { expected: "an array's shape and as many bytes" };
    let (Some(shape), Node::Bytes(content)) = (sizes(graph, shape), graph.node(bytes)) else {
        return Err(malformed);
    };
    let expected =
        shape.iter().try_fold(element_bytes(dtype), |n, size| n.checked_mul(*size as u64));
    if expected != Some(content.len() as u64) {
        return Err(malformed);
    }
    graph.spend(8 * shape.len() as u64)?;
    let row_major = !by_columns || shape.len() < 2;
    Ok(NumpyArray { dtype, shape, bytes: row_major.then_some(bytes) })
}

/// Refuses types of the other byte order; the rest of a type's state concerns none of those read.
pub(super) fn check_order(graph: &Graph, state: NodeId) -> Result<(), PickleError> {
    let order = graph.items(state).and_then(|state| graph.text(*state.get(1)?));
    if order == Some(">") { Err(PickleError::BigEndian) } else { Ok(()) }
}
