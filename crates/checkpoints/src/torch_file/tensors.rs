//! Holds what a pickle says about tensors against the storages that the file has.

use std::ops::Range;
use std::sync::Arc;

use super::Storages;
use crate::data_file::DataFile;
use crate::pickle::{Graph, StorageClaim, TensorClaim};
use crate::stored_tensor::{element_bytes, is_contiguous, span};
use crate::{CheckpointError, StoredTensor, TensorDescription};

/// The place of every tensor of the graph, by its number.
pub(super) fn locate(
    file: &Arc<DataFile>,
    graph: &Graph,
    storages: &Storages,
) -> Result<Vec<StoredTensor>, CheckpointError> {
    let ranges = graph.storages.iter().map(|claim| {
        let key = graph.text(claim.key).unwrap_or_default();
        storage_range(file, key, claim, storages.get(key))
    });
    let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
    let tensors =
        graph.tensors.iter().map(|claim| locate_one(file, claim, &ranges[claim.storage as usize]));
    tensors.collect()
}

/// The bytes of a storage, which must be as many as its elements take, or more.
fn storage_range(
    file: &DataFile,
    key: &str,
    claim: &StorageClaim,
    found: Option<&Range<u64>>,
) -> Result<Range<u64>, CheckpointError> {
    let actual = found.map_or(0, |range| range.end - range.start);
    let claimed = claim.elements.saturating_mul(element_bytes(claim.dtype));
    match found {
        Some(range) if claimed <= actual => Ok(range.start..range.start + claimed),
        _ => Err(CheckpointError::StorageSize {
            path: file.path().to_path_buf(),
            key: key.to_owned(),
            claimed,
            actual,
        }),
    }
}

fn locate_one(
    file: &Arc<DataFile>,
    claim: &TensorClaim,
    range: &Range<u64>,
) -> Result<StoredTensor, CheckpointError> {
    let width = element_bytes(claim.dtype);
    let elements = (range.end - range.start) / width;
    let reach = reach(claim, width, file.length());
    if reach.is_none_or(|reach| reach > elements) {
        return Err(CheckpointError::TensorRange {
            path: file.path().to_path_buf(),
            position: claim.position,
            shape: claim.shape.clone(),
            strides: claim.strides.clone(),
            offset: claim.offset,
            elements,
        });
    }
    let strides = (!is_contiguous(&claim.shape, &claim.strides)).then(|| claim.strides.clone());
    Ok(StoredTensor {
        file: Arc::clone(file),
        // an empty tensor may claim any offset; nothing is read there
        offset: range.start.saturating_add(claim.offset.saturating_mul(width)),
        description: TensorDescription { dtype: claim.dtype, shape: claim.shape.clone() },
        strides,
    })
}

/// Elements of the storage up to the tensor's last; `None` where they, or the tensor's own elements
/// (repeated ones of stride 0 counted as often as they are read), are more than the file could hold.
fn reach(claim: &TensorClaim, width: u64, length: u64) -> Option<u64> {
    if claim.shape.contains(&0) {
        return Some(0);
    }
    let own = claim.shape.iter().try_fold(width, |n, size| n.checked_mul(*size as u64))?;
    let span = span(&claim.shape, &claim.strides)?;
    claim.offset.checked_add(span).filter(|_| own <= length)
}
