//! The methods that the pictures compare: the one place to add another.

use crate::State;
use anyhow::Result;
use tweedie_closed_form::ExactScore;
use tweedie_samplers::{
    AdaptiveRun, AnalyticDpm, Ancestral, AncestralNoise, AnnealedDynamics, AnnealedLangevin, Churn,
    Ddim, EdmSolver, ErrorOver, EulerMaruyama, InSigma, LinearMultistep, OneStep,
    PredictorCorrector, ProbabilityFlow, ReverseDiffusion, Rule, RungeKutta, Solver, Stochastic,
    Tableau, Variance, estimate_moments,
};
use tweedie_schedules::{TimeGrid, VpLinear};
use tweedie_score::{Replay, ScoreFn, Seeded, Tolerance};
use tweedie_sde::Exact;
use tweedie_solvers_dpm::{
    Adaptive, FinalOrders, Multistep, Order, OrderPair, Pndm, SingleStep, ThirdOrder, UniPc,
};

/// A method that walks a grid.
pub(crate) struct OnGrid<'s> {
    pub(crate) name: &'static str,
    pub(crate) solver: Box<dyn Solver<State> + 's>,
    rho: Option<f64>,
}

impl<'s> OnGrid<'s> {
    /// A method on grids with equal steps of lambda.
    fn new(name: &'static str, solver: impl Solver<State> + 's) -> Self {
        Self { name, solver: Box::new(solver), rho: None }
    }

    /// The same method on the grids of EDM, for which it was made.
    fn on_karras(self) -> Self {
        Self { rho: Some(7.0), ..self }
    }

    /// The method's grid of `steps` steps over the time range of a schedule.
    pub(crate) fn grid(&self, schedule: &VpLinear, steps: usize) -> Result<TimeGrid> {
        Ok(match self.rho {
            Some(rho) => TimeGrid::karras(schedule, steps, rho)?,
            None => TimeGrid::uniform_lambda(schedule, steps)?,
        })
    }
}

/// The deterministic methods that walk a grid.
pub(crate) fn deterministic(schedule: &VpLinear) -> Result<Vec<OnGrid<'_>>> {
    let full = FinalOrders::Full;
    let corrected = Multistep::dpmpp(Order::Three).third_order(ThirdOrder::Corrected);
    Ok(vec![
        OnGrid::new("DDIM", OneStep(Ddim::DETERMINISTIC)),
        OnGrid::new("Euler, in time", OneStep(EulerMaruyama::new(schedule, 0.0)?)),
        OnGrid::new("DPM-Solver-2", SingleStep::dpm_solver(Order::Two).in_lambda(schedule)),
        OnGrid::new("DPM-Solver-3", SingleStep::dpm_solver(Order::Three).in_lambda(schedule)),
        OnGrid::new("DPM-Solver++ 2S", SingleStep::dpmpp(Order::Two).in_lambda(schedule)),
        OnGrid::new("DPM-Solver++ 3S", SingleStep::dpmpp(Order::Three).in_lambda(schedule)),
        OnGrid::new("DPM-Solver++ 2M", Multistep::dpmpp(Order::Two).final_orders(full)),
        OnGrid::new("DPM-Solver++ 3M", Multistep::dpmpp(Order::Three).final_orders(full)),
        OnGrid::new("DPM-Solver++ 3M corrected", corrected.final_orders(full)),
        OnGrid::new("UniPC-2", UniPc::new(2)?.final_orders(full)),
        OnGrid::new("UniPC-3", UniPc::new(3)?.final_orders(full)),
        OnGrid::new("DEIS-3", Multistep::deis(Order::Three).final_orders(full)),
        OnGrid::new("PNDM", Pndm::new()),
        OnGrid::new("linear multistep 4", LinearMultistep::new(4)?).on_karras(),
        OnGrid::new("EDM Heun", EdmSolver::new(InSigma(schedule), Rule::HEUN)?).on_karras(),
    ])
}

/// The stochastic methods that walk a grid.
pub(crate) fn stochastic(schedule: &VpLinear) -> Result<Vec<OnGrid<'_>>> {
    let heun = EdmSolver::new(InSigma(schedule), Rule::HEUN)?;
    let churned = heun.with_noise(Stochastic::Churn(Churn::everywhere(8.0)))?;
    let euler = EdmSolver::new(InSigma(schedule), Rule::Euler)?;
    let ancestral =
        euler.with_noise(Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 }))?;
    let reverse = || ReverseDiffusion::new(Exact, 1.0).map(OneStep);
    let corrected = PredictorCorrector::new(reverse()?, AnnealedLangevin::new(0.1, 1)?);
    let full = FinalOrders::Full;
    Ok(vec![
        OnGrid::new("DDPM, small variance", OneStep(Ancestral { variance: Variance::FixedSmall })),
        OnGrid::new("DDPM, large variance", OneStep(Ancestral { variance: Variance::FixedLarge })),
        OnGrid::new("DDIM, η = 0.5", OneStep(Ddim::new(0.5)?)),
        OnGrid::new("Euler-Maruyama", OneStep(EulerMaruyama::new(schedule, 1.0)?)),
        OnGrid::new("reverse diffusion", reverse()?),
        OnGrid::new("predictor-corrector", corrected),
        OnGrid::new("SDE-DPM-Solver++ 2M", Multistep::sde_dpmpp(Order::Two).final_orders(full)),
        OnGrid::new("SDE-DPM-Solver++ 2S", SingleStep::sde_dpmpp(Order::Two).in_lambda(schedule)),
        OnGrid::new("ancestral Euler", ancestral).on_karras(),
        OnGrid::new("EDM Heun, churn", churned).on_karras(),
    ])
}

/// Stochastic methods without an order to show: one is exact on normal data, one takes no step from
/// level to level. The first is made for runs of `steps` steps.
pub(crate) fn without_order(
    schedule: &VpLinear,
    network: &ExactScore,
    steps: usize,
) -> Result<Vec<OnGrid<'static>>> {
    let grid = TimeGrid::uniform_lambda(schedule, steps)?;
    let points = grid.intervals().iter().rev().map(|interval| interval.from).collect();
    let mut noise = Seeded::new(21);
    let batch = network.data().draw(2000, &mut noise)?;
    let moments = estimate_moments("mixture", points, [batch], network, &mut noise)?.moments()?;
    Ok(vec![
        OnGrid::new("Analytic-DPM", OneStep(AnalyticDpm::new(1.0, moments)?)),
        OnGrid::new("annealed Langevin", AnnealedDynamics(AnnealedLangevin::new(0.3, 1)?)),
    ])
}

/// A method that chooses its own steps.
pub(crate) struct SelfStepped<'s> {
    pub(crate) name: &'static str,
    /// Runs from the noisiest time to the cleanest with this error allowed a step.
    #[expect(clippy::type_complexity, reason = "a method as a function")]
    pub(crate) run: Box<dyn Fn(&dyn ScoreFn<State>, State, f64) -> Result<AdaptiveRun<State>> + 's>,
}

/// The deterministic methods that choose their own steps.
pub(crate) fn self_stepped(schedule: &VpLinear) -> Vec<SelfStepped<'_>> {
    let flow = |name, tableau: Tableau| SelfStepped {
        name,
        run: Box::new(move |score, x, error| {
            let method = RungeKutta::new(error, error)?.with_tableau(tableau);
            Ok(ProbabilityFlow::new(schedule, method).sample(score, x)?)
        }),
    };
    let adaptive = |name, pair: OrderPair| SelfStepped {
        name,
        run: Box::new(move |score, x, error| {
            let tolerance = Tolerance::Larger { absolute: error, relative: error };
            let solver = Adaptive::dpm_solver(schedule, pair);
            let solver = solver.tolerance(tolerance, ErrorOver::Batch);
            Ok(solver.run(score, x, &mut Replay::new([]))?)
        }),
    };
    vec![
        flow("probability flow, RK23", Tableau::BOGACKI_SHAMPINE),
        flow("probability flow, RK45", Tableau::DORMAND_PRINCE),
        flow("probability flow, DOP853", Tableau::DOP853),
        adaptive("DPM-Solver-12", OrderPair::OneTwo),
        adaptive("DPM-Solver-23", OrderPair::TwoThree),
    ]
}
