//! EDM's sampler and linear multistep against closed forms: orders, and moments with churn.

use ndarray::{ArrayD, arr2};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{
    AncestralNoise, Churn, Ddim, EdmSolver, InSigma, InTime, LinearMultistep, OneStep, Rule,
    Solver, Stochastic, sample, sample_observed,
};
use tweedie_schedules::{
    DiscreteTable, Edm, NoiseLevel, NoiseSchedule, Prediction, ScaledSigma, Scaling, SigmaOfTime,
    TimeGrid, TimePoint, VpLinear,
};
use tweedie_score::{NoiseSource, Replay, Seeded};

type State = ArrayD<f64>;

const SHARES: [f64; 3] = [0.05, 0.28, 0.8];

fn mixture() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap()
}

/// The states below which the given shares of the data lie: the flow carries quantiles to quantiles.
fn quantiles(level: NoiseLevel) -> State {
    let marginal = mixture().at(level).coordinate(0);
    let values: Vec<f64> = SHARES.iter().map(|share| marginal.quantile(*share)).collect();
    State::from_shape_vec(vec![SHARES.len(), 1], values).unwrap()
}

fn error(solver: &dyn Solver<State>, schedule: &dyn NoiseSchedule, steps: usize) -> f64 {
    let score = ExactScore::new(mixture(), Prediction::Noise);
    let grid = TimeGrid::uniform_lambda(schedule, steps).unwrap();
    let start = quantiles(grid.start().level);
    let end = sample(solver, &score, &grid, start, &mut Replay::new([])).unwrap();
    let exact = quantiles(grid.intervals()[steps - 1].to.level);
    (end - exact).iter().fold(0.0, |most, error| most.max(error.abs()))
}

#[track_caller]
fn check_order(solver: &dyn Solver<State>, schedule: &dyn NoiseSchedule, declared: f64) {
    let errors = [256, 512, 1024, 2048].map(|steps| error(solver, schedule, steps));
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - declared).abs() < 0.15, "order {order} of {errors:?}");
    }
}

fn in_sigma<N: NoiseSchedule>(schedule: N, rule: Rule) -> EdmSolver<InSigma<N>> {
    EdmSolver::new(InSigma(schedule), rule).unwrap()
}

const SECOND_ORDER: [Rule; 4] = [
    Rule::HEUN,
    Rule::Heun { alpha: 0.5 },
    Rule::Heun { alpha: 2.0 / 3.0 },
    Rule::GeometricMidpoint,
];

#[test]
fn rules_have_their_order_in_sigma_on_any_schedule() {
    let edm = Edm::new(0.05, 5.0).unwrap();
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let vp = VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.05, 0.7).unwrap();
    check_order(&in_sigma(edm, Rule::Euler), &edm, 1.0);
    check_order(&in_sigma(&table, Rule::Euler), &table, 1.0);
    for rule in SECOND_ORDER {
        check_order(&in_sigma(edm, rule), &edm, 2.0);
        check_order(&in_sigma(vp, rule), &vp, 2.0);
    }
}

#[test]
fn rules_have_their_order_in_time_for_any_noise_and_scaling() {
    let vp = SigmaOfTime::VariancePreserving { beta_d: 19.9, beta_min: 0.1 };
    for sigma in [SigmaOfTime::Linear, SigmaOfTime::SquareRoot, vp] {
        for scaling in [Scaling::None, Scaling::VariancePreserving] {
            let schedule = ScaledSigma::new(sigma, scaling, 0.05, 5.0).unwrap();
            let solver = |rule| EdmSolver::new(InTime(schedule), rule).unwrap();
            check_order(&solver(Rule::Euler), &schedule, 1.0);
            check_order(&solver(Rule::HEUN), &schedule, 2.0);
        }
    }
}

#[test]
fn linear_multistep_is_of_second_order_behind_its_first_step_of_eulers() {
    let edm = Edm::new(0.05, 5.0).unwrap();
    check_order(&LinearMultistep::new(1).unwrap(), &edm, 1.0);
    check_order(&LinearMultistep::new(2).unwrap(), &edm, 2.0);
    // more steps behind make the error smaller, not the order higher
    let errors = [2, 3, 4].map(|order| error(&LinearMultistep::new(order).unwrap(), &edm, 128));
    assert!(errors[2] < errors[1] && errors[1] < 0.2 * errors[0], "{errors:?}");
}

#[test]
fn stochastic_runs_reach_the_moments_of_a_mixture() {
    // n = 5000 samples, seed 1, 200 steps; mean and variance held to 4 standard errors
    let count = 5_000;
    let edm = Edm::new(0.05, 20.0).unwrap();
    let grid = TimeGrid::karras(&edm, 200, 7.0).unwrap();
    let churn = Churn { amount: 40.0, sigma_min: 0.06, sigma_max: 10.0, noise: 1.0 };
    let ancestral = |eta| Stochastic::Ancestral(AncestralNoise { eta, noise: 1.0 });
    for (rule, stochastic) in [
        (Rule::HEUN, Stochastic::Churn(churn)),
        (Rule::Euler, ancestral(1.0)),
        (Rule::GeometricMidpoint, ancestral(0.5)),
    ] {
        let solver = in_sigma(edm, rule).with_noise(stochastic).unwrap();
        let score = ExactScore::new(mixture(), Prediction::Noise);
        let mut noise = Seeded::new(1);
        let z: State = noise.normal_like(&ArrayD::zeros(vec![count, 1])).unwrap();
        let x = sample(&solver, &score, &grid, z * 20.0, &mut noise).unwrap();
        let end = mixture().at(grid.intervals()[199].to.level).coordinate(0);
        let (mean, variance) = (x.mean().unwrap(), x.var(0.0));
        let error = (end.variance() / count as f64).sqrt();
        assert!((mean - end.mean()).abs() < 4.0 * error, "{rule:?} {stochastic:?}: {mean}");
        let spread = (end.central_moment(4) - end.variance().powi(2)) / count as f64;
        assert!((variance - end.variance()).abs() < 4.0 * spread.sqrt(), "{rule:?}: {variance}");
    }
}

#[test]
fn noise_is_drawn_where_churn_acts_and_evaluations_are_as_planned() {
    let edm = Edm::new(0.002, 80.0).unwrap();
    let grid = TimeGrid::karras(&edm, 17, 7.0).unwrap().ending_clean();
    let churn = Churn { amount: 10.0, sigma_min: 0.05, sigma_max: 50.0, noise: 1.003 };
    let active = |step: &tweedie_schedules::Interval| churn.share(step.from.level.sigma, 18) > 0.0;
    let draws = grid.intervals().iter().filter(|step| active(step)).count();
    assert!(draws > 0 && draws < 18);
    let solver = in_sigma(edm, Rule::HEUN).with_noise(Stochastic::Churn(churn)).unwrap();
    let mut noise = Replay::new(vec![vec![0.1, -0.2, 0.3]; draws]);
    let score = ExactScore::new(mixture(), Prediction::Data);
    let start = quantiles(grid.start().level);
    sample(&solver, &score, &grid, start, &mut noise).unwrap();
    assert_eq!(noise.remaining(), 0);
    assert_eq!(Solver::<State>::evaluations(&solver, &grid).unwrap(), 35);
}

/// A grid of two steps from pure noise.
fn from_pure_noise() -> TimeGrid {
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let start = TimePoint { t: 1.0, level: NoiseLevel { alpha: 0.0, sigma: 1.0 } };
    TimeGrid::through(&[start, vp.point(0.7), vp.point(0.5)]).unwrap()
}

/// The states after each step from pure noise, with a network of velocities.
fn states_from_pure_noise(solver: &dyn Solver<State>, noise: &[f64]) -> Vec<State> {
    let (score, start) = (ExactScore::new(mixture(), Prediction::Velocity), arr2(&[[1.2], [-0.4]]));
    let mut noise = Replay::new(vec![noise.to_vec(), vec![0.0; 2]]);
    let mut states = Vec::new();
    let mut keep = |_: usize, state: &State| states.push(state.clone());
    let grid = from_pure_noise();
    sample_observed(solver, &score, &grid, start.into_dyn(), &mut noise, &mut keep).unwrap();
    states
}

fn largest(a: &State, b: &State) -> f64 {
    (a - b).iter().fold(0.0, |most, error| most.max(error.abs()))
}

#[test]
fn the_step_from_pure_noise_is_that_of_ddim() {
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let ddim = states_from_pure_noise(&OneStep(Ddim::DETERMINISTIC), &[0.0; 2]);
    let churn = Stochastic::Churn(Churn { amount: 0.0, ..Churn::everywhere(1.0) });
    let solvers: [&dyn Solver<State>; 4] = [
        &in_sigma(vp, Rule::Euler).with_noise(churn).unwrap(),
        &in_sigma(vp, Rule::HEUN),
        &in_sigma(vp, Rule::GeometricMidpoint),
        &LinearMultistep::new(4).unwrap(),
    ];
    for (index, solver) in solvers.into_iter().enumerate() {
        let states = states_from_pure_noise(solver, &[0.0; 2]);
        assert!(largest(&states[0], &ddim[0]) < 1e-14, "{index}: {states:?}, {ddim:?}");
        // the second step is DDIM's, too, for methods of one evaluation, which know no slope before it
        let first_order = index == 0 || index == 3;
        assert_eq!(largest(&states[1], &ddim[1]) < 1e-13, first_order, "{index}");
    }
    let heun = in_sigma(vp, Rule::HEUN);
    assert_eq!(Solver::<State>::evaluations(&heun, &from_pure_noise()).unwrap(), 3);
}

#[test]
fn pure_noise_is_not_raised_by_churn_and_renewed_as_by_ddim() {
    let vp = VpLinear::new(0.1, 20.0).unwrap();
    let churned = in_sigma(vp, Rule::Euler).with_noise(Stochastic::Churn(Churn::everywhere(1.0)));
    let still = states_from_pure_noise(&in_sigma(vp, Rule::Euler), &[0.5, -0.5]);
    let states = states_from_pure_noise(&churned.unwrap(), &[0.5, -0.5]);
    assert_eq!(states[0], still[0]);
    assert_ne!(states[1], still[1]);
    for eta in [0.4, 1.0] {
        let noise = Stochastic::Ancestral(AncestralNoise { eta, noise: 1.0 });
        let ancestral = in_sigma(vp, Rule::Euler).with_noise(noise).unwrap();
        let ddim = OneStep(Ddim::new(eta).unwrap());
        let states = states_from_pure_noise(&ancestral, &[0.5, -0.5]);
        let expected = states_from_pure_noise(&ddim, &[0.5, -0.5]);
        assert!(largest(&states[0], &expected[0]) < 1e-12, "{eta}: {states:?}, {expected:?}");
    }
}

#[test]
fn what_has_no_limit_and_nonsense_are_refused() {
    let edm = Edm::new(0.002, 80.0).unwrap();
    let grid = from_pure_noise().reversed();
    let error = Solver::<State>::evaluations(&LinearMultistep::new(4).unwrap(), &grid).unwrap_err();
    assert!(error.to_string().contains("it ends in pure noise"), "{error}");
    let from_data = TimeGrid::through(&[edm.point(1.0)]).unwrap().ending_clean().reversed();
    let heun = in_sigma(edm, Rule::HEUN);
    let error = Solver::<State>::evaluations(&heun, &from_data).unwrap_err();
    assert!(error.to_string().contains("it starts at the data itself"), "{error}");
    assert!(EdmSolver::new(InSigma(edm), Rule::Heun { alpha: 0.0 }).is_err());
    let loud = Stochastic::Churn(Churn { noise: f64::NAN, ..Churn::everywhere(1.0) });
    assert!(in_sigma(edm, Rule::Euler).with_noise(loud).is_err());
}
