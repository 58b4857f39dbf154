//! A layer under its name, run plainly or so that it is computed again for the gradient.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tch::Tensor;
use tweedie_torch_ext::{grad_enabled, recomputed};

use crate::builder::Builder;
use crate::outline::Shape;
use crate::parameters::Parameters;
use crate::program::{Junction, Layer, Told};

/// A layer (or a junction), the name of its module and its parameters.
///
/// The layer is shared with the record of a forward pass that will compute it again, which may be on
/// another thread; hence the lock.
#[derive(Debug)]
pub(crate) struct Part<L: ?Sized = dyn Layer> {
    pub(crate) name: String,
    layer: Arc<Mutex<L>>,
    parameters: Vec<Tensor>,
}

impl Part<dyn Layer> {
    pub(crate) fn new<L: Layer + 'static>(
        b: Builder<'_>,
        make: impl FnOnce(Builder<'_>) -> L,
    ) -> Self {
        let (name, layer) = (b.name(), make(b));
        Self::of(name, Arc::new(Mutex::new(layer)))
    }

    pub(crate) fn forward(&self, x: Tensor, told: Told<'_>) -> Tensor {
        if !self.is_recomputed(&[&x], told) {
            return self.layer().forward(x, told);
        }
        self.again(vec![x], told, |layer, mut inputs, told| layer.forward(inputs.remove(0), told))
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.layer().kind()
    }

    pub(crate) fn output(&self, x: Shape) -> Shape {
        self.layer().output(x)
    }

    pub(crate) fn multiply_adds(&self, x: Shape) -> u64 {
        self.layer().multiply_adds(x)
    }
}

impl Part<dyn Junction> {
    pub(crate) fn forward(&self, kept: Tensor, h: Tensor, told: Told<'_>) -> Tensor {
        if !self.is_recomputed(&[&kept, &h], told) {
            return self.layer().forward(kept, h, told);
        }
        self.again(vec![kept, h], told, |layer, mut inputs, told| {
            let kept = inputs.remove(0);
            layer.forward(kept, inputs.remove(0), told)
        })
    }

    pub(crate) fn kind(&self) -> &'static str {
        self.layer().kind()
    }

    pub(crate) fn output(&self, kept: Shape, h: Shape) -> Shape {
        self.layer().output(kept, h)
    }

    pub(crate) fn multiply_adds(&self, kept: Shape, h: Shape) -> u64 {
        self.layer().multiply_adds(kept, h)
    }
}

impl<L: ?Sized + Send + 'static> Part<L> {
    pub(crate) fn of(name: String, layer: Arc<Mutex<L>>) -> Self {
        Self { name, layer, parameters: Vec::new() }
    }

    /// Takes those parameters that lie under the name.
    pub(crate) fn own(&mut self, parameters: &Parameters) {
        let prefix = format!("{}.", self.name);
        let own = parameters.iter().filter(|(name, _)| name.starts_with(&prefix));
        self.parameters = own.map(|(_, tensor)| tensor.shallow_clone()).collect();
    }

    fn layer(&self) -> MutexGuard<'_, L> {
        self.layer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A layer without parameters keeps little, and one whose input needs no gradient is the first.
    fn is_recomputed(&self, inputs: &[&Tensor], told: Told<'_>) -> bool {
        told.recompute
            && !self.parameters.is_empty()
            && grad_enabled()
            && inputs.iter().copied().chain(told.embedding).any(Tensor::requires_grad)
    }

    /// Runs the layer so that it runs again for the gradient.
    fn again(
        &self,
        mut inputs: Vec<Tensor>,
        told: Told<'_>,
        run: impl Fn(&L, Vec<Tensor>, Told<'_>) -> Tensor + Send + 'static,
    ) -> Tensor {
        let (layer, train) = (Arc::clone(&self.layer), told.train);
        let told_embedding = told.embedding.is_some();
        inputs.extend(told.embedding.map(Tensor::shallow_clone));
        let parameters: Vec<_> = self.parameters.iter().collect();
        let ran = AtomicBool::new(false);
        recomputed(&inputs.iter().collect::<Vec<_>>(), &parameters, train, move |mut inputs| {
            let embedding = if told_embedding { inputs.pop() } else { None };
            let again = ran.swap(true, Ordering::Relaxed);
            let told = Told { embedding: embedding.as_ref(), train, recompute: false, again };
            run(&layer.lock().unwrap_or_else(PoisonError::into_inner), inputs, told)
        })
    }
}
