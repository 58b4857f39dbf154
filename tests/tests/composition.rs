//! Every method with every schedule on every kind of grid: each run is finite, takes the evaluations that
//! were planned; what does not apply is refused when planned.

use std::cell::Cell;
use std::sync::Arc;

use ndarray::{ArrayD, IxDyn};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{
    Ancestral, AncestralChain, AncestralNoise, AnnealedLangevin, Churn, Ddim, Denoised, EdmSolver,
    EulerMaruyama, InSigma, InTime, Langevin, LinearMultistep, MeanAtEnd, NoPredictor, OneStep,
    PredictorCorrector, ReverseDiffusion, Rule, Solver, Stochastic, Variance, sample,
};
use tweedie_schedules::{
    DiscreteTable, Edm, NoiseSchedule, Prediction, Spacing, SubVpLinear, TimeGrid, VeGeometric,
    VpCosine, VpLinear, cosine_betas,
};
use tweedie_score::{NoiseSource, ScoreError, ScoreFn, Seeded, Times};
use tweedie_sde::{Exact, Sde};
use tweedie_solvers_dpm::{Multistep, Order, Pndm, SingleStep, SolverType, ThirdOrder, UniPc};

type State = ArrayD<f64>;
type Method = (String, Box<dyn Solver<State>>);

const ORDERS: [Order; 3] = [Order::One, Order::Two, Order::Three];
const STEPS: usize = 24;

/// A schedule, with its SDE and its table where it has them.
struct Kind {
    name: &'static str,
    schedule: Arc<dyn NoiseSchedule>,
    sde: Option<Arc<dyn Sde>>,
    table: Option<DiscreteTable>,
}

fn continuous<N: Sde + Copy + 'static>(name: &'static str, sde: N) -> Kind {
    Kind { name, schedule: Arc::new(sde), sde: Some(Arc::new(sde)), table: None }
}

fn discrete(name: &'static str, table: DiscreteTable) -> Kind {
    Kind { name, schedule: Arc::new(table.clone()), sde: None, table: Some(table) }
}

fn kinds() -> Vec<Kind> {
    let linear = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let betas: Vec<f64> = cosine_betas(1000).unwrap();
    vec![
        continuous("vp linear", VpLinear::new(0.1, 20.0).unwrap()),
        continuous("vp cosine", VpCosine::default()),
        continuous("sub-vp", SubVpLinear::new(0.1, 20.0).unwrap()),
        continuous("ve", VeGeometric::new(0.01, 50.0).unwrap()),
        continuous("edm", Edm::new(0.002, 80.0).unwrap()),
        discrete("linear", linear.clone()),
        discrete("linear, zero terminal SNR", linear.rescaled_to_zero_snr().unwrap()),
        discrete("quadratic", DiscreteTable::quadratic(1000, 8.5e-4, 0.012).unwrap()),
        discrete("sigmoid", DiscreteTable::sigmoid(1000, 1e-4, 0.02).unwrap()),
        discrete("constant", DiscreteTable::constant(1000, 0.01).unwrap()),
        discrete("cosine", DiscreteTable::from_betas(&betas).unwrap()),
        discrete("jsd", DiscreteTable::jsd(200).unwrap()),
    ]
}

/// The grids of a schedule, by name; some end with the data, some before.
fn grids(kind: &Kind) -> Vec<(&'static str, TimeGrid)> {
    let schedule = &*kind.schedule;
    let mut grids = Vec::new();
    if let Some(table) = &kind.table {
        for (name, spacing) in [
            ("trailing", Spacing::Trailing),
            ("leading", Spacing::Leading),
            ("linspace", Spacing::Linspace),
        ] {
            grids.push((name, TimeGrid::discrete(table, STEPS, spacing).unwrap().ending_clean()));
        }
        let ending_noisy = TimeGrid::discrete(table, STEPS, Spacing::Trailing).unwrap();
        grids.push(("trailing, ending noisy", ending_noisy));
        if table.node(table.len() - 1).unwrap().level.alpha == 0.0 {
            // without a finite lambda at its end, grids in lambda are refused
            assert!(TimeGrid::uniform_lambda(schedule, STEPS).is_err());
            assert!(TimeGrid::karras(schedule, STEPS, 7.0).is_err());
            return grids;
        }
    }
    grids.push(("time", TimeGrid::uniform_time(schedule, STEPS).unwrap().ending_clean()));
    grids.push(("karras", TimeGrid::karras(schedule, STEPS, 7.0).unwrap().ending_clean()));
    grids.push(("lambda", TimeGrid::uniform_lambda(schedule, STEPS).unwrap()));
    grids
}

fn boxed(name: impl Into<String>, solver: impl Solver<State> + 'static) -> Method {
    (name.into(), Box::new(solver))
}

/// One-step methods and the SDE's own, alone and with every corrector.
fn one_step_methods(kind: &Kind) -> Vec<Method> {
    let predictors = || {
        let mut all = vec![
            boxed("ddim", OneStep(Ddim::new(0.0).unwrap())),
            boxed("ddim, eta 0.5", OneStep(Ddim::new(0.5).unwrap())),
            boxed("ancestral, small", OneStep(Ancestral { variance: Variance::FixedSmall })),
            boxed("ancestral, large", OneStep(Ancestral { variance: Variance::FixedLarge })),
            boxed(
                "ancestral chain",
                OneStep(AncestralChain { chain: Exact, variance: Variance::FixedSmall }),
            ),
            boxed("reverse diffusion", OneStep(ReverseDiffusion::new(Exact, 1.0).unwrap())),
            boxed("reverse diffusion, flow", OneStep(ReverseDiffusion::new(Exact, 0.0).unwrap())),
            boxed("no predictor", NoPredictor),
        ];
        all.extend(
            kind.sde
                .clone()
                .map(|sde| boxed("euler-maruyama", OneStep(EulerMaruyama::new(sde, 1.0).unwrap()))),
        );
        all
    };
    let mut all: Vec<Method> = predictors();
    for (name, solver) in predictors() {
        let langevin = Langevin::new(0.16, 1).unwrap();
        all.push(boxed(format!("{name} + langevin"), PredictorCorrector::new(solver, langevin)));
    }
    for (name, solver) in predictors() {
        let langevin = Langevin::new(0.16, 2).unwrap().per_sample();
        all.push(boxed(
            format!("{name} + langevin per sample"),
            PredictorCorrector::new(solver, langevin),
        ));
    }
    for (name, solver) in predictors() {
        let annealed = AnnealedLangevin::new(0.16, 1).unwrap();
        all.push(boxed(format!("{name} + annealed"), PredictorCorrector::new(solver, annealed)));
    }
    for (name, solver) in predictors() {
        all.push(boxed(format!("{name}, mean at the end"), MeanAtEnd(solver)));
    }
    for (name, solver) in predictors() {
        all.push(boxed(format!("{name}, denoised"), Denoised(solver)));
    }
    all
}

/// Multistep, single-step and EDM methods.
fn fast_methods(kind: &Kind) -> Vec<Method> {
    let mut all = vec![
        boxed("pndm", Pndm::new()),
        boxed("lms", LinearMultistep::new(4).unwrap()),
        boxed(
            "third order, corrected",
            Multistep::dpmpp(Order::Three).third_order(ThirdOrder::Corrected),
        ),
    ];
    for order in ORDERS {
        for solver_type in [SolverType::Midpoint, SolverType::Taylor] {
            for (name, solver) in [
                ("dpm", Multistep::dpm_solver(order)),
                ("dpm++", Multistep::dpmpp(order)),
                ("sde-dpm", Multistep::sde_dpm_solver(order)),
                ("sde-dpm++", Multistep::sde_dpmpp(order)),
            ] {
                all.push(boxed(
                    format!("{name} {order:?} {solver_type:?}"),
                    solver.solver_type(solver_type),
                ));
            }
            for (name, solver) in [
                ("single dpm", SingleStep::dpm_solver(order)),
                ("single dpm++", SingleStep::dpmpp(order)),
            ] {
                all.push(boxed(
                    format!("{name} {order:?} {solver_type:?}"),
                    solver.solver_type(solver_type),
                ));
            }
        }
        all.push(boxed(format!("deis {order:?}"), Multistep::deis(order)));
        all.push(boxed(format!("unipc {order:?}"), UniPc::new(order.get()).unwrap()));
        let noise = UniPc::new(order.get()).unwrap().predicting_noise();
        all.push(boxed(format!("unipc, noise {order:?}"), noise));
    }
    let schedule = || InSigma(Arc::clone(&kind.schedule));
    let noises = [
        Stochastic::Never,
        Stochastic::Churn(Churn::everywhere(10.0)),
        Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 }),
    ];
    for (name, rule) in [("euler", Rule::Euler), ("heun", Rule::HEUN)] {
        for noise in noises {
            let solver = EdmSolver::new(schedule(), rule).unwrap().with_noise(noise).unwrap();
            all.push(boxed(format!("edm {name} {noise:?}"), solver));
        }
        all.extend(kind.sde.clone().map(|sde| {
            boxed(format!("{name} in time"), EdmSolver::new(InTime(sde), rule).unwrap())
        }));
    }
    all
}

/// The exact score, counting how often it is asked.
struct Counted {
    exact: ExactScore,
    calls: Cell<usize>,
}

impl ScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.exact.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.exact.predict(x, at)
    }
}

fn data() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.5, 0.35)]).unwrap()
}

/// What went wrong with a method on a grid, if anything.
fn fault(solver: &dyn Solver<State>, grid: &TimeGrid, prediction: Prediction) -> Option<String> {
    let planned = match solver.evaluations(grid) {
        Ok(planned) => planned,
        Err(error) => return refused(solver, grid, &error.to_string()),
    };
    let score = Counted { exact: ExactScore::new(data(), prediction), calls: Cell::new(0) };
    let mut noise = Seeded::new(3);
    let z: State = noise.normal_like(&ArrayD::zeros(IxDyn(&[16, 2]))).unwrap();
    let start = z * grid.start().level.sigma;
    let end = match sample(solver, &score, grid, start, &mut noise) {
        Ok(end) => end,
        Err(error) => return Some(format!("failed: {error}")),
    };
    if !end.iter().all(|value| value.is_finite()) {
        return Some("not finite".to_owned());
    }
    if score.calls.get() != planned {
        return Some(format!("{} evaluations, {planned} planned", score.calls.get()));
    }
    None
}

/// A method that is refused must be so when planned, before the network runs, and say why.
fn refused(solver: &dyn Solver<State>, grid: &TimeGrid, error: &str) -> Option<String> {
    if solver.plan(grid).is_ok() {
        return Some(format!("evaluations refused ({error}), plan not"));
    }
    // numbers that came out wrong are no reason
    let reasonless = error.contains("NaN") || error.contains("inf");
    reasonless.then(|| format!("refused without a reason: {error}"))
}

#[test]
fn every_method_runs_on_every_schedule_and_grid() {
    let (mut runs, mut refusals, mut faults) = (0, Vec::new(), Vec::new());
    for kind in kinds() {
        for (grid_name, grid) in grids(&kind) {
            for (name, solver) in one_step_methods(&kind).into_iter().chain(fast_methods(&kind)) {
                runs += 1;
                let what = format!("{name} on {}, {grid_name}", kind.name);
                if let Err(error) = solver.evaluations(&grid) {
                    refusals.push(format!("{what}: {error}"));
                }
                for prediction in [Prediction::Data, Prediction::Velocity] {
                    let found = fault(solver.as_ref(), &grid, prediction);
                    faults.extend(found.map(|fault| format!("{what}, {prediction:?}: {fault}")));
                }
            }
        }
    }
    println!("{runs} compositions, {} refused", refusals.len());
    refusals.iter().for_each(|refusal| println!("{refusal}"));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    // the only thing that does not apply: Tweedie's formula where no noise is left
    let unexpected = refusals.iter().find(|refusal| !refusal.contains("nothing to denoise"));
    assert!(runs > 3000 && unexpected.is_none(), "{runs} runs, {unexpected:?}");
}
