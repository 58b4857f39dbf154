//! The network of a run: built from its configuration, its tensors written to and read from files.

use std::borrow::Cow;

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::{Dtype, TensorFile, View};
use tweedie_unet::UNet;

use crate::config::{DeviceChoice, Precision};
use crate::{RunConfig, RunData, TrainError, architecture};

/// What the data decides about the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageForm {
    /// Channels, height and width of the network's input, after padding.
    pub shape: [usize; 3],
    /// Channels, height and width of the images themselves, before padding.
    pub unpadded: [usize; 3],
    /// Number of values a pixel can take in the data.
    pub levels: u32,
    /// Number of classes that the network is told, where it is told any, or that a classifier tells apart.
    pub classes: Option<usize>,
}

impl ImageForm {
    /// That of the images of a run.
    pub(crate) fn of_data(config: &RunConfig, data: &RunData) -> Self {
        let unpadded = data.train.shape();
        let [channels, height, width] = unpadded;
        let [height, width] = config.data.pad.unwrap_or([height, width]);
        let named = config.network.is_class_conditional() || config.is_classifier();
        let classes = named.then(|| data.train.classes());
        let levels = data.train.levels();
        Self { shape: [channels, height, width], unpadded, levels, classes }
    }

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

/// A network with initial weights drawn from the run's seed.
pub(crate) fn build(
    config: &RunConfig,
    form: &ImageForm,
    device: Device,
) -> Result<UNet, TrainError> {
    let drawn = UNet::new(&architecture::of_run(config, form)?, config.training.seed)?;
    let mut unet = drawn.to_device(device)?;
    unet.set_precision(precision(config.training.precision));
    unet.set_gradient_checkpointing(config.training.gradient_checkpointing);
    Ok(unet)
}

/// What the network computes in.
pub(crate) fn precision(precision: Precision) -> tweedie_unet::Precision {
    match precision {
        Precision::F32 => tweedie_unet::Precision::F32,
        Precision::Bf16 => tweedie_unet::Precision::Bf16,
    }
}

/// A tensor as the checkpoint writer wants it: bytes are copied out when their turn comes.
#[derive(Debug)]
pub(crate) struct Stored {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    /// A tensor of 32-bit floats, or of 64-bit ones, as some constants of networks are.
    pub(crate) fn new(tensor: &Tensor) -> Self {
        let shape = tensor.size().into_iter().map(|size| size as usize).collect();
        Self { tensor: tensor.detach(), dtype: dtype(tensor), shape }
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

/// The type under which a tensor is saved.
fn dtype(tensor: &Tensor) -> Dtype {
    match tensor.kind() {
        Kind::Double => Dtype::F64,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        _ => Dtype::F32,
    }
}

/// The bytes of a tensor's values, row-major.
pub(crate) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>, TrainError> {
    let values = tensor.detach().f_to_device(Device::Cpu)?.contiguous();
    let mut bytes = vec![0; values.numel() * values.kind().elt_size_in_bytes()];
    values.f_copy_data_u8(&mut bytes, values.numel())?;
    Ok(bytes)
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
        file.expecting(&name, dtype(target), &shape)?;
        tweedie_unet::read_into(file, &name, target)?;
    }
    Ok(())
}

/// Whether every value of every tensor is finite.
pub(crate) fn all_finite(tensors: &[&Tensor]) -> Result<bool, TrainError> {
    Ok(tweedie_torch_ext::total_norm(tensors)?.is_finite())
}
