//! Whether restorations are of the class of the original, as their nearest training images vote.

use super::degradation::Degradation;
use super::restoring::Restoring;
use super::subjects::{SubjectArgs, Subjects};
use crate::run::Run;
use anyhow::{Context, Result, bail};
use ndarray::{Array2, Axis};
use serde::Serialize;
use tch::{Kind, Tensor};
use tweedie_datasets::Dataset;
use tweedie_evaluation::{
    VOTERS, agreement, nearest, pixels_of_dequantized, pixels_of_levels, pixels_of_scaled,
    votes_as_asked,
};

/// The training images of a model, which vote.
pub(super) struct Judge {
    /// Rows of pixels in `[0, 1]`.
    train: Array2<f32>,
    train_classes: Vec<u32>,
    /// The classes of the originals.
    classes: Vec<u32>,
    /// Places of the pixels that were drawn, where pixels themselves are known.
    drawn: Option<Vec<usize>>,
}

/// The share of images whose three nearest training images vote for the class of the original.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Judged {
    /// Judged by all pixels.
    whole: Shares,
    /// Judged by the pixels that were not measured alone.
    unknown_part: Option<Shares>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Shares {
    restored: f64,
    mean_filled: f64,
    original: f64,
}

/// Images to be judged as rows of pixels: restorations, the mean filled in, and originals.
struct Candidates {
    restored: Array2<f32>,
    mean_filled: Array2<f32>,
    original: Array2<f32>,
}

impl Judge {
    /// # Errors
    /// When the data set is not there, or the images or it have no classes.
    pub(super) fn open(
        run: &Run,
        args: &SubjectArgs,
        degradation: &Degradation,
        subjects: &Subjects,
    ) -> Result<Self> {
        let set = run.data(args.source(), "--source")?.train;
        let labels = set.labels().context("--judge needs a data set with classes")?;
        let classes: Option<Vec<u32>> =
            subjects.labels.iter().map(|class| class.map(|class| class as u32)).collect();
        let classes = classes.context("--judge needs images with classes")?;
        if set.len() < VOTERS {
            bail!("--judge needs {VOTERS} training images, {} has {}", set.name(), set.len());
        }
        let drawn = degradation.known_pixels(run).map(|known| {
            let known = Vec::<f32>::try_from(known.contiguous().flatten(0, -1)).unwrap_or_default();
            (0..known.len()).filter(|place| known[*place] == 0.0).collect()
        });
        let train = pixels(&set)?;
        Ok(Self { train, train_classes: labels.to_vec(), classes, drawn })
    }

    /// Judges restorations `[n * count, c, h, w]` in the range of the model's data, on the CPU.
    ///
    /// # Errors
    /// When a pixel is not finite.
    pub(super) fn judged(&self, restoring: &Restoring<'_>, states: &Tensor) -> Result<Judged> {
        let Restoring { run, subjects, .. } = restoring;
        let originals = subjects.originals.as_ref().context("--judge needs the originals")?;
        let candidates = Candidates {
            restored: rows(run, states)?,
            mean_filled: rows(run, &self.mean_filled(restoring)?)?,
            original: rows(run, originals)?,
        };
        let drawn = self.drawn.as_ref().map(|places| self.shares(&candidates, Some(places)));
        Ok(Judged { whole: self.shares(&candidates, None)?, unknown_part: drawn.transpose()? })
    }

    /// The mean training image with what was measured put in, for each image.
    fn mean_filled(&self, restoring: &Restoring<'_>) -> Result<Tensor> {
        let Restoring { run, degradation, subjects, deviation, .. } = restoring;
        let mean = self.train.mean_axis(Axis(0)).context("training images")?;
        // back from [0, 1] to the scale of states
        let shrunk = run.dequantized_levels().map_or(1.0, |n| f64::from(n - 1) / f64::from(n));
        let mean: Vec<f32> = mean.iter().map(|pixel| (2.0 * pixel - 1.0) * shrunk as f32).collect();
        let [c, h, w] = run.unpadded_shape().map(|side| side as i64);
        let [_, outer_h, outer_w] = run.shape().map(|side| side as i64);
        let (below, right) = (outer_h - h, outer_w - w);
        let border = [right / 2, right - right / 2, below / 2, below - below / 2];
        let mean = Tensor::from_slice(&mean).view([1, c, h, w]);
        let mean = run.data_range().from_symmetric(&mean).constant_pad_nd(border);
        let mean = mean.to_device(run.device()).to_kind(Kind::Float);
        let batch = mean.expand([subjects.names.len() as i64, -1, -1, -1], false).contiguous();
        let filled = degradation.measurement(&subjects.y, *deviation)?.project(&batch, 1.0);
        Ok(filled.to_device(tch::Device::Cpu))
    }

    fn shares(&self, candidates: &Candidates, places: Option<&Vec<usize>>) -> Result<Shares> {
        Ok(Shares {
            restored: self.share(&candidates.restored, places)?,
            mean_filled: self.share(&candidates.mean_filled, places)?,
            original: self.share(&candidates.original, places)?,
        })
    }

    /// The share of images whose neighbours vote for the class of their original, by the pixels at `places`.
    fn share(&self, images: &Array2<f32>, places: Option<&Vec<usize>>) -> Result<f64> {
        let part = |rows: &Array2<f32>| match places {
            Some(places) => rows.select(Axis(1), places),
            None => rows.clone(),
        };
        let (images, train) = (part(images), part(&self.train));
        let neighbours = nearest(images.view(), train.view(), VOTERS, &mut |_| ())?;
        let each = images.nrows() / self.classes.len();
        let classes: Vec<u32> = self.classes.iter().flat_map(|class| vec![*class; each]).collect();
        let agreed = votes_as_asked(&neighbours, &classes, &self.train_classes);
        Ok(agreement(&classes, &agreed, 0).0.share)
    }
}

fn pixels(set: &Dataset) -> Result<Array2<f32>> {
    Ok(pixels_of_levels(set.images(), set.item_len(), set.levels())?)
}

/// States as rows of pixels in `[0, 1]`.
fn rows(run: &Run, states: &Tensor) -> Result<Array2<f32>> {
    let images = run.as_images(states);
    let values = Vec::<f32>::try_from(images.contiguous().flatten(0, -1))?;
    let item = values.len() / images.size()[0] as usize;
    Ok(match run.dequantized_levels() {
        Some(levels) => pixels_of_dequantized(&values, item, levels)?,
        None => pixels_of_scaled(&values, item)?,
    })
}

impl Judged {
    /// For a person.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |what: &str, shares: &Shares| {
            let Shares { restored, mean_filled, original } = shares;
            format!(
                "class agreement {what}: {restored:.3}, with the mean filled in {mean_filled:.3}, originals \
                 {original:.3}"
            )
        };
        let part = self.unknown_part.as_ref().map(|shares| line("by the unknown part", shares));
        [line("by all pixels", &self.whole)].into_iter().chain(part).collect()
    }
}
