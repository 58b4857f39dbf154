//! Pictures of samples, drawn with DDIM from the averaged weights.

use std::path::Path;

use tch::{Device, Kind, Tensor};
use tweedie_datasets::{GridLayout, grid, save_png, to_picture};
use tweedie_samplers::{Ddim, OneStep, sample};
use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid};
use tweedie_score::{Conditioned, NoiseSource, PerSample};
use tweedie_unet::{ScoreNetwork, TimeInput, UNet};

use crate::config::SampleConfig;
use crate::network::ImageForm;
use crate::{ConfigError, TrainError};

/// A picture of samples in a file.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Height and width in pixels.
    pub(crate) size: [u32; 2],
    /// The PNG file's bytes.
    pub(crate) png: Vec<u8>,
}

/// Draws a grid of samples and saves it at `path`. With classes, row r holds class r.
pub(crate) fn draw(
    unet: &UNet,
    table: &DiscreteTable,
    prediction: Prediction,
    form: &ImageForm,
    config: &SampleConfig,
    path: &Path,
) -> Result<Picture, TrainError> {
    let rows = form.classes.map_or(config.rows, |classes| config.rows.min(classes));
    let count = rows * config.columns;
    let conditions = (0..count).map(|k| form.classes.map(|_| k / config.columns)).collect();
    let time_input = TimeInput::Index { steps: table.len() };
    let network = ScoreNetwork { unet, prediction, time_input, classes: form.classes };
    let score = Conditioned { network: &network, conditions };

    let schedule = |source| ConfigError::Schedule { source };
    let steps = config.steps.min(table.len());
    let times = TimeGrid::discrete(table, steps, Spacing::Trailing).map_err(schedule)?;
    let solver = OneStep(Ddim::new(config.eta)?);
    let mut noise = PerSample::new(config.seed, 0, count);
    let [channels, height, width] = form.shape.map(|size| size as i64);
    let like = Tensor::zeros([count as i64, channels, height, width], (Kind::Float, unet.device()));
    let start = noise.normal_like(&like)?;
    let images = sample(&solver, &score, &times.ending_clean(), start, &mut noise)?;
    save(&images, form, config.columns, path)
}

fn save(
    images: &Tensor,
    form: &ImageForm,
    columns: usize,
    path: &Path,
) -> Result<Picture, TrainError> {
    let values = Vec::<f32>::try_from(images.to_device(Device::Cpu).reshape([-1]))?;
    let [_, height, width] = form.shape;
    let count = images.size()[0] as usize;
    let layout = GridLayout { columns, ..GridLayout::fitting(count, height, width) };
    let picture = grid(&to_picture(&values), form.shape, layout)?;
    save_png(&picture, path)?;
    let png = std::fs::read(path).map_err(TrainError::io("read", path))?;
    Ok(Picture { size: [picture.height(), picture.width()], png })
}
