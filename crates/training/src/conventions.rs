//! What the network of a model returns and takes.

use tweedie_schedules::Prediction;
use tweedie_unet::{ClassifierNetwork, InputScaling, ScoreNetwork, TimeInput, UNet};

use crate::network::ImageForm;
use crate::{RunConfig, RunSchedule};

/// All that a model's weights do not say about what they compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conventions {
    prediction: Prediction,
    time_input: TimeInput,
    input_scaling: InputScaling,
    classes: Option<usize>,
}

impl Conventions {
    pub(crate) fn new(config: &RunConfig, schedule: &RunSchedule, classes: Option<usize>) -> Self {
        Self {
            prediction: config.prediction(),
            time_input: config.time_input(schedule),
            input_scaling: config.input_scaling(),
            classes,
        }
    }

    /// Of the network of a run. A classifier is told no classes.
    pub(crate) fn of_run(config: &RunConfig, schedule: &RunSchedule, images: &ImageForm) -> Self {
        let told = config.network.is_class_conditional();
        Self::new(config, schedule, images.classes.filter(|_| told))
    }

    /// The network of a classifier.
    pub(crate) fn classifier<'a>(&self, unet: &'a UNet) -> ClassifierNetwork<'a> {
        let Self { time_input, input_scaling, .. } = *self;
        ClassifierNetwork { unet, time_input, input_scaling }
    }

    /// A network of the model as a score function.
    pub(crate) fn network<'a>(&self, unet: &'a UNet) -> ScoreNetwork<'a> {
        let Self { prediction, time_input, input_scaling, classes } = *self;
        ScoreNetwork { unet, prediction, time_input, input_scaling, classes }
    }
}
