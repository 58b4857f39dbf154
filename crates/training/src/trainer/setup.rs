//! What a run needs before its first step.

use std::sync::Arc;

use tch::Device;
use tweedie_datasets::BatchMaker;

use super::fit;
use crate::data::{RunData, batch_options};
use crate::network::{self, ImageForm};
use crate::state::State;
use crate::step::StepPlan;
use crate::{RunConfig, RunSchedule, TrainError};

/// Data, schedule, network and the initial state.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) data: RunData,
    pub(super) schedule: RunSchedule,
    pub(super) plan: StepPlan,
    pub(super) state: State,
    pub(super) device: Device,
}

impl Setup {
    pub(super) fn new(config: &RunConfig) -> Result<Self, TrainError> {
        // The device first: CUDA has to be loaded before the first tensor is made.
        let device = network::device(config.training.device)?;
        tweedie_torch_ext::set_threads(config.training.threads)?;
        let data = RunData::open(config)?;
        let images = ImageForm::of_data(config, &data);
        let schedule = config.noise_schedule()?;
        fit::check(config, &images, &schedule)?;
        // What else batches cannot be made of is told here, before anything is written.
        BatchMaker::new(Arc::clone(&data.train), batch_options(config))?;
        let plan = StepPlan::new(config, &schedule, &images, device)?;
        let state = State::initial(config, &schedule, images, device)?;
        Ok(Self { data, schedule, plan, state, device })
    }
}
