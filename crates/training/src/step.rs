//! One training step: batch, noise, loss, gradient, update.

use tch::{Device, Kind, Tensor};
use tweedie_datasets::Batch;
use tweedie_losses::{Distance, Objective, noised};
use tweedie_schedules::NoiseLevel;
use tweedie_score::Times;
use tweedie_torch_ext::{clear_gradients, gradients, scale_, total_norm};
use tweedie_unet::UNet;

use crate::config::DistanceKind;
use crate::conventions::Conventions;
use crate::draws::{DrawPlan, Draws};
use crate::state::State;
use crate::times::TrainedTimes;
use crate::{ConfigError, RunConfig, RunSchedule, TrainError, learning_rate};

/// Keeps the divisor of the clipping away from zero, as `torch.nn.utils.clip_grad_norm_` does.
const CLIP_EPS: f64 = 1e-6;

/// What all steps of a run have in common, computed once.
#[derive(Debug)]
pub(crate) struct StepPlan {
    pub(crate) draws: DrawPlan,
    objective: Objective,
    pub(crate) conventions: Conventions,
    /// Label of the null class, which comes after the last class; `None` without classes.
    null_class: Option<i64>,
    device: Device,
}

/// How a step went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepOutcome {
    pub(crate) loss: f64,
    pub(crate) gradient_norm: f64,
    pub(crate) learning_rate: f64,
    /// Whether the weights were updated.
    pub(crate) updated: bool,
}

/// A batch ready for the network.
struct Prepared {
    x0: Tensor,
    draws: Draws,
    labels: Option<Tensor>,
}

impl StepPlan {
    pub(crate) fn new(
        config: &RunConfig,
        schedule: &RunSchedule,
        classes: Option<usize>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let loss = |source| ConfigError::Loss { source };
        let distance = match config.objective.loss {
            DistanceKind::Mse => Distance::SquaredError,
            DistanceKind::L1 => Distance::AbsoluteError,
            DistanceKind::Huber => Distance::huber(config.objective.huber_delta).map_err(loss)?,
        };
        Ok(Self {
            draws: DrawPlan {
                seed: config.training.seed,
                times: TrainedTimes::new(schedule),
                time_sampling: config.training.time_sampling,
                label_dropout: config.training.label_dropout,
            },
            objective: Objective { prediction: config.prediction(), distance },
            conventions: Conventions::new(config, schedule, classes),
            null_class: classes.map(|classes| classes as i64),
            device,
        })
    }

    /// Takes one step. Where loss or gradient is not finite, nothing changes.
    pub(crate) fn take(
        &self,
        state: &mut State,
        batch: &Batch,
        config: &RunConfig,
    ) -> Result<StepOutcome, TrainError> {
        let training = &config.training;
        let prepared = self.prepare(batch, self.draws.training(batch.step, &images_of(batch)?)?)?;
        tch::manual_seed(self.draws.dropout_seed(batch.step));
        let loss = self.backward(&state.unet, &prepared, training.accumulation)?;
        let parameters = state.unet.parameters().tensors();
        let grads = gradients(&parameters);
        let gradient_norm = total_norm(&grads)?;
        let learning_rate = learning_rate(training, batch.step);
        let updated = loss.is_finite() && gradient_norm.is_finite();
        if updated {
            if training.clip_norm > 0.0 && gradient_norm > training.clip_norm {
                scale_(&grads, training.clip_norm / (gradient_norm + CLIP_EPS))?;
            }
            state.optimizer.update(&parameters, &grads, learning_rate, training)?;
            state.average(training.ema_decay)?;
        }
        clear_gradients(&state.unet.parameters().tensors())?;
        Ok(StepOutcome { loss, gradient_norm, learning_rate, updated })
    }

    /// The mean loss on one batch of held-out images: number `batch.step` of them.
    pub(crate) fn measure(&self, unet: &UNet, batch: &Batch) -> Result<f64, TrainError> {
        let draws = self.draws.held_out(batch.step, &images_of(batch)?)?;
        let prepared = self.prepare(batch, draws)?;
        let loss = tch::no_grad(|| self.loss(unet, &prepared, 0, batch.shape[0], false))?;
        Ok(loss.double_value(&[]))
    }

    fn prepare(&self, batch: &Batch, draws: Draws) -> Result<Prepared, TrainError> {
        let labels = self.null_class.zip(batch.labels.as_ref()).map(|(null, labels)| {
            let told = labels.iter().zip(&draws.hidden);
            let told = told.map(|(label, hidden)| if *hidden { null } else { i64::from(*label) });
            Tensor::from_slice(&told.collect::<Vec<_>>()).to_device(self.device)
        });
        let draws = Draws { eps: draws.eps.to_device(self.device), ..draws };
        Ok(Prepared { x0: images_of(batch)?.to_device(self.device), draws, labels })
    }

    /// Adds up the gradient over equal parts of the batch and returns the mean loss.
    fn backward(&self, unet: &UNet, batch: &Prepared, parts: usize) -> Result<f64, TrainError> {
        let size = batch.draws.times.len() / parts;
        let mut total = 0.0;
        for part in 0..parts {
            let loss = self.loss(unet, batch, part * size, size, true)? / parts as f64;
            loss.f_backward()?;
            total += loss.double_value(&[]);
        }
        Ok(total)
    }

    /// The loss on images `start .. start + count` of a batch.
    fn loss(
        &self,
        unet: &UNet,
        batch: &Prepared,
        start: usize,
        count: usize,
        train: bool,
    ) -> Result<Tensor, TrainError> {
        let part = |tensor: &Tensor| tensor.narrow(0, start as i64, count as i64);
        let times = &batch.draws.times[start..start + count];
        let levels: Vec<NoiseLevel> = times.iter().map(|at| at.level).collect();
        let (x0, eps) = (part(&batch.x0), part(&batch.draws.eps));
        let x = noised(&x0, &eps, &levels);
        let labels = batch.labels.as_ref().map(part);
        let network = self.conventions.network(unet);
        let output = network.forward(&x, Times::PerSample(times), labels.as_ref(), train)?;
        Ok(self.objective.loss(&output.to_kind(Kind::Float), &x0, &eps, &levels))
    }
}

fn images_of(batch: &Batch) -> Result<Tensor, TrainError> {
    let shape = batch.shape.map(|size| size as i64);
    Ok(Tensor::from_slice(&batch.images).f_reshape(shape)?)
}
