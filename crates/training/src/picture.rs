//! Pictures of samples, drawn with DDIM from the averaged weights.
//!
//! DDIM's step needs nothing but the levels at its ends, so that it serves tables and every SDE: on
//! VE and EDM it is Euler's step of the probability flow in `sigma`.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tch::{Device, Kind, Tensor};
use tweedie_datasets::{GridLayout, grid, save_png, to_picture, to_picture_dequantized};
use tweedie_samplers::{Ddim, OneStep, Solver};
use tweedie_schedules::{NoiseSchedule, ScheduleError, Spacing, TimeGrid};
use tweedie_score::{Clip, Conditioned, MapData, NoiseSource, PerSample};
use tweedie_unet::ScoreNetwork;

use crate::config::SampleConfig;
use crate::network::ImageForm;
use crate::{ConfigError, DataRange, RunSchedule, TrainError};

/// Images drawn at once: a large picture takes no more memory than a small one.
const AT_ONCE: usize = 64;
/// Exponent of the grid where noise explodes.
const RHO: f64 = 7.0; // Karras et al. 2022, sec. 3

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

/// What a picture is drawn from.
#[derive(Debug)]
pub(crate) struct Drawing<'a> {
    pub(crate) network: ScoreNetwork<'a>,
    pub(crate) schedule: &'a RunSchedule,
    pub(crate) form: &'a ImageForm,
    pub(crate) config: &'a SampleConfig,
    /// The network has learned the scale of levels that are filled with noise.
    pub(crate) dequantized: bool,
    /// The range of what it draws.
    pub(crate) data_range: DataRange,
}

impl Drawing<'_> {
    /// Draws a grid of samples and saves it at `path`; none where `stop` is set, which is looked at
    /// between sampling steps.
    pub(crate) fn draw(
        &self,
        path: &Path,
        stop: &AtomicBool,
    ) -> Result<Option<Picture>, TrainError> {
        let Self { form, config, .. } = self;
        let (times, solver) = plan(self.schedule, config)?;
        let count = rows(config, form) * config.columns;
        let class = |k: usize| form.classes.map(|_| k / config.columns);
        let classes: Vec<_> = (0..count).map(class).collect();
        let mut parts = Vec::new();
        for (index, classes) in classes.chunks(AT_ONCE).enumerate() {
            let noise = PerSample::new(config.seed, index * AT_ONCE, classes.len());
            match self.draw_part((&times, &solver), classes, noise, stop)? {
                Some(part) => parts.push(part),
                None => return Ok(None),
            }
        }
        let images = self.data_range.to_symmetric(&Tensor::cat(&parts, 0));
        self.save(&form.without_padding(&images), path).map(Some)
    }

    /// Images of the given classes, `[n, c, h, w]` in the range of the data, on the CPU.
    fn draw_part(
        &self,
        (times, solver): (&TimeGrid, &dyn Solver<Tensor>),
        classes: &[Option<usize>],
        mut noise: PerSample,
        stop: &AtomicBool,
    ) -> Result<Option<Tensor>, TrainError> {
        let [channels, height, width] = self.form.shape.map(|size| size as i64);
        let shape = [classes.len() as i64, channels, height, width];
        let like = Tensor::zeros(shape, (Kind::Float, self.network.unet.device()));
        let mut x = noise.normal_like(&like)? * times.start().level.sigma;
        let inner = Conditioned { network: &self.network, conditions: classes.to_vec() };
        let (low, high) = self.data_range.ends();
        let score = MapData { inner, map: Clip { low, high } };
        let mut stepper = solver.plan(times)?;
        for step in 0..solver.steps(times) {
            if stop.load(Ordering::Relaxed) {
                return Ok(None);
            }
            x = stepper.step(step, x, &score, &mut noise)?;
        }
        Ok(Some(x.to_device(Device::Cpu)))
    }

    fn save(&self, images: &Tensor, path: &Path) -> Result<Picture, TrainError> {
        let Self { form, config, .. } = self;
        let values = Vec::<f32>::try_from(images.reshape([-1]))?;
        let [_, height, width] = form.unpadded;
        let count = images.size()[0] as usize;
        let layout =
            GridLayout { columns: config.columns, ..GridLayout::fitting(count, height, width) };
        let picture = grid(&self.pixels(&values), form.unpadded, layout)?;
        save_png(&picture, path)?;
        let png = std::fs::read(path).map_err(TrainError::io("read", path))?;
        Ok(Picture { size: [picture.height(), picture.width()], png })
    }

    /// Eight-bit pixels, on the scale of the images that were trained on.
    pub(crate) fn pixels(&self, values: &[f32]) -> Vec<u8> {
        match self.dequantized {
            true => to_picture_dequantized(values, self.form.levels),
            false => to_picture(values),
        }
    }
}

/// The times of a picture's steps and their method, which can take them.
///
/// # Errors
/// When the schedule has no such steps, as where its levels are too close together to tell apart.
pub(crate) fn plan(
    schedule: &RunSchedule,
    config: &SampleConfig,
) -> Result<(TimeGrid, OneStep<Ddim>), ConfigError> {
    let refused =
        |source: Box<dyn Error + Send + Sync>| ConfigError::Picture { steps: config.steps, source };
    let times = times(schedule, config.steps).map_err(|source| refused(source.into()))?;
    let solver = Ddim::new(config.eta).map(OneStep).map_err(|source| refused(source.into()))?;
    Solver::<Tensor>::plan(&solver, &times).map_err(|source| refused(source.into()))?;
    Ok((times, solver))
}

/// `steps` steps down to the data: steps of a table, equal parts of time, or, where noise explodes,
/// Karras's levels.
fn times(schedule: &RunSchedule, steps: usize) -> Result<TimeGrid, ScheduleError> {
    if let Some(table) = schedule.table() {
        return Ok(TimeGrid::discrete(table, steps, Spacing::Trailing)?.ending_clean());
    }
    let (_, noisy) = schedule.time_range();
    let before = steps - 1; // the step to the data comes last
    let grid = match before {
        0 => TimeGrid::at_times(schedule, &[noisy])?,
        _ if schedule.is_variance_exploding() => TimeGrid::karras(schedule, before, RHO)?,
        _ => TimeGrid::uniform_time(schedule, before)?,
    };
    Ok(grid.ending_clean())
}
