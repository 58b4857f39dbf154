//! What came of it: the picture, and how well restorations agree with what was measured.

use super::judge::{Judge, Judged};
use super::restoring::{Planned, Restoring};
use crate::output::{Format, Images};
use anyhow::Result;
use serde_json::json;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// What was asked for and what it took, beside the restoring itself.
pub(super) struct Asked<'a> {
    /// The model's path.
    pub(super) path: &'a Path,
    pub(super) seconds: f64,
}

/// How well restorations agree with what was measured, and with the originals.
pub(super) struct Report {
    images: Vec<OfImage>,
    /// What noise alone leaves of `|A x - y|` for the original.
    of_noise: f64,
    /// Way and method in words.
    sampler: String,
    calls: f64,
    judged: Option<Judged>,
}

/// The restorations of one image.
struct OfImage {
    name: String,
    /// `|A x - y|` of each.
    residuals: Vec<f64>,
    /// Root of the mean squared difference to the original, of each.
    errors: Option<Vec<f64>>,
}

impl Report {
    /// Measures restorations, `[n * count, c, h, w]` in the range of the model's data, on the CPU.
    ///
    /// # Errors
    /// When a restoration is not finite.
    pub(super) fn of(
        restoring: &Restoring<'_>,
        planned: &Planned<'_>,
        states: &Tensor,
        judge: Option<&Judge>,
    ) -> Result<Self> {
        let Restoring { degradation, subjects, count, run, .. } = restoring;
        let repeated =
            |per_image: &Tensor| per_image.repeat_interleave_self_int(*count as i64, 0, None);
        let on_device = states.to_device(run.device());
        let residual = degradation.apply(&on_device) - repeated(&subjects.y);
        let residuals = norms(&degradation.only_measured(&residual))?;
        let errors = match &subjects.originals {
            Some(originals) => {
                let difference = run.without_padding(&(states - repeated(originals)));
                let values = difference.numel() / restoring.all();
                let root = (values as f64).sqrt();
                Some(norms(&difference)?.into_iter().map(|norm| norm / root).collect::<Vec<_>>())
            }
            None => None,
        };
        let of_image = |(index, name): (usize, &String)| {
            let range = index * count..(index + 1) * count;
            let errors = errors.as_ref().map(|errors| errors[range.clone()].to_vec());
            OfImage { name: name.clone(), residuals: residuals[range].to_vec(), errors }
        };
        Ok(Self {
            images: subjects.names.iter().enumerate().map(of_image).collect(),
            of_noise: restoring.deviation * (degradation.values(run) as f64).sqrt(),
            sampler: planned.describe(),
            calls: planned.calls_of_batch(),
            judged: judge.map(|judge| judge.judged(restoring, states)).transpose()?,
        })
    }

    /// For a person: a line an image, and the verdict of the judge.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |image: &OfImage| {
            let error = image
                .errors
                .as_ref()
                .map(|errors| format!(", rms difference from the original {:.4}", mean(errors)));
            let (residual, error) = (mean(&image.residuals), error.unwrap_or_default());
            format!("{}: residual |A x - y| {residual:.3e}{error}", image.name)
        };
        let noise = (self.of_noise > 0.0).then(|| {
            format!("the noise alone leaves the original a residual of {:.3e}", self.of_noise)
        });
        let judged = self.judged.iter().flat_map(Judged::lines);
        self.images.iter().map(line).chain(noise).chain(judged).collect()
    }

    /// As one JSON object, with what was asked.
    ///
    /// # Errors
    /// Never: all of it can be written.
    pub(super) fn json(&self, restoring: &Restoring<'_>, asked: &Asked<'_>) -> Result<String> {
        let Restoring { run, degradation, deviation, drawing, count, guide, .. } = restoring;
        let image = |image: &OfImage| {
            json!({
                "image": image.name,
                "residual": mean(&image.residuals),
                "residuals": image.residuals,
                "rms_errors": image.errors,
            })
        };
        let all: Vec<f64> = self.images.iter().flat_map(|image| image.residuals.clone()).collect();
        let value = json!({
            "run": asked.path,
            "step": run.step(),
            "measurement": degradation.words,
            "noise": deviation,
            "sampler": self.sampler,
            "guidance": guide.describe(),
            "seed": drawing.seed,
            "count": count,
            "network_calls": self.calls,
            "seconds": asked.seconds,
            "residual": mean(&all),
            "residual_of_noise": self.of_noise,
            "images": self.images.iter().map(image).collect::<Vec<_>>(),
            "judged": self.judged.as_ref().map(serde_json::to_value).transpose()?,
        });
        Ok(serde_json::to_string_pretty(&value)?)
    }
}

/// The norm of each sample, in double precision.
fn norms(samples: &Tensor) -> Result<Vec<f64>> {
    let squares = samples.to_device(Device::Cpu).to_kind(Kind::Double).square().flatten(1, -1);
    Ok(Vec::try_from(squares.sum_dim_intlist([-1].as_slice(), false, Kind::Double).sqrt())?)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Writes the picture, or the restorations alone; returns what was written, in words.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write(restoring: &Restoring<'_>, states: &Tensor, out: &Path) -> Result<String> {
    let Restoring { run, degradation, subjects, count, .. } = restoring;
    let restored = run.as_images(states);
    let images = restored.size()[0] as usize;
    if Format::of(out)? != Format::Grid {
        let classes = vec![None; images];
        let levels = run.dequantized_levels().filter(|_| subjects.levels.is_some());
        return Images { images: &restored, classes: &classes, levels }.write(out, None);
    }
    let rows = subjects.names.len() as i64;
    let mut columns: Vec<Tensor> = Vec::new();
    columns.extend(subjects.originals.as_ref().map(|states| run.as_images(states).unsqueeze(1)));
    columns.push(degradation.picture(run, &subjects.y)?.unsqueeze(1));
    columns.push(restored.unflatten(0, [rows, *count as i64].as_slice()));
    let all = Tensor::cat(&columns, 1).flatten(0, 1);
    let (classes, wide) = (vec![None; all.size()[0] as usize], all.size()[0] / rows);
    let drawn = Images { images: &all, classes: &classes, levels: subjects.levels };
    drawn.write(out, Some(wide as usize))?;
    Ok(format!("images: {rows}, {count} restorations each: {}", out.display()))
}
