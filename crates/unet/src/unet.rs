//! The network: built, loaded, moved, called.

use tch::{Device, Kind, Tensor};
use tweedie_checkpoints::{DiffusersFolder, TensorFile};
use tweedie_torch_ext::{MemoryFormat, to_format};

use crate::builder::Gathering;
use crate::input::{check_images, check_labels, check_times};
use crate::packing::Packing;
use crate::parameters::{Parameters, fastest_format};
use crate::program::{Mode, Program};
use crate::weights::Given;
use crate::{ArchitectureConfig, Precision, UNetConfig, UNetError};

/// Most values in the parameters of a network that is made: 32 GiB of them.
const MOST_PARAMETERS: u64 = 1 << 33;

/// Refuses a network of so many parameters that no memory holds them.
pub(crate) fn check_count(parameters: u64) -> Result<(), UNetError> {
    if parameters <= MOST_PARAMETERS {
        return Ok(());
    }
    Err(UNetError::TooLarge { parameters, most: MOST_PARAMETERS })
}

/// A network of any family, called in one way.
#[derive(Debug)]
pub struct UNet {
    config: ArchitectureConfig,
    parameters: Parameters,
    constants: Parameters,
    program: Program,
    precision: Precision,
    device: Device,
    /// Whether layers are computed again for the gradient.
    recompute: bool,
    packing: Packing,
}

impl UNet {
    /// A network with initial values drawn from `seed`, in f32 on the CPU.
    ///
    /// Values are `PyTorch`'s (uniform with bound 1/sqrt(fan in), norms one and zero, class rows
    /// standard normal), except that the last layer of every residual branch and of the network
    /// starts at zero, as in the published DDPM code. They are a pure function of the seed.
    ///
    /// # Errors
    /// If a value of the configuration is out of range or does not fit another, or the network would
    /// be larger than any memory.
    pub fn new(
        config: &(impl Clone + Into<ArchitectureConfig>),
        seed: u64,
    ) -> Result<Self, UNetError> {
        let config = config.clone().into();
        check_count(Self::count_parameters(&config)?)?;
        let gathering = Gathering::seeded(seed);
        let drawn = Self::build(config, gathering, Precision::F32, Device::Cpu)?;
        drawn.copied(Precision::F32, Device::Cpu, Kind::Float)
    }

    /// The number of values in all parameters of such a network, found without making it.
    ///
    /// # Errors
    /// As for [`UNet::new`].
    pub fn count_parameters(
        config: &(impl Clone + Into<ArchitectureConfig>),
    ) -> Result<u64, UNetError> {
        let config = config.clone().into();
        config.check()?;
        let mut gathering = Gathering::shapes();
        config.family().program(&mut gathering.root());
        gathering.counted()
    }

    /// A network with given weights, in f32 on the CPU; names of older checkpoints are understood.
    /// The tensors are copied.
    ///
    /// # Errors
    /// If the configuration is wrong, or weights are missing, unexpected, of another shape, no floats or
    /// not finite; all of them are listed.
    pub fn from_weights(
        config: &(impl Clone + Into<ArchitectureConfig>),
        weights: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self, UNetError> {
        let lent = weights.into_iter().map(|(name, tensor)| (name, Given::Lent(tensor)));
        Self::from_given(&config.clone().into(), lent, Precision::F32, Device::Cpu)
    }

    /// A network with the weights of a file, on a device and in the kind of number it computes in; names
    /// of older checkpoints are understood. Each tensor is copied from the file to where it stays, so
    /// that loading takes next to no memory beyond the network's own.
    ///
    /// # Errors
    /// As for [`UNet::from_weights`], and if the file cannot be read.
    pub fn from_file(
        config: &(impl Clone + Into<ArchitectureConfig>),
        file: &TensorFile,
        precision: Precision,
        device: Device,
    ) -> Result<Self, UNetError> {
        let stored =
            file.iter().map(|(name, tensor)| (name.to_owned(), Given::Stored(tensor.clone())));
        Self::from_given(&config.clone().into(), stored, precision, device)
    }

    pub(crate) fn from_given(
        config: &ArchitectureConfig,
        given: impl IntoIterator<Item = (String, Given)>,
        precision: Precision,
        device: Device,
    ) -> Result<Self, UNetError> {
        let family = config.family();
        let given = given.into_iter().map(|(name, given)| (family.present_name(&name), given));
        let gathering = Gathering::from_weights(given, precision.kind(), device);
        Self::build(config.clone(), gathering, precision, device)
    }

    /// The network of a folder saved by diffusers.
    ///
    /// # Errors
    /// If the configuration or the weights cannot be read or do not fit.
    pub fn from_diffusers(folder: &DiffusersFolder) -> Result<Self, UNetError> {
        let config = UNetConfig::from_values(folder.config()?)?;
        Self::from_file(&config, folder.weights(), Precision::F32, Device::Cpu)
    }

    fn build(
        config: ArchitectureConfig,
        mut gathering: Gathering,
        precision: Precision,
        device: Device,
    ) -> Result<Self, UNetError> {
        config.check()?;
        let mut program = config.family().program(&mut gathering.root());
        let packing = gathering.packing();
        let (parameters, constants) = gathering.finish()?;
        program.hand_out(&parameters);
        let recompute = false;
        Ok(Self { config, parameters, constants, program, precision, device, recompute, packing })
    }

    fn copied(&self, precision: Precision, device: Device, kind: Kind) -> Result<Self, UNetError> {
        let used = self.weights().into_iter();
        let used = used.map(|(name, tensor)| (name.to_owned(), Given::Used(tensor.detach())));
        let gathering = Gathering::from_weights(used, kind, device);
        let copy = Self::build(self.config.clone(), gathering, precision, device)?;
        Ok(Self { recompute: self.recompute, ..copy })
    }

    /// What the network was built from.
    #[must_use]
    pub fn config(&self) -> &ArchitectureConfig {
        &self.config
    }

    /// The parameters, sharing memory with the network: what is trained and averaged.
    #[must_use]
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// What checkpoints hold beside the parameters and training leaves alone, such as the random
    /// frequencies of a Fourier embedding; sharing memory with the network.
    #[must_use]
    pub fn constants(&self) -> &Parameters {
        &self.constants
    }

    /// Parameters and constants: all that a file of weights holds, ordered by name.
    #[must_use]
    pub fn weights(&self) -> Vec<(&str, &Tensor)> {
        let mut all: Vec<_> = self.parameters.iter().chain(self.constants.iter()).collect();
        all.sort_by_key(|(name, _)| *name);
        all
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

    /// Chooses whether a forward pass that records gradients keeps only the input of every layer and
    /// computes the layer again when the gradient is formed (Chen et al. 2016): less memory for more time,
    /// the same gradients, dropout's draws included.
    ///
    /// Measured on the CIFAR-10 network of DDPM in f32, on a processor: a training step of 8 images peaks at
    /// 1049 MiB instead of 1243, 715 of which are parameters, gradients, moments and average in both, and
    /// takes a fifth to a half more time.
    pub fn set_gradient_checkpointing(&mut self, checkpointing: bool) {
        self.recompute = checkpointing;
    }

    /// Chooses whether convolutions keep their weights in the order in which the processor reads them too,
    /// which makes calls that record no gradient faster, most of all on few or small images, and takes the
    /// memory of the weights (in f32) once more. Weights that change are packed again. At first they do
    /// not; a network made by [`UNet::for_inference`] does.
    pub fn set_weight_packing(&mut self, packing: bool) {
        self.packing.set(packing);
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
        let shared = weights.into_iter().map(|(name, tensor)| (name, Given::Shared(tensor)));
        let loaded = Self::from_given(&self.config, shared, Precision::F32, self.device)?;
        tch::no_grad(|| {
            for ((_, to), (_, from)) in self.weights().into_iter().zip(loaded.weights()) {
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

    /// A copy whose parameters have the kind it computes in, so that no call casts them, and which
    /// prepacks them ([`UNet::set_weight_packing`]).
    ///
    /// # Errors
    /// Never for a network that could be built.
    pub fn for_inference(&self, precision: Precision) -> Result<Self, UNetError> {
        let copy = self.copied(precision, self.device, precision.kind())?;
        copy.packing.set(true);
        Ok(copy)
    }

    /// The network's output for x `[n, c, h, w]` at times `[n]` or one time for all (`[]` or `[1]`).
    ///
    /// `class_labels` are `[n]` where the network has a table of classes (or embeds labels like
    /// times), vectors `[n, width]` where `class_embed_type` is identity, and absent otherwise. With
    /// `train` dropout acts, drawing from libtorch's generator. The output has the kind of x and
    /// lies contiguous; a classifier's is `[n, classes]`. Times are taken as they are, as in diffusers: 0 to 999 for DDPM.
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
        let family = self.config.family();
        let batch = check_images(x, family)?;
        if x.device() != self.device {
            return Err(UNetError::InputDevice { got: x.device(), expected: self.device });
        }
        let times = check_times(&times.to_device(self.device), family, batch)?;
        let labels = class_labels.map(|labels| labels.to_device(self.device));
        let labels = check_labels(labels.as_ref(), family, batch)?;
        let centered = if self.program.centers { x * 2.0 - 1.0 } else { x.shallow_clone() };
        let input =
            to_format(&centered.to_kind(self.precision.kind()), fastest_format(self.device));
        drop(centered);
        let mode = Mode { train, recompute: self.recompute };
        let output = self.program.run(input, &times, labels.as_ref(), mode);
        let output = output.to_kind(x.kind());
        Ok(if output.dim() == 4 { to_format(&output, MemoryFormat::Contiguous) } else { output })
    }
}

#[cfg(test)]
mod tests;
