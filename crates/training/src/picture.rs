//! Pictures of samples, drawn with DDIM from the averaged weights.

use std::path::Path;

use tch::{Device, Kind, Tensor};
use tweedie_datasets::{GridLayout, grid, save_png, to_picture};
use tweedie_samplers::{Ddim, OneStep, sample};
use tweedie_schedules::{DiscreteTable, Prediction, Spacing, TimeGrid};
use tweedie_score::{Clip, Conditioned, MapData, NoiseSource, PerSample};
use tweedie_unet::{ScoreNetwork, TimeInput, UNet};

use crate::config::SampleConfig;
use crate::network::ImageForm;
use crate::{ConfigError, TrainError};

/// Images drawn at once: a large picture takes no more memory than a small one.
const AT_ONCE: usize = 64;

/// A picture of samples in a file.
#[derive(Debug)]
pub(crate) struct Picture {
    /// Height and width in pixels.
    pub(crate) size: [u32; 2],
    /// The PNG file's bytes.
    pub(crate) png: Vec<u8>,
}

/// Rows of a picture: with classes, row r holds class r.
pub(crate) fn rows(config: &SampleConfig, form: &ImageForm) -> usize {
    form.classes.map_or(config.rows, |classes| config.rows.min(classes))
}

/// Draws a grid of samples and saves it at `path`.
pub(crate) fn draw(
    unet: &UNet,
    table: &DiscreteTable,
    prediction: Prediction,
    form: &ImageForm,
    config: &SampleConfig,
    path: &Path,
) -> Result<Picture, TrainError> {
    let time_input = TimeInput::Index { steps: table.len() };
    let network = ScoreNetwork { unet, prediction, time_input, classes: form.classes };
    let schedule = |source| ConfigError::Schedule { source };
    let times = TimeGrid::discrete(table, config.steps, Spacing::Trailing).map_err(schedule)?;
    let times = times.ending_clean();
    let count = rows(config, form) * config.columns;
    let classes: Vec<_> = (0..count).map(|k| form.classes.map(|_| k / config.columns)).collect();
    let mut parts = Vec::new();
    for (index, classes) in classes.chunks(AT_ONCE).enumerate() {
        let noise = PerSample::new(config.seed, index * AT_ONCE, classes.len());
        parts.push(draw_part(&network, &times, form, classes, config.eta, noise)?);
    }
    save(&form.without_padding(&Tensor::cat(&parts, 0)), form, config.columns, path)
}

/// Images of the given classes, `[n, c, h, w]` in `[-1, 1]`, on the CPU.
fn draw_part(
    network: &ScoreNetwork<'_>,
    times: &TimeGrid,
    form: &ImageForm,
    classes: &[Option<usize>],
    eta: f64,
    mut noise: PerSample,
) -> Result<Tensor, TrainError> {
    let [channels, height, width] = form.shape.map(|size| size as i64);
    let shape = [classes.len() as i64, channels, height, width];
    let like = Tensor::zeros(shape, (Kind::Float, network.unet.device()));
    let start = noise.normal_like(&like)? * times.start().level.sigma;
    let inner = Conditioned { network, conditions: classes.to_vec() };
    let score = MapData { inner, map: Clip { low: -1.0, high: 1.0 } };
    let solver = OneStep(Ddim::new(eta)?);
    Ok(sample(&solver, &score, times, start, &mut noise)?.to_device(Device::Cpu))
}

fn save(
    images: &Tensor,
    form: &ImageForm,
    columns: usize,
    path: &Path,
) -> Result<Picture, TrainError> {
    let values = Vec::<f32>::try_from(images.reshape([-1]))?;
    let [_, height, width] = form.unpadded;
    let count = images.size()[0] as usize;
    let layout = GridLayout { columns, ..GridLayout::fitting(count, height, width) };
    let picture = grid(&to_picture(&values), form.unpadded, layout)?;
    save_png(&picture, path)?;
    let png = std::fs::read(path).map_err(TrainError::io("read", path))?;
    Ok(Picture { size: [picture.height(), picture.width()], png })
}
