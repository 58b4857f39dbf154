//! The configuration of the networks of `score_sde`, in its own groups and words.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::UNetError;
use crate::families::groups::{read_groups, refuse_first};
use crate::families::nonlinearity::Nonlinearity;
use crate::fir::Fir;

/// Which network, `model.name`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreSdeName {
    /// NCSN++ and DDPM++.
    #[default]
    Ncsnpp,
    /// The network of DDPM. It reads none of the keys that only NCSN++ has.
    Ddpm,
}

/// What a residual block is, `resblock_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResblockType {
    /// That of DDPM; layers of their own change the size.
    #[default]
    Ddpm,
    /// That of `BigGAN` (Brock et al. 2019), which changes the size inside of it too.
    BigGan,
}

/// What a pyramid of images does beside the features, `progressive_input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProgressiveInput {
    /// There is none.
    #[default]
    None,
    /// The halved input joins the features of every level.
    InputSkip,
    /// Features are summed with the halved features of the level before.
    Residual,
}

/// What a pyramid of images does beside the features on the way up, `progressive`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progressive {
    /// There is none.
    #[default]
    None,
    /// The output is the sum of images drawn at every level.
    OutputSkip,
    /// Features are summed with the doubled features of the level before.
    Residual,
}

/// How the input joins the features, `progressive_combine`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressiveCombine {
    /// Added.
    #[default]
    Sum,
    /// As channels before those of the features.
    Cat,
}

/// How the time is embedded, `embedding_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EmbeddingType {
    /// Sines and cosines of the time.
    #[default]
    Positional,
    /// Sines and cosines of ln(sigma) at random frequencies; the time is sigma.
    Fourier,
}

/// What the network reads of the group `training`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSdeTraining {
    /// Whether time is continuous, as Fourier features need it.
    pub continuous: bool,
}

/// What the network reads of the group `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSdeData {
    /// Width of the images, which says which levels have attention.
    pub image_size: i64,
    /// Whether images come in [-1, 1]; else x in [0, 1] becomes 2 x - 1 first.
    pub centered: bool,
    /// Channels of the images.
    pub num_channels: i64,
}

impl Default for ScoreSdeData {
    fn default() -> Self {
        Self { image_size: 32, centered: false, num_channels: 3 }
    }
}

/// What the network reads of the group `model`. Defaults are those of its CIFAR-10 networks where all
/// of them agree, and else what DDPM does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSdeModel {
    /// Which network.
    pub name: ScoreSdeName,
    /// Channels of the first convolution.
    pub nf: i64,
    /// Channels of every level, as multiples of `nf`.
    pub ch_mult: Vec<i64>,
    /// Residual blocks of a level on the way down; going up there is one more.
    pub num_res_blocks: usize,
    /// Image widths at which there is attention.
    pub attn_resolutions: Vec<i64>,
    /// Whether layers that change the size, where blocks do not, convolve.
    pub resamp_with_conv: bool,
    /// Probability of dropping an activation in training.
    pub dropout: f64,
    /// The non-linearity.
    pub nonlinearity: Nonlinearity,
    /// Whether blocks are told the time.
    pub conditional: bool,
    /// Whether the output is divided by sigma.
    pub scale_by_sigma: bool,
    /// The least of the noise levels.
    pub sigma_min: f64,
    /// The greatest of the noise levels, which comes first.
    pub sigma_max: f64,
    /// How many noise levels the table holds.
    pub num_scales: i64,
    /// What a residual block is.
    pub resblock_type: ResblockType,
    /// Whether images are filtered before they are halved and after they are doubled.
    pub fir: bool,
    /// The taps of that filter.
    pub fir_kernel: Vec<f64>,
    /// Whether sums of two branches are divided by sqrt(2).
    pub skip_rescale: bool,
    /// The pyramid on the way up.
    pub progressive: Progressive,
    /// The pyramid on the way down.
    pub progressive_input: ProgressiveInput,
    /// How the input joins the features.
    pub progressive_combine: ProgressiveCombine,
    /// How the time is embedded.
    pub embedding_type: EmbeddingType,
    /// Deviation of the random frequencies.
    pub fourier_scale: f64,
    /// Variance of the last layers of all branches at the start, relative to the other layers'.
    pub init_scale: f64,
}

impl Default for ScoreSdeModel {
    fn default() -> Self {
        Self {
            name: ScoreSdeName::default(),
            nf: 128,
            ch_mult: vec![1, 2, 2, 2],
            num_res_blocks: 2,
            attn_resolutions: vec![16],
            resamp_with_conv: true,
            dropout: 0.1,
            nonlinearity: Nonlinearity::Swish,
            conditional: true,
            scale_by_sigma: false,
            sigma_min: 0.01,
            sigma_max: 50.0,
            num_scales: 1000,
            resblock_type: ResblockType::default(),
            fir: false,
            fir_kernel: vec![1.0, 3.0, 3.0, 1.0],
            skip_rescale: false,
            progressive: Progressive::default(),
            progressive_input: ProgressiveInput::default(),
            progressive_combine: ProgressiveCombine::default(),
            embedding_type: EmbeddingType::default(),
            fourier_scale: 16.0,
            init_scale: 0.0,
        }
    }
}

/// Everything a network of `score_sde` is built from (Song et al. 2021, app. H), in its groups and words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScoreSdeConfig {
    /// What the network reads of the group `training`.
    pub training: ScoreSdeTraining,
    /// What the network reads of the group `data`.
    pub data: ScoreSdeData,
    /// What the network reads of the group `model`.
    pub model: ScoreSdeModel,
}

/// Keys of the group `model` that no network of these reads: its norms are group norms and its
/// attention that of DDPM whatever they say.
const UNREAD: [&str; 7] =
    ["attention_type", "beta_max", "beta_min", "conv_size", "ema_rate", "normalization", "lsgan"];

/// The words of the group `model` in small letters, as their peer reads them.
fn lowercased(mut values: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::Object(model)) = values.get_mut("model") {
        for value in model.values_mut() {
            if let Value::String(word) = value {
                word.make_ascii_lowercase();
            }
        }
    }
    values
}

/// Keys that the peer reads for either network.
const READ: [&str; 13] = [
    "data.image_size",
    "data.centered",
    "data.num_channels",
    "model.name",
    "model.nf",
    "model.ch_mult",
    "model.num_res_blocks",
    "model.attn_resolutions",
    "model.dropout",
    "model.resamp_with_conv",
    "model.conditional",
    "model.scale_by_sigma",
    "model.nonlinearity",
];

/// Keys that it reads for NCSN++ alone.
const READ_BY_NCSNPP: [&str; 9] = [
    "model.fir",
    "model.fir_kernel",
    "model.skip_rescale",
    "model.resblock_type",
    "model.progressive",
    "model.progressive_input",
    "model.progressive_combine",
    "model.embedding_type",
    "model.init_scale",
];

impl ScoreSdeConfig {
    /// Reads the groups `training`, `data` and `model` of a configuration of `score_sde`; other groups,
    /// and keys that have nothing to do with the network, may be there.
    ///
    /// # Errors
    /// If a key that the network depends on is missing (all that are, are named), a key of `model` is
    /// unknown, or a value is not supported or out of range.
    pub fn from_values(values: Map<String, Value>) -> Result<Self, UNetError> {
        let name = values.get("model").and_then(|model| model.get("name"));
        let of_ncsnpp = name.is_none_or(|name| name != "ddpm");
        let needed: Vec<_> = match of_ncsnpp {
            true => READ.iter().chain(&READ_BY_NCSNPP).copied().collect(),
            false => READ.to_vec(),
        };
        let config: Self = read_groups(lowercased(values), &needed, &UNREAD)?;
        config.check()?;
        Ok(config)
    }

    /// Checks ranges, and that values go together.
    ///
    /// # Errors
    /// The first value that is out of range, with what is allowed.
    pub fn check(&self) -> Result<(), UNetError> {
        let Self { training, data, model } = self;
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let widths = model.ch_mult.iter().all(|m| *m > 0 && m.saturating_mul(model.nf) < 1 << 20);
        let fourier = model.embedding_type == EmbeddingType::Fourier;
        let levels = (1..=31).contains(&model.ch_mult.len());
        let ddpm = model.name == ScoreSdeName::Ddpm;
        if model.fir && !ddpm {
            Fir::new(&model.fir_kernel)?;
        }
        refuse_first([
            (
                (1..=1 << 20).contains(&data.image_size),
                "data.image_size",
                &data.image_size,
                "1 to 2^20",
            ),
            (
                (1..1 << 16).contains(&data.num_channels),
                "data.num_channels",
                &data.num_channels,
                "1 to 65535",
            ),
            ((4..1 << 20).contains(&model.nf), "model.nf", &model.nf, "4 to less than 2^20"),
            (
                levels && widths,
                "model.ch_mult",
                &model.ch_mult,
                "1 to 31 numbers of at least 1, whose products with model.nf are less than 2^20",
            ),
            (
                model.num_res_blocks < 65,
                "model.num_res_blocks",
                &model.num_res_blocks,
                "at most 64",
            ),
            ((0.0..1.0).contains(&model.dropout), "model.dropout", &model.dropout, "in [0, 1)"),
            (positive(model.sigma_min), "model.sigma_min", &model.sigma_min, "above 0"),
            (positive(model.sigma_max), "model.sigma_max", &model.sigma_max, "above 0"),
            (
                (1..=1_000_000).contains(&model.num_scales),
                "model.num_scales",
                &model.num_scales,
                "1 to 1000000",
            ),
            (
                model.fourier_scale.is_finite() && model.fourier_scale >= 0.0,
                "model.fourier_scale",
                &model.fourier_scale,
                "a finite number, at least 0",
            ),
            (
                model.init_scale.is_finite() && model.init_scale >= 0.0,
                "model.init_scale",
                &model.init_scale,
                "a finite number, at least 0",
            ),
            // What its forward pass takes for granted.
            (
                model.conditional || !ddpm,
                "model.conditional",
                &model.conditional,
                "true where model.name is ddpm",
            ),
            // Song et al. 2021, app. C: Fourier features see ln(sigma), which steps do not have.
            (
                training.continuous || !fourier || ddpm,
                "training.continuous",
                &training.continuous,
                "true where model.embedding_type is fourier",
            ),
        ])
    }
}
