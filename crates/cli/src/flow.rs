//! The probability flow of a run, from the command line: between images and their latents.

use crate::precision::PrecisionName;
use crate::registry::MOST_EVALUATIONS;
use crate::run::Run;
use anyhow::{Result, bail};
use clap::Args;
use tch::{Device, Tensor};
use tweedie_samplers::{ProbabilityFlow, RungeKutta};
use tweedie_schedules::NoiseSchedule;
use tweedie_score::Conditioned;
use tweedie_training::RunSchedule;

/// How the probability flow is solved.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Probability flow")]
pub(crate) struct FlowArgs {
    /// Relative error allowed in a step [default: 1e-5]
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    pub(crate) rtol: Option<f64>,
    /// Error allowed in a value of 0 [default: 1e-5]
    #[arg(long, value_name = "A", allow_hyphen_values = true)]
    pub(crate) atol: Option<f64>,
    /// Evaluations after which a batch is given up, its tolerance not met [default: 10000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_evaluations: Option<u32>,
    /// The time that images are taken to be at, in continuous time [default: the cleanest time
    /// trained; for the bound of VP and sub-VP 0.001]
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub(crate) eps: Option<f64>,
}

/// Both tolerances, where none is given. // Song et al. 2021, appendix D.2
const TOLERANCE: f64 = 1e-5;

impl FlowArgs {
    /// Relative and absolute tolerance.
    ///
    /// # Errors
    /// When one is not above 0, or too fine for the precision of the network.
    pub(crate) fn tolerances(&self, precision: PrecisionName) -> Result<(f64, f64)> {
        let relative = precision.tolerance("--rtol", self.rtol.unwrap_or(TOLERANCE))?;
        Ok((relative, precision.tolerance("--atol", self.atol.unwrap_or(TOLERANCE))?))
    }

    /// The integrator.
    ///
    /// # Errors
    /// As [`tolerances`](Self::tolerances).
    pub(crate) fn method(&self, precision: PrecisionName) -> Result<RungeKutta> {
        let (relative, absolute) = self.tolerances(precision)?;
        let most = self.max_evaluations.map_or(MOST_EVALUATIONS, |count| count as usize);
        Ok(RungeKutta::new(absolute, relative)?.with_most_evaluations(most))
    }

    /// The lower time limit.
    ///
    /// # Errors
    /// When the run was not trained there.
    pub(crate) fn lower_limit(&self, schedule: &RunSchedule) -> Result<f64> {
        let (clean, noisy) = schedule.time_range();
        let Some(eps) = self.eps else { return Ok(clean) };
        if (clean..noisy).contains(&eps) {
            return Ok(eps);
        }
        let why = match schedule.table() {
            Some(table) => {
                format!("a model of {} steps knows no time before its first", table.len())
            }
            None => "the times trained".to_owned(),
        };
        bail!("--eps is {eps}, expected {clean} to less than {noisy}: {why}")
    }

    /// The flow of a run.
    ///
    /// # Errors
    /// When an option is out of range.
    pub(crate) fn flow<'a>(&self, run: &'a Run) -> Result<Flow<'a>> {
        if let Some((low, high)) = run.clipped_elsewhere() {
            eprintln!(
                "the program of this model holds its estimates of the data within {low} to {high}; the flow \
                 follows them as the network gives them"
            );
        }
        let schedule = run.schedule().clone().with_cleanest(self.lower_limit(run.schedule())?)?;
        Ok(Flow { run, flow: ProbabilityFlow::new(schedule, self.method(run.precision())?) })
    }
}

/// The flow of a run, between images and latents on the CPU.
pub(crate) struct Flow<'a> {
    run: &'a Run,
    flow: ProbabilityFlow<RunSchedule>,
}

impl Flow<'_> {
    /// The latents of images, which have one class each.
    ///
    /// # Errors
    /// When the tolerance cannot be met or the network fails.
    pub(crate) fn encode(&self, x: &Tensor, classes: &[Option<usize>]) -> Result<Tensor> {
        let score = Conditioned { network: self.run.network(), conditions: classes.to_vec() };
        let run = self.flow.encode(&score, x.to_device(self.run.device()))?;
        Ok(run.state.to_device(Device::Cpu))
    }

    /// The images of latents, which have one class each.
    ///
    /// # Errors
    /// When the tolerance cannot be met or the network fails.
    pub(crate) fn decode(&self, x: &Tensor, classes: &[Option<usize>]) -> Result<Tensor> {
        let score = Conditioned { network: self.run.network(), conditions: classes.to_vec() };
        let run = self.flow.sample(&score, x.to_device(self.run.device()))?;
        Ok(run.state.to_device(Device::Cpu))
    }
}
