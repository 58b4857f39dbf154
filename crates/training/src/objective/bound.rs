//! Improved DDPM: the variational bound, alone or beside the simple loss.

use tch::Tensor;
use tweedie_losses::{
    Bins, BoundChain, BoundLoss, Decoder, Denoising, LossError, NoisedBatch, Weighting, noised,
};

use super::{Answer, Judged, Objective, Shown};
use crate::config::{ObjectiveKind, VarianceKind};
use crate::{RunConfig, RunSchedule, TrainError};

/// The bound on the data's own levels, in bits per dimension.
#[derive(Debug)]
pub(crate) struct BoundObjective {
    /// What teaches the prediction where the bound teaches the variance alone.
    simple: Option<Denoising>,
    bound: BoundLoss,
    schedule: RunSchedule,
    /// The network returns values of the variance behind its prediction.
    learned: bool,
}

impl BoundObjective {
    pub(super) fn new(
        config: &RunConfig,
        schedule: &RunSchedule,
        levels: u32,
    ) -> Result<Self, LossError> {
        let table = schedule.table().ok_or(LossError::NoTimes)?;
        let variance = config.objective.variance.unwrap_or(VarianceKind::LearnedRange);
        let decoder = Decoder { bins: Bins::new(levels as usize, -1.0, 1.0)?, variance: None };
        let chain = BoundChain::of_table(table, &*variance.noise(), decoder)?;
        // the bound is the sum over the steps, of which one is drawn
        let weight = config.objective.vlb_weight.unwrap_or(1.0) * table.len() as f64;
        let prediction = config.prediction();
        let hybrid = config.objective.kind == ObjectiveKind::Hybrid;
        let bound = match hybrid {
            true => BoundLoss::hybrid(chain, prediction),
            false => BoundLoss::whole(chain, prediction),
        };
        Ok(Self {
            simple: hybrid.then(|| Denoising::new(prediction, Weighting::Own)),
            bound: bound.weighted(weight),
            schedule: schedule.clone(),
            learned: variance.learned().is_some(),
        })
    }

    /// The network's prediction, and the values of its variance.
    fn halves(&self, output: Tensor) -> (Tensor, Option<Tensor>) {
        if !self.learned {
            return (output, None);
        }
        let channels = output.size()[1] / 2;
        (output.narrow(1, 0, channels), Some(output.narrow(1, channels, channels)))
    }
}

impl Objective for BoundObjective {
    fn judge(&self, shown: &Shown<'_>, network: &Answer<'_>) -> Result<Judged, TrainError> {
        let Shown { x0, eps, times, .. } = *shown;
        let levels: Vec<_> = times.iter().map(|at| at.level).collect();
        let (output, values) = self.halves(network(&noised(x0, eps, &levels))?);
        let steps = self.bound.chain().steps_from(times)?;
        let batch = NoisedBatch { x0, eps, steps: &steps };
        let bound = self.bound.losses(&batch, &output, values.as_ref())?;
        let whole = match &self.simple {
            Some(simple) => simple.plan(times, &self.schedule)?.losses(&output, x0, eps) + bound,
            None => bound,
        };
        Ok(whole.into())
    }
}
