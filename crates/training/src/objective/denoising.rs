//! Denoising score matching in all its weightings.

use tweedie_losses::{Denoising, LossError};

use super::{Answer, Judged, Objective, Shown};
use crate::{RunConfig, RunSchedule, TrainError};

/// A weighted error of what the network returns.
#[derive(Debug)]
pub(crate) struct DenoisingObjective {
    loss: Denoising,
    schedule: RunSchedule,
}

impl DenoisingObjective {
    pub(super) fn new(config: &RunConfig, schedule: &RunSchedule) -> Result<Self, LossError> {
        let weighting = config.objective.weighting(config.sigma_data())?;
        let loss = Denoising::new(config.prediction(), weighting);
        let loss = loss.counted(config.objective.counting()?);
        Ok(Self { loss, schedule: schedule.clone() })
    }
}

impl Objective for DenoisingObjective {
    fn judge(&self, shown: &Shown<'_>, network: &Answer<'_>) -> Result<Judged, TrainError> {
        let plan = self.loss.plan(shown.times, &self.schedule)?;
        let output = network(&plan.noised(shown.x0, shown.eps))?;
        Ok(plan.losses(&output, shown.x0, shown.eps).into())
    }
}
