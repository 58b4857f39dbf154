//! One training step: batch, noise, loss, gradient, update.

use std::ops::Range;

use tch::{Device, Kind, Tensor};
use tweedie_datasets::Batch;
use tweedie_losses::{DrawnTime, TimeSampler};
use tweedie_score::Times;
use tweedie_torch_ext::{clear_gradients, gradients, scale_, total_norm};
use tweedie_unet::UNet;

use crate::Accuracy;
use crate::conventions::Conventions;
use crate::draws::{DrawPlan, Draws};
use crate::losses_by_level::LossAt;
use crate::network::ImageForm;
use crate::objective::{self, Judged, Objective, Shown};
use crate::state::State;
use crate::{DataRange, RunConfig, RunSchedule, TrainError, learning_rate, times};

/// Keeps the divisor of the clipping away from zero, as `torch.nn.utils.clip_grad_norm_` does.
const CLIP_EPS: f64 = 1e-6;

/// What all steps of a run have in common, computed once.
#[derive(Debug)]
pub(crate) struct StepPlan {
    pub(crate) draws: DrawPlan,
    objective: Box<dyn Objective>,
    pub(crate) conventions: Conventions,
    pub(crate) data_range: DataRange,
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
    /// Of a classifier: how often it was right.
    pub(crate) accuracy: Option<Accuracy>,
    /// Whether the weights were updated.
    pub(crate) updated: bool,
}

/// A batch ready for the network.
struct Prepared {
    x0: Tensor,
    draws: Draws,
    /// What the network is told of the classes.
    labels: Option<Tensor>,
    /// The classes themselves, where the data says them.
    classes: Option<Tensor>,
}

/// What a batch came to, image by image.
#[derive(Default)]
struct Measured {
    losses: Vec<f64>,
    /// Of a classifier; otherwise empty.
    ranks: Vec<i64>,
}

impl StepPlan {
    pub(crate) fn new(
        config: &RunConfig,
        schedule: &RunSchedule,
        images: &ImageForm,
        device: Device,
    ) -> Result<Self, TrainError> {
        Ok(Self {
            draws: DrawPlan {
                seed: config.training.seed,
                schedule: schedule.clone(),
                held_out_times: times::of_held_out(config, schedule)?,
                label_dropout: config.training.label_dropout,
            },
            objective: objective::build(config, schedule, images)?,
            conventions: Conventions::of_run(config, schedule, images),
            data_range: config.data_range(),
            null_class: config
                .network
                .is_class_conditional()
                .then_some(images.classes)
                .flatten()
                .map(|classes| classes as i64),
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
        let prepared = self.for_training(batch, &*state.times)?;
        tch::manual_seed(self.draws.dropout_seed(batch.step));
        let Measured { losses, ranks } =
            self.backward(&state.unet, &prepared, training.accumulation)?;
        let weights = &prepared.draws.weights;
        let loss = mean(&losses, weights);
        let accuracy = Accuracy::of(ranks.into_iter().zip(weights.iter().copied()));
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
            let times: Vec<_> = prepared.draws.times.iter().map(|at| at.t).collect();
            state.times.observe(&times, &losses)?;
        }
        clear_gradients(&state.unet.parameters().tensors())?;
        Ok(StepOutcome { loss, gradient_norm, learning_rate, accuracy, updated })
    }

    /// The loss of each image of a batch of held-out ones: number `batch.step` of them.
    pub(crate) fn measure(&self, unet: &UNet, batch: &Batch) -> Result<Vec<LossAt>, TrainError> {
        let x0 = self.images_of(batch)?;
        let draws = self.draws.held_out(batch.step, &x0, &*self.objective)?;
        self.measured(unet, batch, (x0, draws))
    }

    /// The same with all images at one time.
    pub(crate) fn measure_at(
        &self,
        unet: &UNet,
        batch: &Batch,
        level: DrawnTime,
    ) -> Result<Vec<LossAt>, TrainError> {
        let x0 = self.images_of(batch)?;
        let draws = self.draws.held_out_at(batch.step, &x0, level, &*self.objective)?;
        self.measured(unet, batch, (x0, draws))
    }

    fn measured(
        &self,
        unet: &UNet,
        batch: &Batch,
        (x0, draws): (Tensor, Draws),
    ) -> Result<Vec<LossAt>, TrainError> {
        let prepared = self.prepare(x0, draws, batch)?;
        let judged = tch::no_grad(|| self.judge(unet, &prepared, 0..batch.shape[0], false))?;
        let Measured { losses, ranks } = Measured::of(&judged)?;
        let Draws { times, weights, .. } = prepared.draws;
        let each = losses.into_iter().zip(times).zip(weights).enumerate();
        let at = |(image, ((loss, at), weight))| LossAt {
            at,
            loss,
            weight,
            rank: ranks.get(image).copied(),
        };
        Ok(each.map(at).collect())
    }

    /// The times at which every held-out image is looked at.
    pub(crate) fn levels(&self, count: usize) -> Vec<DrawnTime> {
        self.draws.levels(count)
    }

    /// The images of a batch in the range of the run's data.
    fn images_of(&self, batch: &Batch) -> Result<Tensor, TrainError> {
        let shape = batch.shape.map(|size| size as i64);
        Ok(self.data_range.from_symmetric(&Tensor::from_slice(&batch.images).f_reshape(shape)?))
    }

    fn for_training(&self, batch: &Batch, times: &dyn TimeSampler) -> Result<Prepared, TrainError> {
        let x0 = self.images_of(batch)?;
        let draws = self.draws.training(batch.step, &x0, times, &*self.objective)?;
        self.prepare(x0, draws, batch)
    }

    fn prepare(&self, x0: Tensor, draws: Draws, batch: &Batch) -> Result<Prepared, TrainError> {
        let labels = self.null_class.zip(batch.labels.as_ref()).map(|(null, labels)| {
            let told = labels.iter().zip(&draws.hidden);
            let told = told.map(|(label, hidden)| if *hidden { null } else { i64::from(*label) });
            Tensor::from_slice(&told.collect::<Vec<_>>()).to_device(self.device)
        });
        let classes = batch.labels.as_ref().map(|labels| {
            let classes: Vec<_> = labels.iter().map(|label| i64::from(*label)).collect();
            Tensor::from_slice(&classes).to_device(self.device)
        });
        let there = |tensor: &Tensor| tensor.to_device(self.device);
        let directions = draws.directions.iter().map(there).collect();
        let draws = Draws { eps: there(&draws.eps), directions, ..draws };
        Ok(Prepared { x0: there(&x0), draws, labels, classes })
    }

    /// Adds up the gradient over equal parts of the batch.
    fn backward(
        &self,
        unet: &UNet,
        batch: &Prepared,
        parts: usize,
    ) -> Result<Measured, TrainError> {
        let count = batch.draws.times.len();
        let size = count / parts;
        let mut all = Measured::default();
        for part in 0..parts {
            let range = part * size..(part + 1) * size;
            let judged = self.judge(unet, batch, range.clone(), true)?;
            let weights: Vec<f32> =
                batch.draws.weights[range].iter().map(|w| (w / count as f64) as f32).collect();
            let weights = Tensor::from_slice(&weights).to_device(self.device);
            (&judged.losses * weights).sum(Kind::Float).f_backward()?;
            all.extend(Measured::of(&judged)?);
        }
        Ok(all)
    }

    /// The losses of some images of a batch, before their weights.
    fn judge(
        &self,
        unet: &UNet,
        batch: &Prepared,
        images: Range<usize>,
        train: bool,
    ) -> Result<Judged, TrainError> {
        let part = |tensor: &Tensor| tensor.narrow(0, images.start as i64, images.len() as i64);
        let Draws { eps, times, directions, .. } = &batch.draws;
        let (x0, eps, times) = (part(&batch.x0), part(eps), &times[images.clone()]);
        let directions: Vec<_> = directions.iter().map(part).collect();
        let (labels, classes) = (batch.labels.as_ref().map(part), batch.classes.as_ref().map(part));
        let network = self.conventions.network(unet);
        let answer = |x: &Tensor| -> Result<Tensor, TrainError> {
            let output = network.forward(x, Times::PerSample(times), labels.as_ref(), train)?;
            Ok(output.to_kind(Kind::Float))
        };
        let (directions, classes) = (&directions[..], classes.as_ref());
        self.objective.judge(&Shown { x0: &x0, eps: &eps, times, directions, classes }, &answer)
    }
}

/// The mean of losses, each with its weight.
fn mean(losses: &[f64], weights: &[f64]) -> f64 {
    losses.iter().zip(weights).map(|(loss, weight)| loss * weight).sum::<f64>()
        / losses.len() as f64
}

impl Measured {
    fn of(judged: &Judged) -> Result<Self, TrainError> {
        let losses = judged.losses.detach().to_kind(Kind::Double).to_device(Device::Cpu);
        let ranks = judged.ranks.as_ref().map(|ranks| Vec::try_from(ranks.to_device(Device::Cpu)));
        Ok(Self { losses: Vec::try_from(losses)?, ranks: ranks.transpose()?.unwrap_or_default() })
    }

    fn extend(&mut self, other: Self) {
        self.losses.extend(other.losses);
        self.ranks.extend(other.ranks);
    }
}
