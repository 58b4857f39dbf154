//! Score matching by derivatives of the network: implicit and sliced.

use tch::Tensor;
use tweedie_losses::{LossError, MatchingForm, ScoreMatching, Slices, jacobian_products, noised};
use tweedie_score::NoiseSource;

use super::{Answer, Judged, Objective, Shown};
use crate::config::{ObjectiveConfig, ObjectiveKind, ProjectionKind};
use crate::{RunConfig, RunSchedule, TrainError};

/// How the score changes from place to place.
#[derive(Debug)]
pub(crate) struct MatchingObjective {
    matching: ScoreMatching,
    schedule: RunSchedule,
}

impl MatchingObjective {
    pub(super) fn new(config: &RunConfig, schedule: &RunSchedule) -> Result<Self, LossError> {
        let weighting = config.objective.weighting(config.sigma_data())?;
        let (prediction, reduction) = (config.prediction(), config.objective.reduction());
        let form = form(&config.objective);
        let matching = ScoreMatching { form, prediction, weighting, reduction };
        Ok(Self { matching, schedule: schedule.clone() })
    }
}

fn form(config: &ObjectiveConfig) -> MatchingForm {
    let slices = Slices {
        kind: config.projection.unwrap_or(ProjectionKind::Rademacher).into(),
        count: config.projections.unwrap_or(1),
    };
    match config.kind {
        ObjectiveKind::Sliced => MatchingForm::Sliced(slices),
        ObjectiveKind::SlicedVr => MatchingForm::SlicedVarianceReduced(slices),
        _ => MatchingForm::Implicit,
    }
}

impl Objective for MatchingObjective {
    fn judge(&self, shown: &Shown<'_>, network: &Answer<'_>) -> Result<Judged, TrainError> {
        let levels: Vec<_> = shown.times.iter().map(|at| at.level).collect();
        let plan = self.matching.plan(shown.times, &self.schedule)?;
        let x = noised(shown.x0, shown.eps, &levels).detach().set_requires_grad(true);
        // the products are gradients, also where a loss is only measured
        tch::with_grad(|| {
            let output = network(&x)?;
            let products = jacobian_products(&output, &x, shown.directions)?;
            Ok(plan.losses(&x, &output, shown.directions, &products).into())
        })
    }

    fn directions(
        &self,
        x0: &Tensor,
        noise: &mut dyn NoiseSource<Tensor>,
    ) -> Result<Vec<Tensor>, TrainError> {
        Ok(self.matching.plan(&[], &self.schedule)?.directions(x0, noise)?)
    }
}
