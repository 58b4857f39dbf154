//! A call of a network at noise levels: what it is told of them, and how it sees the state.

use tch::Tensor;
use tweedie_score::{Batch, ScoreError, Times};

use crate::{InputScaling, TimeInput, UNet};

/// A network together with what it was trained to take.
pub(crate) struct NetworkCall<'a> {
    pub(crate) unet: &'a UNet,
    pub(crate) time_input: TimeInput,
    pub(crate) input_scaling: InputScaling,
}

impl NetworkCall<'_> {
    /// All that the network returns; differentiable.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        at: Times<'_>,
        labels: Option<&Tensor>,
        train: bool,
    ) -> Result<Tensor, ScoreError> {
        let times = self.times(x, at)?;
        let output = self.unet.forward(&self.scaled(x, at), &times, labels, train);
        output.map_err(|error| ScoreError::Network(Box::new(error)))
    }

    /// One number for a shared time, whose embedding is then computed once, else one a sample.
    fn times(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        at.check(x.batch_len())?;
        let values: Vec<f32> = match at {
            Times::Shared(point) => vec![self.time_input.of(point) as f32],
            Times::PerSample(points) => {
                points.iter().map(|point| self.time_input.of(*point) as f32).collect()
            }
        };
        Ok(Tensor::from_slice(&values).to_device(x.device()))
    }

    /// The state at the size at which the network takes it.
    fn scaled(&self, x: &Tensor, at: Times<'_>) -> Tensor {
        match (self.input_scaling, at) {
            (InputScaling::None, _) => x.shallow_clone(),
            (scaling, Times::Shared(point)) => x * scaling.at(point.level),
            (scaling, Times::PerSample(points)) => {
                let factors: Vec<_> = points.iter().map(|point| scaling.at(point.level)).collect();
                x.scale_each(&factors)
            }
        }
    }
}
