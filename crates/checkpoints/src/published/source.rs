//! What a checkpoint may be: whose it is, which network it holds, which of its weights are taken.

use std::fmt;
use std::path::PathBuf;

/// The program that a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointSource {
    /// huggingface/diffusers.
    Diffusers,
    /// yang-song/score_sde_pytorch.
    ScoreSde,
    /// openai/guided-diffusion.
    GuidedDiffusion,
    /// openai/improved-diffusion: the same parameter names, other defaults.
    ImprovedDiffusion,
    /// ermongroup/ncsnv2.
    Ncsnv2,
}

impl CheckpointSource {
    /// The name of the program, as people say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Diffusers => "diffusers",
            Self::ScoreSde => "score_sde",
            Self::GuidedDiffusion => "guided-diffusion",
            Self::ImprovedDiffusion => "improved-diffusion",
            Self::Ncsnv2 => "ncsnv2",
        }
    }
}

impl fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The network that a checkpoint holds, by the class that it has in its source. It says in which
/// keys the network's configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkFamily {
    /// `UNet2DModel` of diffusers; the keys of its `config.json`.
    UNet2DModel,
    /// `UNetModel` of guided- and improved-diffusion; the arguments of its constructor.
    Adm,
    /// `EncoderUNetModel` of guided-diffusion, a classifier; the arguments of its constructor.
    AdmEncoder,
    /// `ncsnpp` or `ddpm` of `score_sde`; its configuration's groups `training`, `data` and `model`.
    ScoreSde,
    /// `NCSNv2`; its configuration's groups `data` and `model`.
    Ncsnv2,
}

/// Which weights are taken from a checkpoint that holds both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightChoice {
    /// The running average, which is what samples are drawn with.
    #[default]
    Averaged,
    /// The weights themselves, as the optimizer left them.
    Raw,
}

/// What the weights that were taken are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WeightKind {
    /// A running average.
    Averaged {
        /// How much of the average stays at each update, where the file says it.
        decay: Option<f64>,
        /// Updates so far, where the file says it.
        updates: Option<i64>,
    },
    /// Weights as the optimizer left them.
    Raw,
    /// The file holds one set of weights and does not say which.
    Unsaid,
}

/// How a checkpoint is opened beyond its path. The default takes the average, and finds the
/// configuration beside the weights.
#[derive(Clone, Debug, Default)]
pub struct PublishedOptions {
    /// The file that says how the network is built: JSON, or the flags of guided-diffusion as text.
    pub config: Option<PathBuf>,
    /// The flags of guided- or improved-diffusion themselves, as on a command line.
    pub flags: Option<String>,
    /// Which weights are taken where there are two sets.
    pub weights: WeightChoice,
    /// The program that the file is of, where neither names nor flags tell
    /// (guided- and improved-diffusion differ in defaults alone).
    pub source: Option<CheckpointSource>,
}
