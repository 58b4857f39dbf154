//! The form of torch before 1.6: pickles one after another, then the storages.
//!
//! The pickles are a magic number, a version, facts about the machine, the saved value, and the keys
//! of the storages. Each storage follows as the number of its elements and their bytes.

use std::collections::HashMap;

use super::Storages;
use crate::CheckpointError;
use crate::data_file::DataFile;
use crate::pickle::{Graph, Input, Node, NodeId, PickleError, load};
use crate::stored_tensor::element_bytes;

/// 0x1950a86a20f9469cfc6c, by which torch knows its files, little endian.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The only version of this form.
const VERSION: i64 = 1001;

/// Reads the value that was saved, and where its storages are.
pub(super) fn read(
    file: &DataFile,
    graph: &mut Graph,
) -> Result<(NodeId, Storages), CheckpointError> {
    let mut input = Input::new(file, 0, file.length());
    let magic = load(&mut input, graph)?;
    if !matches!(graph.node(magic), Node::LongInt(bytes) if *bytes == MAGIC) {
        let (path, found) = (file.path().to_path_buf(), graph.node(magic).kind());
        return Err(CheckpointError::NotTorch { path, found });
    }
    let version = load(&mut input, graph)?;
    if !matches!(graph.node(version), Node::Int(VERSION)) {
        return Err(input.fault(PickleError::Malformed { expected: "version 1001 of the form" }));
    }
    let machine = load(&mut input, graph)?;
    if is_big_endian(graph, machine) {
        return Err(CheckpointError::ByteOrder { path: file.path().to_path_buf() });
    }
    let root = load(&mut input, graph)?;
    let keys = load(&mut input, graph)?;
    Ok((root, locate_storages(file, graph, keys, &input)?))
}

fn is_big_endian(graph: &Graph, machine: NodeId) -> bool {
    let Node::Dict(facts) = graph.node(machine) else { return false };
    facts.iter().any(|(key, value)| {
        graph.text(*key) == Some("little_endian") && matches!(graph.node(*value), Node::Bool(false))
    })
}

/// Walks over the storages behind the pickles.
fn locate_storages(
    file: &DataFile,
    graph: &Graph,
    keys: NodeId,
    input: &Input<'_>,
) -> Result<Storages, CheckpointError> {
    let malformed = || input.fault(PickleError::Malformed { expected: "the keys of storages" });
    let widths: HashMap<&str, u64> = graph
        .storages
        .iter()
        .filter_map(|claim| Some((graph.text(claim.key)?, element_bytes(claim.dtype))))
        .collect();
    let (mut storages, mut position) = (Storages::new(), input.position());
    for key in graph.items(keys).ok_or_else(malformed)? {
        let key = graph.text(*key).ok_or_else(malformed)?;
        let width = widths.get(key).ok_or_else(malformed)?;
        let elements = file.read(position, 8)?;
        let elements = u64::from_le_bytes(elements.try_into().unwrap_or_default());
        let start = position + 8;
        position = start.saturating_add(elements.saturating_mul(*width));
        if position > file.length() {
            let (path, actual) = (file.path().to_path_buf(), file.length());
            return Err(CheckpointError::Truncated { path, expected: position, actual });
        }
        storages.insert(key.to_owned(), start..position);
    }
    Ok(storages)
}
