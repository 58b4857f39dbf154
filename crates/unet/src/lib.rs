//! The DDPM U-Net (Ho et al. 2020, App. B) in the layer layout of diffusers' `UNet2DModel`.
//!
//! A [`UNet`] maps a noisy batch x [n, c, h, w] and its times to an output of the same size, at one
//! network evaluation. It is built from a [`UNetConfig`], which reads diffusers' `config.json`, or
//! from a [`NetworkConfig`], the short `[network]` table of a training configuration. Parameters
//! have diffusers' names, so its checkpoints load as they are, the older attention names included.
//!
//! Layout: a convolution; levels of residual blocks, each halving the size; a middle with
//! attention; the same levels upward, each block taking the features of its twin on the way down;
//! norm, `SiLU` and a convolution. A residual block is norm, `SiLU`, convolution, the time embedding
//! added, norm, `SiLU`, convolution. Height and width must be divisible by 2^(levels - 1).
//!
//! Parameters are kept in f32; [`Precision`] says what the network computes in. On a CPU tensors
//! run channels-last, which with this workspace's fused norm was measured fastest.
//!
//! ```
//! use tch::{Device, Kind, Tensor};
//! use tweedie_unet::{NetworkConfig, UNet};
//!
//! # fn main() -> Result<(), tweedie_unet::UNetError> {
//! let network = NetworkConfig {
//!     channels: 16,
//!     multipliers: vec![1, 2],
//!     attention_resolutions: vec![4],
//!     groups: 4,
//!     classes: Some(10),
//!     ..NetworkConfig::default()
//! };
//! let unet = UNet::new(&network.unet([1, 8, 8])?, 0)?;
//! let x = Tensor::zeros([2, 1, 8, 8], (Kind::Float, Device::Cpu));
//! let labels = Tensor::from_slice(&[3i64, 10]); // 10 is the null class
//! let output = tch::no_grad(|| unet.forward(&x, &Tensor::from(500.0), Some(&labels), false))?;
//! assert_eq!(output.size(), [2, 1, 8, 8]);
//! # Ok(())
//! # }
//! ```

mod activation;
mod architecture;
mod attention;
mod builder;
mod classifier_network;
#[cfg(doctest)]
mod derivations;
mod embedding;
mod error;
mod families;
mod fir;
#[cfg(test)]
mod gradient_check;
mod in_diffusers;
mod input;
mod input_scaling;
mod layers;
mod network;
mod network_call;
mod outline;
mod packing;
mod parameters;
mod part;
mod pool;
mod precision;
mod program;
mod resample;
mod residual;
mod score_network;
mod time_input;
mod unet;
mod weights;

pub use activation::ActivationFunction;
pub use architecture::ArchitectureConfig;
pub use classifier_network::{ClassGradient, ClassifierNetwork};
pub use embedding::Features as TimeFeatures;
pub use error::{UNetError, WeightMismatch};
pub use families::adm::{AdmConfig, AdmEncoderConfig, AdmPool};
pub use families::diffusers::{
    ClassEmbedding, DownBlockType, MidBlockType, Resampling, TimeEmbedding, TimeScaleShift,
    UNetConfig, UpBlockType,
};
pub use families::ncsnv2::{
    NcsnV2Config, NcsnV2Data, NcsnV2Depth, NcsnV2Model, NcsnV2Norm, SigmaDistribution,
};
pub use families::nonlinearity::Nonlinearity;
pub use families::score_sde::{
    EmbeddingType, Progressive, ProgressiveCombine, ProgressiveInput, ResblockType, ScoreSdeConfig,
    ScoreSdeData, ScoreSdeModel, ScoreSdeName, ScoreSdeTraining,
};
pub use fir::Fir;
pub use input_scaling::InputScaling;
pub use network::NetworkConfig;
pub use outline::{LayerOutline, Path};
pub use parameters::Parameters;
pub use precision::Precision;
pub use score_network::ScoreNetwork;
pub use time_input::TimeInput;
pub use unet::UNet;
pub use weights::{read_into, read_tensor, read_tensors};
