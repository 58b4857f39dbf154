//! `NCSNv2`: a `RefineNet` that estimates the score of images under one of many noise levels (Song and
//! Ermon 2020, app. B; Lin et al. 2017).
//!
//! On the way down, pairs of residual blocks: the first level keeps the size, the next one, two or three
//! halve it, and the last two widen their view by dilated convolutions instead. On the way up a refining
//! block for every level merges what the level below gave with what this level kept, and looks around by
//! chains of pooling. The network itself is not told the noise level; its output is divided by sigma.
//! The time is the index of the noise level, greatest first.

mod block;
mod config;
mod norm;
mod refine;

pub use config::{
    NcsnV2Config, NcsnV2Data, NcsnV2Depth, NcsnV2Model, NcsnV2Norm, SigmaDistribution,
};

use tch::Tensor;

use crate::UNetError;
use crate::architecture::{Family, Labels, TimeIndices};
use crate::builder::Builder;
use crate::layers::{Conv, Start};
use crate::program::{OutputScale, Program, Step, Steps};
use block::{Block, Change};
use norm::{FeatureNorm, NormThenActivation};
use refine::{Refine, RefineWidths};

/// A level: the end of its names, its channels as multiples of `ngf` (of the blocks, of what refining
/// gives), and what its first block changes.
struct Level {
    name: &'static str,
    channels: i64,
    refined: i64,
    change: Change,
}

impl NcsnV2Depth {
    fn levels(self) -> Vec<Level> {
        let level = |name, channels, refined, change| Level { name, channels, refined, change };
        let dilated = Change::Dilated;
        let (keep, halve) = (Change::Keep, Change::Halve);
        match self {
            Self::Plain => vec![
                level("1", 1, 1, keep),
                level("2", 2, 1, halve),
                level("3", 2, 2, dilated(2)),
                level("4", 2, 2, dilated(4)),
            ],
            Self::Deeper => vec![
                level("1", 1, 1, keep),
                level("2", 2, 1, halve),
                level("3", 2, 2, halve),
                level("4", 4, 2, dilated(2)),
                level("5", 4, 4, dilated(4)),
            ],
            Self::Deepest => vec![
                level("1", 1, 1, keep),
                level("2", 2, 1, halve),
                level("3", 2, 2, halve),
                level("31", 2, 2, halve),
                level("4", 4, 2, dilated(2)),
                level("5", 4, 4, dilated(4)),
            ],
        }
    }

    /// Refining blocks, the deepest first, are numbered like levels, the extra one too.
    fn refining_names(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["1", "2", "3", "4"],
            Self::Deeper => &["1", "2", "3", "4", "5"],
            Self::Deepest => &["1", "2", "31", "3", "4", "5"],
        }
    }
}

impl Family for NcsnV2Config {
    fn check(&self) -> Result<(), UNetError> {
        NcsnV2Config::check(self)
    }

    fn in_channels(&self) -> i64 {
        self.data.channels
    }

    fn out_channels(&self) -> i64 {
        self.data.channels
    }

    fn image_size(&self) -> Option<[i64; 2]> {
        Some([self.data.image_size; 2])
    }

    fn size_divisor(&self) -> i64 {
        let levels = self.depth().levels();
        1 << levels.iter().filter(|level| level.change == Change::Halve).count()
    }

    fn labels(&self) -> Labels {
        Labels::None
    }

    fn time_indices(&self) -> Option<TimeIndices> {
        Some(TimeIndices { count: self.model.num_classes, whole: true })
    }

    fn program(&self, b: &mut Builder<'_>) -> Program {
        let sigmas = self.sigmas(b);
        let (ngf, images) = (self.model.ngf, self.data.channels);
        let levels = self.depth().levels();
        let mut steps = Steps::default();
        steps.apply(b.at("begin_conv"), |b| Conv::new(b, images, ngf, 3, Start::Random));
        self.down(&mut steps, b, &levels);
        self.up(&mut steps, b, &levels);
        steps.apply(b.at("normalizer"), |b| NormThenActivation {
            norm: FeatureNorm::last(b, ngf, &self.model),
            then: self.model.nonlinearity.into(),
        });
        steps.apply(b.at("end_conv"), |b| Conv::new(b, ngf, images, 3, Start::Random));
        Program {
            centers: !self.data.rescaled && !self.data.logit_transform,
            embedding: None,
            activation: self.model.nonlinearity.into(),
            steps: steps.list(),
            scale: OutputScale::BySigma(sigmas),
        }
    }
}

impl NcsnV2Config {
    /// The noise levels, greatest first; every checkpoint holds them.
    fn sigmas(&self, b: &mut Builder<'_>) -> Tensor {
        let NcsnV2Model { sigma_begin, sigma_end, num_classes, sigma_dist, .. } = self.model;
        let part = |index| index as f64 / (num_classes - 1).max(1) as f64;
        let sigma = |index| match sigma_dist {
            // Song and Ermon 2020, techn. 2
            SigmaDistribution::Geometric => {
                (sigma_begin.ln() + (sigma_end / sigma_begin).ln() * part(index)).exp()
            }
            SigmaDistribution::Uniform => sigma_begin + (sigma_end - sigma_begin) * part(index),
        };
        let values: Vec<f32> = (0..num_classes).map(|index| sigma(index) as f32).collect();
        b.table("sigmas", &Tensor::from_slice(&values))
    }

    fn down(&self, steps: &mut Steps, b: &mut Builder<'_>, levels: &[Level]) {
        let mut from = self.model.ngf;
        for (index, level) in levels.iter().enumerate() {
            let to = level.channels * self.model.ngf;
            let mut b = b.at(format_args!("res{}", level.name));
            let second = level.change.after();
            steps.apply(b.at(0), |b| Block::new(b, from, to, level.change, &self.model));
            steps.apply(b.at(1), |b| Block::new(b, to, to, second, &self.model));
            from = to;
            // What is deepest goes straight into refining.
            if index + 1 < levels.len() {
                steps.push(Step::Push);
            }
        }
    }

    fn up(&self, steps: &mut Steps, b: &mut Builder<'_>, levels: &[Level]) {
        let names = self.depth().refining_names();
        let mut below = None;
        for (index, (name, level)) in names.iter().zip(levels.iter().rev()).enumerate() {
            let widths = RefineWidths {
                kept: level.channels * self.model.ngf,
                below,
                to: level.refined * self.model.ngf,
            };
            let ends = index + 1 == levels.len();
            let place = b.at(format_args!("refine{name}"));
            let act = self.model.nonlinearity.into();
            match below {
                None => steps.apply(place, |b| Refine::new(b, widths, ends, act)),
                Some(_) => steps.meet(place, |b| Refine::new(b, widths, ends, act)),
            }
            below = Some(widths.to);
        }
    }
}

#[cfg(test)]
mod tests;
