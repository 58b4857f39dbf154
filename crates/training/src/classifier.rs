//! A classifier of noisy images ready to steer a model.

use std::path::Path;

use tweedie_checkpoints::PublishedCheckpoint;
use tweedie_schedules::NoiseSchedule;
use tweedie_unet::{ArchitectureConfig, ClassifierNetwork, UNet};

use crate::conventions::Conventions;
use crate::model::{image_shape, of_run, open_published, read_network};
use crate::published::{architecture, described};
use crate::{
    DataRange, Model, ModelOptions, RunConfig, RunSchedule, TrainError, TrainedModel, is_run,
};

/// How far two schedules may be apart to count as one, relative to their levels.
const SAME: f64 = 1e-6;
/// At how many times two schedules are compared.
const COMPARED: usize = 33;

/// A classifier of noisy images, out of a run or a checkpoint of guided-diffusion.
#[derive(Debug)]
pub struct Classifier {
    /// The network.
    pub unet: UNet,
    /// The noise levels it was trained on.
    pub schedule: RunSchedule,
    config: RunConfig,
    /// Channels, height and width of what it takes.
    shape: [usize; 3],
    is_run: bool,
}

impl Classifier {
    /// Opens the folder of a run or of one of its checkpoints, or a checkpoint of guided-diffusion.
    ///
    /// # Errors
    /// When the path is none of these, is damaged, or holds a model of images.
    pub fn open(path: &Path, options: &ModelOptions) -> Result<Self, TrainError> {
        match is_run(path) {
            true => Self::of_run(path, options),
            false => {
                let checkpoint = open_published(path, options)?;
                let in_model = |source: TrainError| TrainError::InModel {
                    path: path.to_path_buf(),
                    source: source.into(),
                };
                let architecture = architecture(&checkpoint).map_err(in_model)?;
                if !matches!(architecture, ArchitectureConfig::AdmEncoder(_)) {
                    return Err(TrainError::NoClassifier { path: path.to_path_buf() });
                }
                Self::of_published(&checkpoint, &architecture, options).map_err(in_model)
            }
        }
    }

    fn of_run(path: &Path, options: &ModelOptions) -> Result<Self, TrainError> {
        let trained = of_run(path, options)?;
        if !trained.config.is_classifier() {
            return Err(TrainError::NoClassifier { path: path.to_path_buf() });
        }
        let shape = trained.images.shape;
        let TrainedModel { unet, schedule, config, .. } = trained;
        Ok(Self { unet, schedule, config, shape, is_run: true })
    }

    fn of_published(
        checkpoint: &PublishedCheckpoint,
        architecture: &ArchitectureConfig,
        options: &ModelOptions,
    ) -> Result<Self, TrainError> {
        let config = described(checkpoint, &checkpoint.conventions()?)?;
        let shape = image_shape(checkpoint, architecture, options.size)?;
        let unet = read_network(architecture, checkpoint, options)?;
        Ok(Self { unet, schedule: config.noise_schedule()?, config, shape, is_run: false })
    }

    /// Number of classes that it tells apart.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.unet.config().out_channels() as usize
    }

    /// Channels, height and width of what it takes.
    #[must_use]
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The configuration of a run; a checkpoint of another program has none.
    #[must_use]
    pub fn run_config(&self) -> Option<&RunConfig> {
        self.is_run.then_some(&self.config)
    }

    /// Network, forward process and conventions as the configuration of a run.
    #[must_use]
    pub fn description(&self) -> &RunConfig {
        &self.config
    }

    /// The network as it is asked for classes of noisy states.
    #[must_use]
    pub fn network(&self) -> ClassifierNetwork<'_> {
        Conventions::new(&self.config, &self.schedule, None).classifier(&self.unet)
    }

    /// Refuses to steer a model that was trained on other images, on other classes, or with other noise.
    ///
    /// # Errors
    /// When one of these differs; the error says which, and what both are.
    pub fn check_steers(&self, model: &Model) -> Result<(), TrainError> {
        let unfit = |what, got: String, expected: String| {
            Err(TrainError::ClassifierUnfit { what, got, expected })
        };
        let words = |[channels, height, width]: [usize; 3]| format!("{channels}x{height}x{width}");
        let (got, expected) = (self.shape, model.images().shape);
        if got != expected {
            return unfit("image", words(got), words(expected));
        }
        let (got, expected) = (self.config.data_range(), model.data_range());
        if got != expected {
            return unfit("range of the data", ends(got), ends(expected));
        }
        if let Some(classes) = model.images().classes.filter(|classes| *classes != self.classes()) {
            return unfit("number of classes", self.classes().to_string(), classes.to_string());
        }
        if !same(&self.schedule, &model.schedule) {
            let (got, expected) = (span(&self.schedule), span(&model.schedule));
            return unfit("noise schedule", got, expected);
        }
        Ok(())
    }
}

fn ends(range: DataRange) -> String {
    let (low, high) = range.ends();
    format!("{low} to {high}")
}

/// Whether two schedules have the same noise at the same times.
fn same(a: &RunSchedule, b: &RunSchedule) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() <= SAME * a.abs().max(b.abs());
    let ((low, high), other) = (a.time_range(), b.time_range());
    let steps =
        |schedule: &RunSchedule| schedule.table().map(tweedie_schedules::DiscreteTable::len);
    if steps(a) != steps(b) || !near(low, other.0) || !near(high, other.1) {
        return false;
    }
    (0..COMPARED).all(|k| {
        let t = low + (high - low) * k as f64 / (COMPARED - 1) as f64;
        let (a, b) = (a.level(t), b.level(t));
        near(a.alpha, b.alpha) && near(a.sigma, b.sigma)
    })
}

/// A schedule in words that tell it from another.
fn span(schedule: &RunSchedule) -> String {
    let (low, high) = schedule.time_range();
    let level = |t: f64| {
        let level = schedule.level(t);
        format!("alpha {:.4}, sigma {:.4} at t {t:.3}", level.alpha, level.sigma)
    };
    let kind = match schedule.table() {
        Some(table) => format!("a table of {} steps", table.len()),
        None => "in continuous time".to_owned(),
    };
    format!("{kind} ({}; {}; {})", level(low), level(0.5 * (low + high)), level(high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(overrides: &[&str]) -> RunSchedule {
        let overrides: Vec<_> = overrides.iter().map(ToString::to_string).collect();
        RunConfig::parse("", &overrides).unwrap().noise_schedule().unwrap()
    }

    #[test]
    fn schedules_are_compared_by_their_noise() {
        let all = [
            schedule(&[]),
            schedule(&["schedule.steps=500"]),
            schedule(&["schedule.kind=linear"]),
            schedule(&["schedule.kind=vp_linear"]),
            schedule(&["schedule.kind=vp_linear", "schedule.time_min=1e-4"]),
            schedule(&["schedule.kind=sub_vp"]),
            schedule(&["schedule.kind=ve"]),
            schedule(&["schedule.kind=edm"]),
        ];
        for (i, a) in all.iter().enumerate() {
            for (j, b) in all.iter().enumerate() {
                assert_eq!(same(a, b), i == j, "{i} and {j}");
                assert!(i == j || span(a) != span(b), "{} of {i} and {j}", span(a));
            }
        }
    }
}
