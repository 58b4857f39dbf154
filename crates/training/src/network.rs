//! The network of a run: built from its configuration, its tensors written to and read from files.

use std::borrow::Cow;

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::{Dtype, TensorFile, View};
use tweedie_unet::{UNet, UNetConfig, UNetError};

use crate::config::{DeviceChoice, NetworkConfig, Precision};
use crate::{ConfigError, RunConfig, TrainError};

/// Most values that the weights of a network may have together: 4 GiB of them, and as much again
/// for their average and each of the optimizer's moments.
const MOST_WEIGHTS: u64 = 1 << 30;

/// What the data decides about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageForm {
    /// Channels, height and width of the network's input, after padding.
    pub shape: [usize; 3],
    /// Channels, height and width of the images themselves, before padding.
    pub unpadded: [usize; 3],
    /// Number of values a pixel can take in the data.
    pub levels: u32,
    /// Number of classes that the network is told, where it is told any.
    pub classes: Option<usize>,
}

impl ImageForm {
    /// Images `[n, c, h, w]` of the network's size, cut to that of the images themselves.
    pub fn without_padding(&self, images: &Tensor) -> Tensor {
        let [_, height, width] = self.unpadded.map(|size| size as i64);
        let cut = |images: &Tensor, axis: i64, inner: i64| {
            images.narrow(axis, (images.size()[axis as usize] - inner) / 2, inner)
        };
        cut(&cut(images, 2, height), 3, width)
    }
}

/// The device that the configuration asks for.
pub(crate) fn device(choice: DeviceChoice) -> Result<Device, TrainError> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(tweedie_torch_ext::default_device()),
        DeviceChoice::Cuda => match tweedie_torch_ext::default_device() {
            Device::Cpu => {
                Err(TrainError::NoCuda { reason: tweedie_torch_ext::load_cuda().to_string() })
            }
            device => Ok(device),
        },
    }
}

/// How a device is called in reports.
pub(crate) fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "CPU".to_owned(),
        Device::Cuda(index) => format!("CUDA {index}"),
        other => format!("{other:?}"),
    }
}

/// The layers of the network for images of this form, with twice the channels out for a learned
/// variance.
pub(crate) fn unet_config(
    network: &NetworkConfig,
    form: &ImageForm,
    learned_variance: bool,
) -> Result<UNetConfig, TrainError> {
    let table = tweedie_unet::NetworkConfig {
        channels: network.channels as i64,
        multipliers: network.multipliers.iter().map(|m| *m as i64).collect(),
        blocks: network.blocks,
        attention_resolutions: network.attention.iter().map(|height| *height as i64).collect(),
        head_channels: (network.head_channels > 0).then_some(network.head_channels as i64),
        groups: network.groups as i64,
        dropout: network.dropout,
        classes: form.classes.map(|classes| classes as i64),
        learned_variance,
        ..tweedie_unet::NetworkConfig::default()
    };
    let unet = table.unet(form.shape.map(|size| size as i64));
    let config = unet.map_err(|error| in_our_words(error, network))?;
    let weights = UNet::count_parameters(&config).map_err(|error| in_our_words(error, network))?;
    if weights > MOST_WEIGHTS {
        return Err(ConfigError::Unfit {
            key: "network.channels",
            value: format!(
                "{}, with network.multipliers {:?}: a network of {weights} weights",
                network.channels, network.multipliers
            ),
            allowed: format!("at most {MOST_WEIGHTS} weights"),
        }
        .into());
    }
    Ok(config)
}

/// An error about the network under the keys of a run's configuration.
fn in_our_words(error: UNetError, network: &NetworkConfig) -> TrainError {
    let unfit = |key, value, allowed| ConfigError::Unfit { key, value, allowed }.into();
    match error {
        UNetError::Value { key, value, allowed } => unfit(our_key(key), value, allowed),
        UNetError::InputSize { height, width, divisor } => unfit(
            "network.multipliers",
            format!("{:?}", network.multipliers),
            format!(
                "as many levels as halve images of {height}x{width} evenly ({divisor} must divide \
                 both), or other sides by data.pad"
            ),
        ),
        other => other.into(),
    }
}

/// The key of a run's configuration that decides what the network calls `key`.
fn our_key(key: &'static str) -> &'static str {
    match key {
        "network.attention_resolutions" => "network.attention",
        "network.classes" | "num_class_embeds" => "network.class_conditional",
        "attention_head_dim" => "network.head_channels",
        "norm_num_groups" | "attn_norm_num_groups" => "network.groups",
        "block_out_channels" | "freq_shift" => "network.channels",
        "layers_per_block" => "network.blocks",
        "dropout" => "network.dropout",
        other => other,
    }
}

/// A network with initial weights drawn from the run's seed.
pub(crate) fn build(
    config: &RunConfig,
    form: &ImageForm,
    device: Device,
) -> Result<UNet, TrainError> {
    let learned_variance = config.learned_variance().is_some();
    let drawn =
        UNet::new(&unet_config(&config.network, form, learned_variance)?, config.training.seed)?;
    let mut unet = drawn.to_device(device)?;
    unet.set_precision(match config.training.precision {
        Precision::F32 => tweedie_unet::Precision::F32,
        Precision::Bf16 => tweedie_unet::Precision::Bf16,
    });
    Ok(unet)
}

/// A tensor as the checkpoint writer wants it: bytes are copied out when their turn comes.
#[derive(Debug)]
pub(crate) struct Stored {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    /// A tensor of 32-bit floats.
    pub(crate) fn new(tensor: &Tensor) -> Self {
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        Self { tensor: tensor.detach(), dtype: Dtype::F32, shape }
    }

    /// A count.
    pub(crate) fn count(value: u64) -> Self {
        Self { tensor: Tensor::from_slice(&[value as i64]), dtype: Dtype::I64, shape: vec![1] }
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        let values = self.tensor.to_device(Device::Cpu).contiguous();
        values.copy_data_u8(&mut bytes, values.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.dtype.bitsize() / 8
    }
}

/// Copies the tensors called `prefix` + name from `file` into `targets`, in place.
pub(crate) fn read_into<'a>(
    file: &TensorFile,
    prefix: &str,
    targets: impl IntoIterator<Item = (&'a str, &'a Tensor)>,
) -> Result<(), TrainError> {
    for (name, target) in targets {
        let name = format!("{prefix}{name}");
        let shape: Vec<usize> = target.size().iter().map(|size| *size as usize).collect();
        let bytes = file.read_expecting(&name, Dtype::F32, &shape)?;
        let saved = Tensor::f_from_data_size(&bytes, &target.size(), Kind::Float)?;
        tch::no_grad(|| target.shallow_clone().f_copy_(&saved))?;
    }
    Ok(())
}

/// Whether every value of every tensor is finite.
pub(crate) fn all_finite(tensors: &[&Tensor]) -> Result<bool, TrainError> {
    Ok(tweedie_torch_ext::total_norm(tensors)?.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(overrides: &[&str], says: &[&str]) {
        let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
        let config = RunConfig::parse("", &overrides).unwrap();
        let shape = [1, 8, 8];
        let form = ImageForm { shape, unpadded: shape, levels: 17, classes: Some(10) };
        let message = unet_config(&config.network, &form, false).unwrap_err().to_string();
        for part in says {
            assert!(message.contains(part), "`{part}` is not in: {message}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named_by_the_keys_of_the_run() {
        check_refused(&["network.attention=[5]"], &["network.attention is 5", "[8, 4]"]);
        check_refused(
            &["network.head_channels=65"],
            &["network.head_channels is 65", "at most 64"],
        );
        check_refused(&["network.groups=5"], &["network.groups is 5", "network.channels, 32"]);
        check_refused(&["network.channels=1", "network.groups=1"], &["network.channels is 1"]);
        let says = ["network.multipliers is [1, 1, 1, 1, 1]", "8x8", "data.pad"];
        check_refused(&["network.multipliers=[1, 1, 1, 1, 1]", "network.attention=[]"], &says);
    }

    #[test]
    fn a_network_that_no_memory_holds_is_refused_before_it_is_made() {
        let says = ["network.channels is 8192", "[64, 64]", "at most 1073741824 weights"];
        check_refused(&["network.channels=8192", "network.multipliers=[64,64]"], &says);
    }
}
