//! Methods that find their steps while they run, by name.

use super::sampler::{Sampler, Settings};
use crate::precision::PrecisionName;
use anyhow::{Result, bail};
use tch::Tensor;
use tweedie_samplers::{ErrorOver, ProbabilityFlow, RungeKutta, SampleError};
use tweedie_score::{NoiseSource, ScoreFn, Tolerance};
use tweedie_solvers_dpm::{Adaptive, OrderPair};
use tweedie_training::RunSchedule;

/// Tolerances of the probability flow. // Song et al. 2021, sec. 4.3
const FLOW_TOLERANCES: (f64, f64) = (1e-5, 1e-5);

/// Tolerances of adaptive DPM-Solver, relative first. // Lu et al. 2022, app. C
const DPM_TOLERANCES: (f64, f64) = (0.05, 0.0078);

/// Evaluations after which the flow of a batch is given up, its tolerance not met.
pub(crate) const MOST_EVALUATIONS: usize = 10_000;

/// A method with adaptive steps over the whole time range of a model.
pub(crate) enum AdaptiveMethod {
    Flow(ProbabilityFlow<RunSchedule>),
    DpmSolver { schedule: RunSchedule, pair: OrderPair, tolerance: Tolerance },
}

impl AdaptiveMethod {
    /// The method of a name.
    ///
    /// # Errors
    /// When an option is out of range or not meant for the method.
    pub(crate) fn new(
        sampler: Sampler,
        settings: &Settings,
        schedule: &RunSchedule,
    ) -> Result<Self> {
        sampler.check(settings)?;
        let schedule = schedule.clone();
        match sampler {
            Sampler::Ode => {
                let (relative, absolute) = tolerances(settings, FLOW_TOLERANCES)?;
                let method = RungeKutta::new(absolute, relative)?;
                let method = method.with_most_evaluations(MOST_EVALUATIONS);
                Ok(Self::Flow(ProbabilityFlow::new(schedule, method).ending_denoised()))
            }
            Sampler::DpmSolverAdaptive => {
                let (relative, absolute) = tolerances(settings, DPM_TOLERANCES)?;
                let tolerance = Tolerance::Larger { absolute, relative };
                Ok(Self::DpmSolver { schedule, pair: pair(settings)?, tolerance })
            }
            other => bail!("--sampler {} walks a list of times", other.name()),
        }
    }

    /// Carries a batch of noise to data.
    pub(crate) fn run(
        &self,
        score: &dyn ScoreFn<Tensor>,
        x: Tensor,
        noise: &mut dyn NoiseSource<Tensor>,
    ) -> Result<Tensor, SampleError> {
        let run = match self {
            Self::Flow(flow) => flow.sample(score, x)?,
            Self::DpmSolver { schedule, pair, tolerance } => Adaptive::dpm_solver(schedule, *pair)
                .tolerance(*tolerance, ErrorOver::WorstSample)
                .run(score, x, noise)?,
        };
        Ok(run.state)
    }
}

/// Relative and absolute tolerance, those not given as published.
fn tolerances(settings: &Settings, published: (f64, f64)) -> Result<(f64, f64)> {
    let tolerance = |option, value| PrecisionName::F32.tolerance(option, value);
    let relative = tolerance("--rtol", settings.rtol.unwrap_or(published.0))?;
    Ok((relative, tolerance("--atol", settings.atol.unwrap_or(published.1))?))
}

fn pair(settings: &Settings) -> Result<OrderPair> {
    Ok(match settings.order {
        Some(2) => OrderPair::OneTwo,
        None | Some(3) => OrderPair::TwoThree,
        Some(other) => bail!("--order is {other}, expected 2 or 3, the higher of the pair"),
    })
}
