//! The networks of `score_sde`: NCSN++ and DDPM++ (Song et al. 2021, app. H), and its DDPM.
//!
//! A U-Net whose parts are choices: residual blocks of DDPM or of `BigGAN`, filtered resampling, sums
//! divided by sqrt(2), a pyramid of images beside the features on the way down (the input again, or a
//! second path of residuals) and on the way up (the output drawn at every level, or such a path), time
//! embedded by waves or by Fourier features of ln(sigma), and an output divided by sigma. DDPM++ is the
//! network with none of the pyramids, NCSN++ the one with both filters and pyramids. Attention follows
//! every block on the way down, but on the way up only the last of a level.
//!
//! Modules are numbered in the order in which they are used, `all_modules.0` onward; one without
//! parameters takes a number too, and only the two pyramids that filter without a convolution do not.
//! A network that is told no time still holds what would have told it.
//!
//! Two layers cannot run in the code that published them: a doubling filter with a convolution (its
//! transposed weights are asked for with a negative stride) and DDPM without time. The first is computed
//! here as it was meant, the second refused.

mod config;
mod in_diffusers;
mod layout;

pub use config::{
    EmbeddingType, Progressive, ProgressiveCombine, ProgressiveInput, ResblockType, ScoreSdeConfig,
    ScoreSdeData, ScoreSdeModel, ScoreSdeName, ScoreSdeTraining,
};

use std::f64::consts::SQRT_2;

use tch::Tensor;

use crate::UNetError;
use crate::architecture::{Family, Labels, TimeIndices};
use crate::attention::{AttentionOptions, AttentionStyle, Projections};
use crate::builder::Builder;
use crate::fir::Fir;
use crate::layers::{Groups, LinearForm, NormOptions, Start, Starts};
use crate::program::{OutputScale, Program};
use crate::resample::Resize;
use crate::residual::{ResidualOptions, ResidualStyle, Telling};
use layout::Layout;

const DDPM_BLOCK: ResidualStyle = ResidualStyle {
    norm1: "GroupNorm_0",
    conv1: "Conv_0",
    told: "Dense_0",
    norm2: "GroupNorm_1",
    conv2: "Conv_1",
    shortcut: "NIN_0",
    shortcut_is_conv: false,
};

const BIGGAN_BLOCK: ResidualStyle =
    ResidualStyle { shortcut: "Conv_2", shortcut_is_conv: true, ..DDPM_BLOCK };

const ATTENTION: AttentionStyle = AttentionStyle {
    norm: "GroupNorm_0",
    projections: Projections::Separate(["NIN_0", "NIN_1", "NIN_2"]),
    out: "NIN_3",
    form: LinearForm::Nin,
};

impl Family for ScoreSdeConfig {
    fn check(&self) -> Result<(), UNetError> {
        ScoreSdeConfig::check(self)
    }

    fn in_channels(&self) -> i64 {
        self.data.num_channels
    }

    fn out_channels(&self) -> i64 {
        self.data.num_channels
    }

    fn image_size(&self) -> Option<[i64; 2]> {
        Some([self.data.image_size; 2])
    }

    fn size_divisor(&self) -> i64 {
        1 << (self.model.ch_mult.len() - 1)
    }

    fn labels(&self) -> Labels {
        Labels::None
    }

    fn time_indices(&self) -> Option<TimeIndices> {
        let looks_up = self.model.scale_by_sigma && !self.fourier();
        // NCSN++ embeds the time as it is, and divides by the sigma of the index before it.
        let whole = self.model.name != ScoreSdeName::Ncsnpp;
        looks_up.then_some(TimeIndices { count: self.model.num_scales, whole })
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let sigmas = self.sigmas(b);
        let mut layout = Layout::new(self, b);
        let embedding = layout.embedding();
        layout.down();
        layout.middle();
        layout.up();
        Program {
            centers: !self.data.centered,
            embedding,
            activation: self.model.nonlinearity.into(),
            steps: layout.steps.list(),
            scale: match (self.model.scale_by_sigma, self.fourier()) {
                (false, _) => OutputScale::None,
                (true, true) => OutputScale::ByTime,
                (true, false) => OutputScale::BySigma(sigmas),
            },
        }
    }
}

/// What the choices of a configuration come to, with those that DDPM does not have left out.
impl ScoreSdeConfig {
    fn is_ncsnpp(&self) -> bool {
        self.model.name == ScoreSdeName::Ncsnpp
    }

    fn fourier(&self) -> bool {
        self.is_ncsnpp() && self.model.embedding_type == EmbeddingType::Fourier
    }

    fn big_gan(&self) -> bool {
        self.is_ncsnpp() && self.model.resblock_type == ResblockType::BigGan
    }

    fn input(&self) -> ProgressiveInput {
        if self.is_ncsnpp() { self.model.progressive_input } else { ProgressiveInput::None }
    }

    fn output(&self) -> Progressive {
        if self.is_ncsnpp() { self.model.progressive } else { Progressive::None }
    }

    fn divisor(&self) -> f64 {
        if self.is_ncsnpp() && self.model.skip_rescale { SQRT_2 } else { 1.0 }
    }

    fn filter(&self) -> Option<Result<Fir, UNetError>> {
        let filters = self.is_ncsnpp() && self.model.fir;
        filters.then(|| Fir::new(&self.model.fir_kernel))
    }

    fn starts(&self) -> Starts {
        Starts {
            layer: Start::Scaled(1.0),
            projection: Start::Scaled(0.1),
            last: Start::Scaled(if self.is_ncsnpp() { self.model.init_scale } else { 0.0 }),
        }
    }

    fn norm(&self) -> NormOptions {
        let groups = match self.is_ncsnpp() {
            true => Groups::Quarter("model.nf"),
            false => Groups::Fixed("model.nf", 32),
        };
        NormOptions { groups, eps: 1e-6 }
    }

    fn residual(&self, resize: Resize) -> ResidualOptions {
        ResidualOptions {
            style: if self.big_gan() { BIGGAN_BLOCK } else { DDPM_BLOCK },
            starts: self.starts(),
            norm1: self.norm(),
            norm2: self.norm(),
            embedding: 4 * self.model.nf,
            telling: Telling::Shift,
            activation: self.model.nonlinearity.into(),
            dropout: self.model.dropout,
            divisor: self.divisor(),
            projects_always: !matches!(resize, Resize::Keep),
            resize,
        }
    }

    fn attention(&self, channels: i64) -> AttentionOptions {
        AttentionOptions {
            style: ATTENTION,
            starts: self.starts(),
            norm: Some(self.norm()),
            heads: 1,
            head: channels,
            divisor: self.divisor(),
        }
    }

    fn attends(&self, level: usize) -> bool {
        self.model.attn_resolutions.contains(&(self.data.image_size >> level))
    }

    /// The noise levels, greatest first; every checkpoint holds them.
    fn sigmas(&self, b: &mut Builder<'_>) -> Tensor {
        // Song and Ermon 2020, techn. 2: a geometric progression
        let (first, last) = (self.model.sigma_max.ln(), self.model.sigma_min.ln());
        let steps = (self.model.num_scales - 1).max(1) as f64;
        let sigma = |index| (first + (last - first) * index as f64 / steps).exp();
        let values: Vec<f64> = (0..self.model.num_scales).map(sigma).collect();
        b.table("sigmas", &Tensor::from_slice(&values))
    }
}

#[cfg(test)]
mod tests;
