//! A U-Net as the score function that samplers call.

use crate::{TimeInput, UNet};
use tch::{Tensor, no_grad};
use tweedie_schedules::Prediction;
use tweedie_score::{Batch, ConditionalScoreFn, ScoreError, ScoreFn, Times};

/// A network together with what it was trained to return and to take as its time.
#[derive(Debug)]
pub struct ScoreNetwork<'a> {
    /// The network.
    pub unet: &'a UNet,
    /// What it returns.
    pub prediction: Prediction,
    /// What it takes as its time.
    pub time_input: TimeInput,
    /// Number of classes it was trained on, the null class not counted; `None` if it knows none.
    pub classes: Option<usize>,
}

impl ScoreNetwork<'_> {
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

    /// Class indices `[batch]`, the null class standing after the last one.
    fn labels(&self, x: &Tensor, conditions: &[Option<usize>]) -> Result<Tensor, ScoreError> {
        let batch = x.batch_len();
        if conditions.len() != batch {
            return Err(ScoreError::ConditionsMismatch { conditions: conditions.len(), batch });
        }
        let classes = self.classes.unwrap_or(0);
        let label = |condition: &Option<usize>| match *condition {
            Some(class) if class >= classes => Err(ScoreError::ClassOutOfRange { class, classes }),
            Some(class) => Ok(class as i64),
            None => Ok(classes as i64),
        };
        let labels: Result<Vec<i64>, _> = conditions.iter().map(label).collect();
        Ok(Tensor::from_slice(&labels?).to_device(x.device()))
    }

    fn run(
        &self,
        x: &Tensor,
        at: Times<'_>,
        labels: Option<&Tensor>,
    ) -> Result<Tensor, ScoreError> {
        let times = self.times(x, at)?;
        let output = no_grad(|| self.unet.forward(x, &times, labels, false));
        output.map_err(|error| ScoreError::Network(Box::new(error)))
    }
}

impl ConditionalScoreFn<Tensor> for ScoreNetwork<'_> {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict_given(
        &self,
        x: &Tensor,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<Tensor, ScoreError> {
        let labels = self.labels(x, conditions)?;
        self.run(x, at, self.classes.map(|_| &labels))
    }
}

impl ScoreFn<Tensor> for ScoreNetwork<'_> {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// The unconditional prediction: class-conditional networks are given the null class.
    fn predict(&self, x: &Tensor, at: Times<'_>) -> Result<Tensor, ScoreError> {
        self.predict_given(x, at, &vec![None; x.batch_len()])
    }
}
