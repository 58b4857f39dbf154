//! The methods, each with its options, and what can be put around them.

use std::sync::Arc;

use crate::State;
use crate::data::moments;
use crate::kinds::Kind;
use tweedie_samplers::{
    AnalyticDpm, Ancestral, AncestralChain, AncestralNoise, AnnealedDynamics, AnnealedLangevin,
    Churn, Corrector, CorrectorPlace, Ddim, Denoised, EdmSolver, EulerMaruyama, InSigma, InTime,
    KeepingNoise, Langevin, LinearMultistep, MeanAtEnd, NoPredictor, NoiseCap, OneStep, Predictor,
    PredictorCorrector, ReverseDiffusion, Rule, Solver, StepVariable, Stochastic, Variance,
};
use tweedie_schedules::{NoiseSchedule, TimeGrid};
use tweedie_score::{Clip, DynamicThreshold};
use tweedie_sde::Exact;
use tweedie_solvers_dpm::{
    BFunction, HalfWay, Multistep, Order, Pndm, SingleStep, SolverType, ThirdOrder, UniPc,
};

pub(crate) type Method = (String, Box<dyn Solver<State>>);

const ORDERS: [Order; 3] = [Order::One, Order::Two, Order::Three];
const TYPES: [SolverType; 2] = [SolverType::Midpoint, SolverType::Taylor];
const CLIP: Clip = Clip { low: -2.0, high: 2.0 };

fn boxed(name: impl Into<String>, solver: impl Solver<State> + 'static) -> Method {
    (name.into(), Box::new(solver))
}

/// Every method for a grid of a schedule.
pub(crate) fn methods(kind: &Kind, grid: &TimeGrid) -> Vec<Method> {
    let mut all = one_step(kind, grid);
    all.extend(alone());
    all.extend(multistep());
    all.extend(single_step());
    all.extend(unipc());
    all.extend(edm(kind));
    all.extend(pndm(kind));
    all.extend(decorated(kind, grid));
    all
}

/// One evaluation a step and no memory.
fn one_step(kind: &Kind, grid: &TimeGrid) -> Vec<Method> {
    let small = Ancestral { variance: Variance::FixedSmall };
    let large = Ancestral { variance: Variance::FixedLarge };
    let chain = AncestralChain { chain: Exact, variance: Variance::FixedSmall };
    let ddim = |eta| Ddim::new(eta).unwrap();
    let ranged =
        |eta| AnalyticDpm::new(eta, moments(grid)).unwrap().with_data_range(-2.0, 2.0).unwrap();
    let capped = |inner: AnalyticDpm| NoiseCap::pixels(inner, 2.0, 0.3).unwrap();
    let sde = || Arc::clone(&kind.sde);
    let mut all = vec![
        boxed("analytic, unknown range", OneStep(AnalyticDpm::new(1.0, moments(grid)).unwrap())),
        boxed("analytic, final noise", OneStep(ranged(1.0).with_final_noise())),
        boxed("reverse diffusion", OneStep(ReverseDiffusion::new(Exact, 1.0).unwrap())),
        boxed("reverse diffusion, flow", OneStep(ReverseDiffusion::new(Exact, 0.0).unwrap())),
        boxed("euler-maruyama", OneStep(EulerMaruyama::new(sde(), 1.0).unwrap())),
        boxed("euler-maruyama, flow", OneStep(EulerMaruyama::new(sde(), 0.0).unwrap())),
    ];
    all.extend(keeping_noise_or_not("ddim", ddim(0.0)));
    all.extend(keeping_noise_or_not("ddim, eta 0.5", ddim(0.5)));
    all.extend(keeping_noise_or_not("ancestral, small", small));
    all.extend(keeping_noise_or_not("ancestral, large", large));
    all.extend(keeping_noise_or_not("ancestral chain", chain));
    all.extend(keeping_noise_or_not("ancestral, capped", NoiseCap::new(large, 0.1, 0.5).unwrap()));
    all.extend(keeping_noise_or_not("analytic ddim", ranged(0.0)));
    all.extend(keeping_noise_or_not("analytic ddpm, capped", capped(ranged(1.0))));
    all
}

/// A predictor as it is, and with its data estimate mapped while the noise stays.
fn keeping_noise_or_not(name: &str, predictor: impl Predictor + Clone + 'static) -> [Method; 3] {
    let threshold = DynamicThreshold::new(0.9).unwrap();
    [
        boxed(name, OneStep(predictor.clone())),
        boxed(
            format!("{name}, clipped, keeping noise"),
            KeepingNoise { predictor: predictor.clone(), map: CLIP },
        ),
        boxed(
            format!("{name}, thresholded, keeping noise"),
            KeepingNoise { predictor, map: threshold },
        ),
    ]
}

/// Correctors without a predictor.
fn alone() -> Vec<Method> {
    let langevin = Langevin::new(0.16, 1).unwrap();
    let annealed = AnnealedLangevin::new(0.16, 2).unwrap();
    vec![
        boxed("no predictor", NoPredictor),
        boxed("annealed dynamics", AnnealedDynamics(annealed)),
        boxed("annealed dynamics, denoised", Denoised(AnnealedDynamics(annealed))),
        boxed("langevin dynamics", AnnealedDynamics(langevin)),
    ]
}

fn multistep() -> Vec<Method> {
    let mut all = vec![boxed("lms", LinearMultistep::new(4).unwrap())];
    for third in [ThirdOrder::Corrected, ThirdOrder::Diffusers] {
        for (name, solver) in [
            ("dpm", Multistep::dpm_solver(Order::Three)),
            ("dpm++", Multistep::dpmpp(Order::Three)),
            ("sde-dpm", Multistep::sde_dpm_solver(Order::Three)),
            ("sde-dpm++", Multistep::sde_dpmpp(Order::Three)),
        ] {
            all.push(boxed(format!("{name} {third:?}"), solver.third_order(third)));
        }
    }
    for order in ORDERS {
        all.push(boxed(format!("deis {order:?}"), Multistep::deis(order)));
        for kind in TYPES {
            for (name, solver) in [
                ("dpm", Multistep::dpm_solver(order)),
                ("dpm++", Multistep::dpmpp(order)),
                ("dpm++, eta 0.5", Multistep::dpmpp(order).with_eta(0.5).unwrap()),
                ("sde-dpm", Multistep::sde_dpm_solver(order)),
                ("sde-dpm++", Multistep::sde_dpmpp(order)),
            ] {
                all.push(boxed(format!("{name} {order:?} {kind:?}"), solver.solver_type(kind)));
            }
        }
    }
    all
}

fn single_step() -> Vec<Method> {
    let mut all = Vec::new();
    for order in ORDERS {
        for kind in TYPES {
            for (name, solver) in [
                ("single dpm", SingleStep::dpm_solver(order)),
                ("single dpm++", SingleStep::dpmpp(order)),
            ] {
                all.push(boxed(format!("{name} {order:?} {kind:?}"), solver.solver_type(kind)));
            }
        }
    }
    all
}

fn unipc() -> Vec<Method> {
    let mut all = Vec::new();
    for order in ORDERS {
        for b_function in [BFunction::Bh1, BFunction::Bh2] {
            let data = UniPc::new(order.get()).unwrap().b_function(b_function);
            let noise = data.clone().predicting_noise();
            all.push(boxed(format!("unipc {order:?} {b_function:?}"), data));
            all.push(boxed(format!("unipc, noise {order:?} {b_function:?}"), noise));
        }
    }
    all
}

/// The rules of EDM with every kind of noise, in sigma and in the schedule's own time.
fn edm(kind: &Kind) -> Vec<Method> {
    let rules =
        [("euler", Rule::Euler), ("heun", Rule::HEUN), ("midpoint", Rule::GeometricMidpoint)];
    let mut all = Vec::new();
    for (name, rule) in rules {
        all.extend(with_noises(&format!("{name} in sigma"), || InSigma(kind.sde.clone()), rule));
        all.extend(with_noises(&format!("{name} in time"), || InTime(kind.sde.clone()), rule));
    }
    all
}

fn with_noises<V: StepVariable + 'static>(
    name: &str,
    variable: impl Fn() -> V,
    rule: Rule,
) -> Vec<Method> {
    let noises = [
        ("", Stochastic::Never),
        (", churn", Stochastic::Churn(Churn::everywhere(10.0))),
        (", ancestral", Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 })),
    ];
    let solver = |noise| EdmSolver::new(variable(), rule).unwrap().with_noise(noise).unwrap();
    noises.map(|(noisy, noise)| boxed(format!("{name}{noisy}"), solver(noise))).into()
}

fn pndm(kind: &Kind) -> Vec<Method> {
    let sde = Arc::clone(&kind.sde);
    let runge_kutta = Pndm::with_runge_kutta(move |step| {
        let middle = sde.point(0.5 * (step.from.t + step.to.t));
        HalfWay { landed: middle, called: middle }
    });
    vec![boxed("pndm", Pndm::new()), boxed("pndm, runge-kutta start", runge_kutta)]
}

/// Methods of every family with every corrector in both places, and the ways to end a run.
fn decorated(kind: &Kind, grid: &TimeGrid) -> Vec<Method> {
    let predictors = || {
        let mut all = one_step(kind, grid);
        all.extend([
            boxed("no predictor", NoPredictor),
            boxed("dpm++ Two", Multistep::dpmpp(Order::Two)),
            boxed("sde-dpm++ Two", Multistep::sde_dpmpp(Order::Two)),
            boxed("single dpm++ Two", SingleStep::dpmpp(Order::Two)),
            boxed("unipc Two", UniPc::new(2).unwrap()),
            boxed("pndm", Pndm::new()),
            boxed("edm", EdmSolver::new(InSigma(kind.sde.clone()), Rule::HEUN).unwrap()),
        ]);
        all
    };
    let langevin = Langevin::new(0.16, 1).unwrap();
    let mut all = corrected(predictors, "langevin", langevin);
    all.extend(corrected(predictors, "langevin per sample", langevin.per_sample()));
    all.extend(corrected(predictors, "annealed", AnnealedLangevin::new(0.16, 2).unwrap()));
    let at_mean = |(name, solver)| boxed(format!("{name}, mean at the end"), MeanAtEnd(solver));
    all.extend(predictors().into_iter().map(at_mean));
    let denoised = |(name, solver)| boxed(format!("{name}, denoised"), Denoised(solver));
    all.extend(predictors().into_iter().map(denoised));
    all
}

fn corrected<C: Corrector<State> + Copy + 'static>(
    predictors: impl Fn() -> Vec<Method>,
    name: &str,
    corrector: C,
) -> Vec<Method> {
    let places = [CorrectorPlace::Before, CorrectorPlace::After];
    let at = |place| {
        predictors().into_iter().map(move |(predictor_name, predictor)| {
            let solver = PredictorCorrector { predictor, corrector, place };
            boxed(format!("{predictor_name} + {name} {place:?}"), solver)
        })
    };
    places.into_iter().flat_map(at).collect()
}
