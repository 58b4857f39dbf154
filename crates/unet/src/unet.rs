//! The network: built, loaded, moved, called.

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::DiffusersFolder;
use tweedie_torch_ext::{Activation, MemoryFormat, to_format};

use crate::blocks::{Down, Middle, Told, Up};
use crate::builder::{Builder, Gathering};
use crate::config::UNetConfig;
use crate::embedding::Embedding;
use crate::input::{check_images, check_labels, check_times};
use crate::layers::{Conv, Norm, Start};
use crate::parameters::Parameters;
use crate::residual::ResidualOptions;
use crate::weights::read_tensors;
use crate::{Precision, UNetError};

/// A DDPM U-Net.
#[derive(Debug)]
pub struct UNet {
    config: UNetConfig,
    parameters: Parameters,
    layers: Layers,
    precision: Precision,
    device: Device,
}

#[derive(Debug)]
struct Layers {
    conv_in: Conv,
    embedding: Embedding,
    down: Vec<Down>,
    middle: Option<Middle>,
    up: Vec<Up>,
    conv_norm_out: Norm,
    conv_out: Conv,
}

impl Layers {
    fn new(mut b: Builder<'_>, config: &UNetConfig) -> Self {
        let first = config.block_out_channels[0];
        let levels = 0..config.block_out_channels.len();
        let norm = ResidualOptions::new(config).norm;
        Self {
            conv_in: Conv::new(b.at("conv_in"), config.in_channels, first, 3, Start::Random),
            embedding: Embedding::new(&mut b, config),
            down: levels
                .clone()
                .map(|level| Down::new(b.at("down_blocks").at(level), config, level))
                .collect(),
            middle: Middle::new(&mut b, config),
            up: levels.map(|index| Up::new(b.at("up_blocks").at(index), config, index)).collect(),
            conv_norm_out: Norm::new(b.at("conv_norm_out"), first, norm),
            conv_out: Conv::new(b.at("conv_out"), first, config.out_channels, 3, Start::Zero),
        }
    }
}

/// The memory format measured fastest on a device.
fn fastest_format(device: Device) -> MemoryFormat {
    match device {
        Device::Cpu => MemoryFormat::ChannelsLast,
        _ => MemoryFormat::Contiguous,
    }
}

/// A copy of a parameter of its own, in the memory format of its device.
fn placed(tensor: &Tensor, device: Device, kind: Kind) -> Tensor {
    let copy = tensor.detach().to_device(device).to_kind(kind).copy();
    if copy.dim() == 4 { to_format(&copy, fastest_format(device)) } else { copy }
}

impl UNet {
    /// A network with initial values drawn from `seed`, in f32 on the CPU.
    ///
    /// Values are `PyTorch`'s (uniform with bound 1/sqrt(fan in), norms one and zero, class rows
    /// standard normal), except that the last layer of every residual branch and of the network
    /// starts at zero, as in the published DDPM code. They are a pure function of the seed.
    ///
    /// # Errors
    /// If a value of the configuration is out of range or does not fit another.
    pub fn new(config: &UNetConfig, seed: u64) -> Result<Self, UNetError> {
        let drawn = Self::build(config, Gathering::seeded(seed), Precision::F32, Device::Cpu)?;
        drawn.copied(Precision::F32, Device::Cpu, Kind::Float)
    }

    /// The number of values in all parameters of such a network, found without making it.
    ///
    /// # Errors
    /// As for [`UNet::new`].
    pub fn count_parameters(config: &UNetConfig) -> Result<u64, UNetError> {
        config.check()?;
        let mut gathering = Gathering::counting();
        Layers::new(gathering.root(), config);
        gathering.count()
    }

    /// A network with given weights, in f32 on the CPU; the older names of attention layers are
    /// understood. The tensors are copied.
    ///
    /// # Errors
    /// If the configuration is wrong, or weights are missing, unexpected or of another shape; all of
    /// them are listed.
    pub fn from_weights(
        config: &UNetConfig,
        weights: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self, UNetError> {
        let gathering = Gathering::from_weights(
            weights.into_iter().map(|(name, t)| (name, placed(&t, Device::Cpu, Kind::Float))),
        );
        Self::build(config, gathering, Precision::F32, Device::Cpu)
    }

    /// The network of a folder saved by diffusers.
    ///
    /// # Errors
    /// If the configuration or the weights cannot be read or do not fit.
    pub fn from_diffusers(folder: &DiffusersFolder) -> Result<Self, UNetError> {
        let config = UNetConfig::from_values(folder.config()?)?;
        Self::from_weights(&config, read_tensors(folder.weights())?)
    }

    fn build(
        config: &UNetConfig,
        mut gathering: Gathering,
        precision: Precision,
        device: Device,
    ) -> Result<Self, UNetError> {
        config.check()?;
        let layers = Layers::new(gathering.root(), config);
        let parameters = gathering.finish()?;
        Ok(Self { config: config.clone(), parameters, layers, precision, device })
    }

    fn copied(&self, precision: Precision, device: Device, kind: Kind) -> Result<Self, UNetError> {
        let weights =
            self.parameters.iter().map(|(name, t)| (name.to_owned(), placed(t, device, kind)));
        let gathering = Gathering::from_weights(weights);
        Self::build(&self.config, gathering, precision, device)
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &UNetConfig {
        &self.config
    }

    /// The parameters, sharing memory with the network.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Where the parameters are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// What the network computes in.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Chooses what the network computes in. Parameters keep their kind and are cast in every call,
    /// so gradients reach them; a network for inference alone is better made by
    /// [`UNet::for_inference`].
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Chooses whether gradients of the parameters are recorded; at first they are not.
    pub fn set_trainable(&self, trainable: bool) {
        for (_, tensor) in self.parameters.iter() {
            let _ = tensor.set_requires_grad(trainable);
        }
    }

    /// Overwrites the parameters in place; their gradients and identity stay.
    ///
    /// # Errors
    /// As for [`UNet::from_weights`]; then nothing is changed.
    pub fn load(
        &self,
        weights: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<(), UNetError> {
        let loaded = Self::from_weights(&self.config, weights)?;
        tch::no_grad(|| {
            for ((_, to), (_, from)) in self.parameters.iter().zip(loaded.parameters.iter()) {
                to.shallow_clone().copy_(from);
            }
        });
        Ok(())
    }

    /// A copy on another device, with parameters of the same kind and the same precision.
    ///
    /// # Errors
    /// If libtorch cannot reach the device.
    pub fn to_device(&self, device: Device) -> Result<Self, UNetError> {
        let kind = self.parameters.tensors().first().map_or(Kind::Float, |tensor| tensor.kind());
        self.copied(self.precision, device, kind)
    }

    /// A copy whose parameters have the kind it computes in, so that no call casts them.
    ///
    /// # Errors
    /// Never for a network that could be built.
    pub fn for_inference(&self, precision: Precision) -> Result<Self, UNetError> {
        self.copied(precision, self.device, precision.kind())
    }

    /// The network's output for x `[n, c, h, w]` at times `[n]` or one time for all (`[]` or `[1]`).
    ///
    /// `class_labels` are `[n]` where the network has a table of classes (or embeds labels like
    /// times), vectors `[n, width]` where `class_embed_type` is identity, and absent otherwise. With
    /// `train` dropout acts, drawing from libtorch's generator. The output has the kind of x and
    /// lies contiguous. Times are taken as they are, as in diffusers: 0 to 999 for DDPM.
    ///
    /// # Errors
    /// If shape, size, device, times or labels do not fit; the error says what would.
    pub fn forward(
        &self,
        x: &Tensor,
        times: &Tensor,
        class_labels: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor, UNetError> {
        let batch = check_images(x, &self.config)?;
        if x.device() != self.device {
            return Err(UNetError::InputDevice { got: x.device(), expected: self.device });
        }
        let times = check_times(&times.to_device(self.device), batch)?;
        let labels = class_labels.map(|labels| labels.to_device(self.device));
        let labels = check_labels(labels.as_ref(), &self.config, batch)?;
        let centered =
            if self.config.center_input_sample { x * 2.0 - 1.0 } else { x.shallow_clone() };
        let input =
            to_format(&centered.to_kind(self.precision.kind()), fastest_format(self.device));
        drop(centered);
        let embedding = self.layers.embedding.forward(&times, labels.as_ref(), input.kind());
        let embedding = self.config.act_fn.apply(&embedding);
        let output = self.layers.run(input, Told { embedding: &embedding, train });
        Ok(to_format(&output.to_kind(x.kind()), MemoryFormat::Contiguous))
    }
}

impl Layers {
    fn run(&self, input: Tensor, told: Told<'_>) -> Tensor {
        let mut x = self.conv_in.forward(&input);
        drop(input);
        let mut skips = vec![x.shallow_clone()];
        for level in &self.down {
            x = level.forward(x, told, &mut skips);
        }
        if let Some(middle) = &self.middle {
            x = middle.forward(x, told);
        }
        for level in &self.up {
            x = level.forward(x, told, &mut skips);
        }
        let normed = self.conv_norm_out.forward(&x, None, Activation::Silu);
        drop(x);
        self.conv_out.forward(&normed)
    }
}

#[cfg(test)]
mod tests;
