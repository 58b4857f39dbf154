//! Single-step and adaptive methods against closed forms: declared orders measured, on normal data and
//! on a mixture, and the distribution of stochastic ones.

use ndarray::{ArrayD, IxDyn};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{ErrorOver, Solver, sample};
use tweedie_schedules::{NoiseLevel, NoiseSchedule, Prediction, TimeGrid, VpLinear};
use tweedie_score::{NoiseSource, Replay, ScoreError, ScoreFn, Seeded, Times, Tolerance};
use tweedie_solvers_dpm::{
    Adaptive, Algorithm, FreshNoise, Order, OrderPair, SingleStep, SolverType,
};

type State = ArrayD<f64>;

/// Numbers of steps, with errors in the asymptotic range and above rounding.
const STEPS: [usize; 4] = [80, 160, 320, 640];
/// Shares of the data below the states that are followed.
const SHARES: [f64; 7] = [0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95];

fn schedule() -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.01, 1.0).unwrap()
}

fn normal() -> Mixture {
    Mixture::gaussian(vec![0.3], 0.15).unwrap()
}

fn mixture() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.6, 0.3)]).unwrap()
}

/// The states below which given shares of the data lie: the flow carries them into each other, since
/// its paths cannot cross in one dimension.
fn places(data: &Mixture, level: NoiseLevel) -> State {
    let states = data.at(level).coordinate(0);
    let places = SHARES.map(|share| states.quantile(share)).to_vec();
    State::from_shape_vec(IxDyn(&[SHARES.len(), 1]), places).unwrap()
}

fn distance(a: &State, b: &State) -> f64 {
    (a - b).iter().map(|error| error * error).sum::<f64>().sqrt()
}

fn ends(grid: &TimeGrid) -> [NoiseLevel; 2] {
    [grid.start().level, grid.intervals()[grid.len() - 1].to.level]
}

/// Distance of the ends of runs from where the flow leads.
fn flow_error(solver: &SingleStep<'_>, data: &Mixture, grid: &TimeGrid) -> f64 {
    let [from, to] = ends(grid);
    let score = ExactScore::new(data.clone(), Prediction::Noise);
    let noise = &mut Replay::new([]);
    let end = sample(solver, &score, grid, places(data, from), noise).unwrap();
    distance(&end, &places(data, to))
}

#[track_caller]
fn check_order(name: &str, declared: f64, errors: [f64; 4]) {
    for pair in errors.windows(2) {
        let order = (pair[0] / pair[1]).log2();
        assert!((order - declared).abs() < 0.15, "{name}: order {order}, {errors:?}");
    }
}

/// Every form of the flow's single-step methods.
fn variants(order: Order) -> Vec<SingleStep<'static>> {
    let types = [SolverType::Midpoint, SolverType::Taylor];
    let algorithms = [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP];
    let pairs = types.into_iter().flat_map(|end| types.map(|inner| (end, inner)));
    pairs
        .flat_map(|(end, inner)| {
            algorithms.map(|algorithm| {
                SingleStep::new(algorithm, order).solver_type(end).second_inner(inner)
            })
        })
        .collect()
}

#[test]
fn the_flow_is_followed_at_the_declared_order_in_both_directions() {
    for order in [Order::One, Order::Two, Order::Three] {
        for solver in variants(order) {
            for (data, encodes) in [(normal(), false), (mixture(), false), (mixture(), true)] {
                let errors = STEPS.map(|steps| {
                    let grid = TimeGrid::uniform_lambda(&schedule(), steps * order.get()).unwrap();
                    let grid = if encodes { grid.reversed() } else { grid };
                    flow_error(&solver, &data, &grid)
                });
                let name = format!("{solver:?}, encoding {encodes}");
                check_order(&name, solver.convergence_order() as f64, errors);
            }
        }
    }
}

/// The noise prediction for normal data of mean 0, deviation 0.15: a factor on the state.
struct Linear;

impl Linear {
    fn variance(level: NoiseLevel) -> f64 {
        (0.15 * level.alpha).powi(2) + level.sigma.powi(2)
    }
}

impl ScoreFn<State> for Linear {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let level = at.of(0).level;
        Ok(x * (level.sigma / Self::variance(level)))
    }
}

/// Error of the final standard deviation on normal data, free of chance.
///
/// Everything is linear, so the state is kept as a vector with one axis for the starting noise and
/// one for each draw: its squared length at the end is the variance a random run would have.
fn deviation_error(solver: &SingleStep<'_>, steps: usize) -> f64 {
    let grid = TimeGrid::uniform_lambda(&schedule(), steps).unwrap();
    let draws = Solver::<State>::evaluations(solver, &grid).unwrap();
    let axis = |index: usize| {
        let mut values = vec![0.0; draws + 1];
        values[index] = 1.0;
        values
    };
    let [from, to] = ends(&grid).map(|level| Linear::variance(level).sqrt());
    let start = State::from_shape_vec(IxDyn(&[draws + 1, 1]), axis(0)).unwrap() * from;
    let mut noise = Replay::new((1..=draws).map(axis));
    let end = sample(solver, &Linear, &grid, start, &mut noise).unwrap();
    (end.iter().map(|value| value * value).sum::<f64>().sqrt() - to).abs()
}

/// Every stochastic form of the data prediction.
fn stochastic(schedule: &VpLinear, order: Order) -> Vec<SingleStep<'_>> {
    let with = |base: SingleStep<'static>| {
        let around = |fresh| base.clone().with_fresh_noise(fresh).unwrap();
        [
            around(FreshNoise::EachStage { eta: 0.5 }),
            around(FreshNoise::EachStep { eta: 0.5 }).in_lambda(schedule),
            around(FreshNoise::EachStep { eta: 1.0 }).in_lambda(schedule),
        ]
    };
    [SolverType::Midpoint, SolverType::Taylor]
        .into_iter()
        .flat_map(|kind| {
            let sde = SingleStep::sde_dpmpp(order).solver_type(kind);
            [with(SingleStep::dpmpp(order).solver_type(kind)).to_vec(), vec![sde]].concat()
        })
        .collect()
}

#[test]
fn the_deviation_of_stochastic_runs_converges_at_the_declared_order() {
    let schedule = schedule();
    for order in [Order::One, Order::Two, Order::Three] {
        for solver in stochastic(&schedule, order) {
            let errors = [120, 240, 480, 960].map(|steps| deviation_error(&solver, steps));
            check_order(&format!("{solver:?}"), solver.convergence_order() as f64, errors);
        }
    }
}

/// Mean and variance of 4000 runs on a mixture are within four standard errors of the data's.
#[test]
fn the_moments_of_stochastic_runs_are_those_of_the_data() {
    const COUNT: usize = 4000;
    let schedule = schedule();
    let data = mixture();
    let grid = TimeGrid::uniform_lambda(&schedule, 120).unwrap();
    let [from, to] = ends(&grid);
    let score = ExactScore::new(data.clone(), Prediction::Noise);
    for solver in stochastic(&schedule, Order::Two) {
        let mut noise = Seeded::new(5);
        let normal: State = noise.normal_like(&State::zeros(vec![COUNT, 1])).unwrap();
        let spread = data.at(from).coordinate(0);
        let start = normal.mapv(|z| spread.mean() + spread.variance().sqrt() * z);
        let end = sample(&solver, &score, &grid, start, &mut noise).unwrap();
        let exact = data.at(to).coordinate(0);
        let mean = end.mean().unwrap();
        let variance = end.mapv(|x| (x - exact.mean()).powi(2)).mean().unwrap();
        let standard_errors = [
            (exact.variance() / COUNT as f64).sqrt(),
            ((exact.central_moment(4) - exact.variance().powi(2)) / COUNT as f64).sqrt(),
        ];
        let off = [
            (mean - exact.mean()) / standard_errors[0],
            (variance - exact.variance()) / standard_errors[1],
        ];
        assert!(off.iter().all(|off| off.abs() < 4.0), "{off:?}: {solver:?}");
    }
}

#[test]
fn the_error_of_adaptive_runs_falls_with_the_tolerance_in_both_directions() {
    let schedule = schedule();
    let data = mixture();
    let score = ExactScore::new(data.clone(), Prediction::Noise);
    for (from, to) in [(1.0, 0.01), (0.01, 1.0)] {
        for solver in adaptive(&schedule) {
            let errors = [1e-2, 1e-3, 1e-4, 1e-5].map(|size| {
                let tolerance = Tolerance::Larger { absolute: size, relative: size };
                let solver =
                    solver.clone().between(from, to).tolerance(tolerance, ErrorOver::WorstSample);
                let start = places(&data, schedule.level(from));
                let end = solver.run(&score, start, &mut Replay::new([])).unwrap().state;
                distance(&end, &places(&data, schedule.level(to)))
            });
            let falls = errors.windows(2).all(|pair| pair[1] < pair[0]);
            assert!(falls && errors[3] < 0.1 * errors[0], "{errors:?}: {solver:?}");
        }
    }
}

fn adaptive(schedule: &VpLinear) -> Vec<Adaptive<'_>> {
    let pairs = [OrderPair::OneTwo, OrderPair::TwoThree];
    let types = [SolverType::Midpoint, SolverType::Taylor];
    let kinds = pairs.into_iter().flat_map(|pair| types.map(|kind| (pair, kind)));
    kinds
        .flat_map(|(pair, kind)| {
            [Adaptive::dpm_solver(schedule, pair), Adaptive::dpmpp(schedule, pair)]
                .map(|solver| solver.solver_type(kind))
        })
        .collect()
}
