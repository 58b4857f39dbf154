//! The objective of a run: from a batch at its times to one loss an image.

mod bound;
mod classifier;
mod denoising;
mod score_matching;

use std::fmt::Debug;

use tch::Tensor;
use tweedie_schedules::TimePoint;
use tweedie_score::NoiseSource;

use crate::config::{ObjectiveConfig, ObjectiveKind};
use crate::network::ImageForm;
use crate::{ConfigError, RunConfig, RunSchedule, TrainError};

/// Images at their times, and what was drawn for them.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    /// Images `[n, c, h, w]`.
    pub(crate) x0: &'a Tensor,
    /// Noise of the same shape.
    pub(crate) eps: &'a Tensor,
    /// One time an image.
    pub(crate) times: &'a [TimePoint],
    /// Directions for the objectives that look along some, each of the images' shape.
    pub(crate) directions: &'a [Tensor],
    /// The classes of the images, `[n]`, where the data says them.
    pub(crate) classes: Option<&'a Tensor>,
}

/// What an objective makes of a batch.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The loss of each image, `[n]`, differentiable by the network's weights.
    pub(crate) losses: Tensor,
    /// Of a classifier: how many classes it takes for likelier than the true one, `[n]`.
    pub(crate) ranks: Option<Tensor>,
}

impl From<Tensor> for Judged {
    fn from(losses: Tensor) -> Self {
        Self { losses, ranks: None }
    }
}

/// A network at the times of a batch: what it returns for states `[n, c, h, w]`, all its channels.
pub(crate) type Answer<'a> = dyn Fn(&Tensor) -> Result<Tensor, TrainError> + 'a;

/// What is trained.
pub(crate) trait Objective: Debug {
    /// The loss of each image.
    fn judge(&self, shown: &Shown<'_>, network: &Answer<'_>) -> Result<Judged, TrainError>;

    /// The directions for images like `x0`; none but for score matching.
    fn directions(
        &self,
        _x0: &Tensor,
        _noise: &mut dyn NoiseSource<Tensor>,
    ) -> Result<Vec<Tensor>, TrainError> {
        Ok(Vec::new())
    }
}

/// The objective of a configuration, for images of this form.
pub(crate) fn build(
    config: &RunConfig,
    schedule: &RunSchedule,
    images: &ImageForm,
) -> Result<Box<dyn Objective>, ConfigError> {
    let loss = |source| ConfigError::Loss { source };
    let ObjectiveConfig { kind, .. } = config.objective;
    Ok(match kind {
        ObjectiveKind::Denoising => {
            Box::new(denoising::DenoisingObjective::new(config, schedule).map_err(loss)?)
        }
        ObjectiveKind::Hybrid | ObjectiveKind::Vlb => {
            Box::new(bound::BoundObjective::new(config, schedule, images.levels).map_err(loss)?)
        }
        ObjectiveKind::Implicit | ObjectiveKind::Sliced | ObjectiveKind::SlicedVr => {
            Box::new(score_matching::MatchingObjective::new(config, schedule).map_err(loss)?)
        }
        ObjectiveKind::Classifier => Box::new(classifier::ClassifierObjective),
    })
}
