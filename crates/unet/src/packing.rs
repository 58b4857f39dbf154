//! Whether a network keeps its weights prepacked too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by a network and all of its layers: whether they keep copies of their weights in the order in
/// which the processor reads them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packing(Arc<AtomicBool>);

impl Packing {
    pub(crate) fn set(&self, acts: bool) {
        self.0.store(acts, Ordering::Relaxed);
    }

    pub(crate) fn acts(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
