//! A network of another family as the `UNet2DModel` of diffusers that computes the same.

use tch::{Device, Kind, Tensor, no_grad};

use crate::weights::Given;
use crate::{ArchitectureConfig, Precision, UNet, UNetError};

/// How far outputs may be apart, by the largest: far more than rounding, far less than a layer in the wrong
/// place.
const TOLERANCE: f64 = 1e-3;

impl UNet {
    /// The network as a `UNet2DModel`, in f32: itself where it is one, and otherwise one with the same weights
    /// under other names, which was seen to give the same output. Weights that are in f32 lie in memory once,
    /// shared by both networks: what changes one in place changes the other.
    ///
    /// # Errors
    /// When there is none; the error says all that differs.
    pub fn to_diffusers(&self) -> Result<Self, UNetError> {
        match self.config() {
            own @ ArchitectureConfig::Diffusers(_) => {
                let weights = self.weights().into_iter();
                self.sharing(own, weights.map(|(name, tensor)| (name.to_owned(), tensor.detach())))
            }
            ArchitectureConfig::ScoreSde(config) => {
                let renamed = config.renamed(self.weights());
                let converted = self.sharing(&config.in_diffusers()?.into(), renamed)?;
                self.check_equal(&converted)?;
                Ok(converted)
            }
            other => {
                let differs = format!("it is of the family {}", other.family_name());
                Err(UNetError::NotInDiffusers { differs })
            }
        }
    }

    /// A network in f32 on the device of this one, of weights that it shares where they are in f32 too.
    fn sharing(
        &self,
        config: &ArchitectureConfig,
        weights: impl IntoIterator<Item = (String, Tensor)>,
    ) -> Result<Self, UNetError> {
        let shared = weights.into_iter().map(|(name, tensor)| (name, Given::Shared(tensor)));
        Self::from_given(config, shared, Precision::F32, self.device())
    }

    /// Compares the outputs for one small image.
    fn check_equal(&self, converted: &Self) -> Result<(), UNetError> {
        let (channels, side) = (self.config().in_channels(), 2 * self.config().size_divisor());
        let count = channels * side * side;
        let form = (Kind::Float, Device::Cpu);
        let image = (Tensor::arange(count, form) * 0.7).sin().reshape([1, channels, side, side]);
        let image = image * 0.5 + 0.5;
        let output = |network: &Self| {
            let (image, time) = (image.to_device(network.device()), Tensor::from(7.0_f32));
            let output = no_grad(|| network.forward(&image, &time, None, false))?;
            Ok::<_, UNetError>(output.to_device(Device::Cpu).to_kind(Kind::Double))
        };
        let (own, other) = (output(self)?, output(converted)?);
        let largest = own.abs().max().double_value(&[]);
        let apart = (own - other).abs().max().double_value(&[]);
        if apart <= TOLERANCE * largest {
            return Ok(());
        }
        let differs = format!("their outputs are apart by {apart:e} of {largest:e}");
        Err(UNetError::NotInDiffusers { differs })
    }
}
