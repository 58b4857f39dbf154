//! Sampling methods by name.

use super::spacing::SpacingName;
use anyhow::{Result, bail};
use clap::ValueEnum;
use tweedie_checkpoints::TrainedVariance;
use tweedie_samplers::{
    Ancestral, Churn, Ddim, EdmSolver, InSigma, OneStep, ReverseDiffusion, Rule, Solver,
    Stochastic, Variance,
};
use tweedie_score::VectorSpace;
use tweedie_sde::Exact;
use tweedie_solvers_dpm::{Multistep, Order, Pndm, SingleStep, SolverType, UniPc};
use tweedie_training::RunSchedule;

/// A sampling method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sampler {
    /// Ancestral sampling: a little noise in each step (default: every step of the model)
    Ddpm,
    /// DDIM: few steps, deterministic at eta 0 (default: 50 steps)
    Ddim,
    /// Reverse diffusion: the forward chain run backwards, the last step without noise (default:
    /// every step of the model); with --corrector langevin it is Song et al.'s PC sampler
    ReverseDiffusion,
    /// DPM-Solver, in the noise prediction (default: 20 steps)
    DpmSolver,
    /// DPM-Solver++, in the data prediction: the usual choice for few steps (default: 20 steps)
    #[value(name = "dpm-solver++")]
    DpmSolverPp,
    /// DPM-Solver++ of the reverse SDE, with noise (default: 20 steps)
    #[value(name = "sde-dpm-solver++")]
    SdeDpmSolverPp,
    /// Each step corrected with the next evaluation, which costs nothing (default: 20 steps)
    #[value(name = "unipc")]
    UniPc,
    /// DEIS, polynomials in log sigma (default: 20 steps)
    Deis,
    /// PNDM, a linear multistep method of order four (default: 50 steps)
    Pndm,
    /// Euler's method in sigma (default: 50 steps)
    Euler,
    /// EDM: Heun's method in sigma, two evaluations a step (default: 20 steps)
    Heun,
    /// The probability flow by Dormand-Prince, steps as --rtol and --atol allow (default: 1e-5 both)
    Ode,
    /// DPM-Solver with steps as --rtol and --atol allow (default: 0.05 and 0.0078)
    DpmSolverAdaptive,
}

/// The variance of ancestral sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VarianceName {
    /// That of the posterior, the lower of the two published bounds
    FixedSmall,
    /// That of the forward process, the upper one
    FixedLarge,
    /// What the network learned, between the two
    Learned,
}

impl VarianceName {
    /// Whether a step that ends clean has any.
    pub(crate) fn lasts(self) -> bool {
        self != Self::FixedSmall
    }
}

impl From<TrainedVariance> for VarianceName {
    fn from(variance: TrainedVariance) -> Self {
        match variance {
            TrainedVariance::FixedSmall | TrainedVariance::FixedSmallLog => Self::FixedSmall,
            TrainedVariance::FixedLarge | TrainedVariance::FixedLargeLog => Self::FixedLarge,
            TrainedVariance::Learned | TrainedVariance::LearnedRange => Self::Learned,
        }
    }
}

/// How a step of order two estimates a slope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SolverTypeName {
    /// As published with DPM-Solver
    Midpoint,
    /// The exact weight of a linear prediction
    Taylor,
}

/// What the options of a method were set to; each is meant for some methods only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) eta: Option<f64>,
    pub(crate) variance: Option<VarianceName>,
    pub(crate) order: Option<u8>,
    pub(crate) solver_type: Option<SolverTypeName>,
    pub(crate) single_step: bool,
    pub(crate) churn: Option<f64>,
    pub(crate) rtol: Option<f64>,
    pub(crate) atol: Option<f64>,
}

impl Settings {
    /// The options that were given.
    fn given(&self) -> Vec<&'static str> {
        let all = [
            ("--eta", self.eta.is_some()),
            ("--variance", self.variance.is_some()),
            ("--order", self.order.is_some()),
            ("--solver-type", self.solver_type.is_some()),
            ("--single-step", self.single_step),
            ("--churn", self.churn.is_some()),
            ("--rtol", self.rtol.is_some()),
            ("--atol", self.atol.is_some()),
        ];
        all.into_iter().filter(|(_, given)| *given).map(|(option, _)| option).collect()
    }

    /// Those that were given, for reports.
    pub(crate) fn words(&self) -> Vec<String> {
        let named =
            |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
        let variance = self.variance.map(|variance| match variance {
            VarianceName::FixedSmall => "fixed-small",
            VarianceName::FixedLarge => "fixed-large",
            VarianceName::Learned => "learned",
        });
        let solver_type = self.solver_type.map(|solver_type| match solver_type {
            SolverTypeName::Midpoint => "midpoint",
            SolverTypeName::Taylor => "taylor",
        });
        let words = [
            named("eta", self.eta.map(|eta| eta.to_string())),
            named("variance", variance.map(str::to_owned)),
            named("order", self.order.map(|order| order.to_string())),
            named("solver type", solver_type.map(str::to_owned)),
            self.single_step.then(|| "single-step".to_owned()),
            named("churn", self.churn.map(|churn| churn.to_string())),
            named("rtol", self.rtol.map(|rtol| rtol.to_string())),
            named("atol", self.atol.map(|atol| atol.to_string())),
        ];
        words.into_iter().flatten().collect()
    }

    fn order(&self) -> Result<Order> {
        Ok(match self.order {
            Some(1) => Order::One,
            None | Some(2) => Order::Two,
            Some(3) => Order::Three,
            Some(other) => bail!("--order is {other}, expected 1, 2 or 3"),
        })
    }

    fn solver_type(&self) -> SolverType {
        match self.solver_type {
            None | Some(SolverTypeName::Midpoint) => SolverType::Midpoint,
            Some(SolverTypeName::Taylor) => SolverType::Taylor,
        }
    }
}

impl Sampler {
    /// The options that mean something to the method.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ddpm => &["--variance"],
            Self::Ddim | Self::ReverseDiffusion => &["--eta"],
            Self::DpmSolver | Self::DpmSolverPp => &["--order", "--solver-type", "--single-step"],
            Self::SdeDpmSolverPp => &["--order", "--solver-type", "--eta"],
            Self::UniPc | Self::Deis => &["--order"],
            Self::Pndm => &[],
            Self::Euler | Self::Heun => &["--churn"],
            Self::Ode => &["--rtol", "--atol"],
            Self::DpmSolverAdaptive => &["--order", "--rtol", "--atol"],
        }
    }

    /// Whether the method finds its steps while it runs, instead of walking a list of times.
    pub(crate) fn is_adaptive(self) -> bool {
        matches!(self, Self::Ode | Self::DpmSolverAdaptive)
    }

    /// The method for a model where none is asked for.
    pub(crate) fn suited_to(schedule: &RunSchedule) -> Self {
        if matches!(schedule, RunSchedule::Edm(_)) { Self::Heun } else { Self::Ddim }
    }

    /// Steps where none are asked for, of a model with `all`.
    pub(crate) fn default_steps(self, all: usize) -> usize {
        match self {
            Self::Ddpm | Self::ReverseDiffusion => all,
            Self::Ddim | Self::Pndm | Self::Euler => all.min(50),
            _ => all.min(20),
        }
    }

    /// The times of a model that suit the method.
    pub(crate) fn default_spacing(
        self,
        settings: &Settings,
        schedule: &RunSchedule,
    ) -> SpacingName {
        match self {
            // these extrapolate slopes in sigma or in noise, which a long first step blows up
            Self::Heun => SpacingName::Karras,
            Self::Pndm => SpacingName::Lambda,
            _ if settings.single_step => SpacingName::Lambda,
            _ if schedule.table().is_some() => SpacingName::Trailing,
            // time is noise there, and most of it says nothing about the data
            _ if matches!(schedule, RunSchedule::Edm(_)) => SpacingName::Karras,
            Self::Ddpm | Self::Ddim | Self::ReverseDiffusion => SpacingName::Time,
            Self::Euler => SpacingName::Karras,
            _ => SpacingName::Lambda,
        }
    }

    /// The method's name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// # Errors
    /// When an option is given that means nothing to this method.
    pub(crate) fn check(self, settings: &Settings) -> Result<()> {
        for option in settings.given() {
            if !self.options().contains(&option) {
                let takers =
                    Self::value_variants().iter().filter(|s| s.options().contains(&option));
                let names: Vec<_> = takers.map(|sampler| sampler.name()).collect();
                bail!(
                    "{option} means nothing to --sampler {}, it goes with --sampler {}",
                    self.name(),
                    names.join(", ")
                );
            }
        }
        Ok(())
    }

    /// Whether the published method leaves out the noise of its last step.
    pub(super) fn ends_at_mean(self) -> bool {
        self == Self::ReverseDiffusion
    }

    /// The method as a solver of states of any kind, with the noise of its last step: see
    /// [`ends_at_mean`](Self::ends_at_mean).
    ///
    /// # Errors
    /// When an option is out of range or not meant for the method.
    pub(super) fn steps<S: VectorSpace>(
        self,
        settings: &Settings,
        schedule: &RunSchedule,
    ) -> Result<Box<dyn Solver<S>>> {
        self.check(settings)?;
        let order = settings.order()?;
        Ok(match self {
            Self::Ddpm => Box::new(OneStep(Ancestral { variance: variance(settings)? })),
            Self::Ddim => Box::new(OneStep(Ddim::new(settings.eta.unwrap_or(0.0))?)),
            Self::ReverseDiffusion => {
                let predictor = ReverseDiffusion::new(Exact, settings.eta.unwrap_or(1.0))?;
                Box::new(OneStep(predictor))
            }
            Self::DpmSolver if settings.single_step => {
                single(SingleStep::dpm_solver(order), settings)
            }
            Self::DpmSolverPp if settings.single_step => single(SingleStep::dpmpp(order), settings),
            Self::DpmSolver => multi(Multistep::dpm_solver(order), settings),
            Self::DpmSolverPp => multi(Multistep::dpmpp(order), settings),
            Self::SdeDpmSolverPp => {
                let solver = Multistep::sde_dpmpp(order).with_eta(settings.eta.unwrap_or(1.0))?;
                multi(solver, settings)
            }
            Self::UniPc => Box::new(UniPc::new(usize::from(settings.order.unwrap_or(2)))?),
            Self::Deis => Box::new(Multistep::deis(order)),
            Self::Pndm => Box::new(Pndm::new()),
            Self::Euler => edm(Rule::Euler, settings, schedule)?,
            Self::Heun => edm(Rule::HEUN, settings, schedule)?,
            Self::Ode | Self::DpmSolverAdaptive => {
                bail!("--sampler {} finds its steps while it runs", self.name())
            }
        })
    }
}

pub(super) fn variance(settings: &Settings) -> Result<Variance> {
    Ok(match settings.variance {
        Some(VarianceName::FixedLarge) => Variance::FixedLarge,
        Some(VarianceName::FixedSmall) | None => Variance::FixedSmall,
        Some(VarianceName::Learned) => bail!("--variance learned is known to a network alone"),
    })
}

fn multi<S: VectorSpace>(solver: Multistep, settings: &Settings) -> Box<dyn Solver<S>> {
    Box::new(solver.solver_type(settings.solver_type()))
}

fn single<S: VectorSpace>(solver: SingleStep<'static>, settings: &Settings) -> Box<dyn Solver<S>> {
    Box::new(solver.solver_type(settings.solver_type()))
}

fn edm<S: VectorSpace>(
    rule: Rule,
    settings: &Settings,
    schedule: &RunSchedule,
) -> Result<Box<dyn Solver<S>>> {
    let solver = EdmSolver::new(InSigma(schedule.clone()), rule)?;
    Ok(match settings.churn {
        Some(amount) => Box::new(solver.with_noise(Stochastic::Churn(Churn::everywhere(amount)))?),
        None => Box::new(solver),
    })
}
