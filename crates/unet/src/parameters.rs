//! The parameters of a network by name.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};
use tweedie_torch_ext::MemoryFormat;

use crate::UNetError;

/// The memory format measured fastest on a device.
pub(crate) fn fastest_format(device: Device) -> MemoryFormat {
    match device {
        Device::Cpu => MemoryFormat::ChannelsLast,
        _ => MemoryFormat::Contiguous,
    }
}

/// A tensor for the values of a parameter, in the memory format of its device; filters are channels-last
/// from the start, not turned later.
pub(crate) fn empty(shape: &[i64], kind: Kind, device: Device) -> Result<Tensor, UNetError> {
    Ok(match (shape, fastest_format(device)) {
        (&[_, c, h, w], MemoryFormat::ChannelsLast) => {
            let strides = [c * h * w, 1, w * c, c];
            Tensor::f_empty_strided(shape, strides, (kind, device))?
        }
        _ => Tensor::f_empty(shape, (kind, device))?,
    })
}

/// The parameters of a network, in the order of their names.
///
/// The tensors share memory with the network: changing one in place changes the network. On a CPU
/// convolution weights lie channels-last, so optimizer state belongs in tensors made with
/// `zeros_like`, into which saved values are copied.
#[derive(Debug, Default)]
pub struct Parameters {
    pub(crate) by_name: BTreeMap<String, Tensor>,
}

impl Parameters {
    /// Names and tensors, ordered by name.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.by_name.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The tensors, ordered by name.
    #[must_use]
    pub fn tensors(&self) -> Vec<&Tensor> {
        self.by_name.values().collect()
    }

    /// One parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.by_name.get(name)
    }

    /// The number of tensors.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The number of values in all of them.
    #[must_use]
    pub fn element_count(&self) -> usize {
        self.by_name.values().map(Tensor::numel).sum()
    }
}
