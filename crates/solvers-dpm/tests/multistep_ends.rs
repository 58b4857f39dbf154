//! Multistep methods where a step is infinite or of no length, and what they refuse.

use ndarray::{ArrayD, arr2};
use std::cell::{Cell, RefCell};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{Ddim, OneStep, SampleError, Solver, sample};
use tweedie_schedules::{
    DiscreteTable, Interval, NoiseLevel, NoiseSchedule, Prediction, Spacing, TimeGrid, TimePoint,
};
use tweedie_score::{Replay, ScoreError, ScoreFn, Seeded, Times};
use tweedie_solvers_dpm::{
    Algorithm, BFunction, CorrectState, FinalOrders, HalfWay, Multistep, Order, Pndm, SingleStep,
    SolverType, ThirdOrder, UniPc,
};

type State = ArrayD<f64>;

fn data() -> Mixture {
    let part = |weight, mean: [f64; 2], deviation| Part { weight, mean: mean.to_vec(), deviation };
    Mixture::new(vec![part(0.4, [-0.8, 0.3], 0.2), part(0.6, [0.6, -0.1], 0.3)]).unwrap()
}

fn start() -> State {
    arr2(&[[0.4, -1.1], [1.3, 0.2], [-0.7, 0.6]]).into_dyn()
}

/// Every method of the family that takes any grid from noise to data.
fn methods() -> Vec<(String, Box<dyn Solver<State>>)> {
    let mut methods: Vec<(String, Box<dyn Solver<State>>)> = Vec::new();
    for algorithm in [
        Algorithm::DPM_SOLVER,
        Algorithm::DPM_SOLVER_PP,
        Algorithm::SDE_DPM_SOLVER,
        Algorithm::SDE_DPM_SOLVER_PP,
    ] {
        for order in [Order::One, Order::Two, Order::Three] {
            for solver_type in [SolverType::Midpoint, SolverType::Taylor] {
                for third in [ThirdOrder::Published, ThirdOrder::Corrected] {
                    let solver = Multistep::new(algorithm, order)
                        .solver_type(solver_type)
                        .third_order(third)
                        .final_orders(FinalOrders::Full);
                    methods.push((format!("{solver:?}"), Box::new(solver)));
                }
            }
        }
    }
    for order in 1..=6 {
        for b_function in [BFunction::Bh1, BFunction::Bh2] {
            let data = UniPc::new(order).unwrap().b_function(b_function);
            for solver in [data.clone(), data.predicting_noise()] {
                let solver = solver.final_orders(FinalOrders::Full);
                methods.push((format!("{solver:?}"), Box::new(solver)));
            }
        }
    }
    methods
}

/// A table that begins in pure noise, or as near to it as `alpha_bar` says.
fn table(last: f64) -> DiscreteTable {
    let mut bars = DiscreteTable::cosine(100).unwrap().alpha_bars();
    bars[99] = last;
    DiscreteTable::from_alpha_bars(&bars).unwrap()
}

fn run(
    solver: &dyn Solver<State>,
    grid: &TimeGrid,
    prediction: Prediction,
) -> Result<State, SampleError> {
    let score = ExactScore::new(data(), prediction);
    sample(solver, &score, grid, start(), &mut Seeded::new(3))
}

fn distance(a: &State, b: &State) -> f64 {
    (a - b).iter().fold(0.0, |most, value| value.abs().max(most))
}

#[test]
fn runs_from_pure_noise_to_the_data_are_the_limit_of_runs_from_nearly_pure_noise() {
    let grid =
        |last| TimeGrid::discrete(&table(last), 12, Spacing::Trailing).unwrap().ending_clean();
    for (name, solver) in methods() {
        let limit = run(solver.as_ref(), &grid(0.0), Prediction::Velocity).unwrap();
        let near = run(solver.as_ref(), &grid(1e-16), Prediction::Velocity).unwrap();
        assert!(limit.iter().all(|value| value.is_finite()), "{name}: {limit}");
        // the noise form of the SDE and UniPC's corrector have no such limit: they blow up on the way
        if !name.starts_with("Multistep") || name.contains("form: Noise, eta: 1.0") {
            continue;
        }
        // the near run still takes its first prediction, 16 away in lambda, for a neighbour
        let off = distance(&limit, &near);
        assert!(off < 1e-3, "{name}: {off}");
    }
}

#[test]
fn a_single_step_from_pure_noise_to_the_data_returns_the_mean() {
    let points = [NoiseLevel { alpha: 0.0, sigma: 1.0 }, NoiseLevel::CLEAN];
    let grid =
        TimeGrid::through(&[1.0, 0.0].map(|t| TimePoint { t, level: points[(1.0 - t) as usize] }));
    let grid = grid.unwrap();
    for (name, solver) in methods() {
        let end = run(solver.as_ref(), &grid, Prediction::Data).unwrap();
        let mean = arr2(&[[0.04, 0.06]; 3]).into_dyn();
        assert!(distance(&end, &mean) < 1e-12, "{name}: {end}");
    }
}

#[test]
fn pndm_leaves_pure_noise_by_the_step_of_ddim() {
    let grid = TimeGrid::discrete(&table(0.0), 12, Spacing::Trailing).unwrap();
    let first = TimeGrid::from_intervals(vec![grid.intervals()[0]]).unwrap();
    for prediction in [Prediction::Data, Prediction::Velocity] {
        let ddim = run(&OneStep(Ddim::DETERMINISTIC), &first, prediction).unwrap();
        let pndm = run(&Pndm::new(), &first, prediction).unwrap();
        assert!(distance(&ddim, &pndm) < 1e-14, "{prediction:?}: {pndm}");
        assert!(run(&Pndm::new(), &grid, prediction).unwrap().iter().all(|x| x.is_finite()));
    }
    assert_eq!(Solver::<State>::evaluations(&Pndm::new(), &grid).unwrap(), grid.len());
    assert!(run(&Pndm::new(), &grid, Prediction::Noise).is_err());
}

#[test]
fn a_network_of_noise_is_refused_at_pure_noise_without_being_asked() {
    let grid = TimeGrid::discrete(&table(0.0), 12, Spacing::Trailing).unwrap();
    let mut methods = methods();
    methods.push(("PNDM".into(), Box::new(Pndm::new())));
    for order in [Order::One, Order::Two, Order::Three] {
        methods.push((format!("single step {order:?}"), Box::new(SingleStep::dpmpp(order))));
    }
    for (name, solver) in methods {
        let score = ExactScore::new(data(), Prediction::Noise);
        let score = Counted { score, calls: Cell::new(0) };
        let error = sample(solver.as_ref(), &score, &grid, start(), &mut Seeded::new(3));
        let error = error.unwrap_err();
        let SampleError::Score { step: 0, t: 1.0, source } = &error else {
            panic!("{name}: {error}")
        };
        assert!(matches!(source, ScoreError::Undetermined { alpha: 0.0, .. }), "{name}: {source}");
        assert_eq!(score.calls.get(), 0, "{name}");
    }
}

#[test]
fn a_step_of_no_length_leaves_the_state_where_it_is() {
    let table = DiscreteTable::linear(100, 1e-3, 0.2).unwrap();
    let plain = TimeGrid::discrete(&table, 12, Spacing::Linspace).unwrap();
    let mut intervals = plain.intervals().to_vec();
    let last = intervals[intervals.len() - 1].to;
    intervals.push(Interval { from: last, to: last });
    let longer = TimeGrid::from_intervals(intervals).unwrap();
    for (name, solver) in methods().into_iter().filter(|(name, _)| name.contains("Multistep")) {
        let (a, b) = (
            run(solver.as_ref(), &plain, Prediction::Noise).unwrap(),
            run(solver.as_ref(), &longer, Prediction::Noise).unwrap(),
        );
        assert!(distance(&a, &b) < 1e-13, "{name}: {a} {b}");
    }
}

#[test]
fn encoding_and_decoding_returns_the_data() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_lambda(&table, 400).unwrap();
    let score = ExactScore::new(data(), Prediction::Noise);
    for solver in [Multistep::dpm_solver(Order::Two), Multistep::dpmpp(Order::Three)] {
        let mut none = Replay::new([]);
        let latent = sample(&solver, &score, &grid.clone().reversed(), start(), &mut none).unwrap();
        let back = sample(&solver, &score, &grid, latent, &mut none).unwrap();
        assert!(distance(&back, &start()) < 1e-2, "{solver:?}: {back}");
    }
}

#[test]
fn every_kind_of_network_gives_the_same_run() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_lambda(&table, 8).unwrap();
    for (name, solver) in methods() {
        let expected = run(solver.as_ref(), &grid, Prediction::Noise).unwrap();
        for kind in [Prediction::Data, Prediction::Velocity, Prediction::Score] {
            let end = run(solver.as_ref(), &grid, kind).unwrap();
            assert!(distance(&end, &expected) < 1e-9, "{name} {kind:?}: {end} {expected}");
        }
    }
}

#[test]
fn a_stochastic_method_does_not_encode() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_lambda(&table, 10).unwrap().reversed();
    let error = Multistep::sde_dpmpp(Order::Two).steps(&grid).unwrap_err();
    assert!(error.to_string().contains("encode with the flow"), "{error}");
}

#[test]
fn noise_is_drawn_once_a_step_but_for_the_step_to_the_data() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_lambda(&table, 7).unwrap().ending_clean();
    let score = ExactScore::new(data(), Prediction::Noise);
    for solver in [Multistep::sde_dpmpp(Order::Two), Multistep::sde_dpm_solver(Order::Two)] {
        let mut noise = Replay::new(vec![vec![0.1; 6]; 8]);
        sample(&solver, &score, &grid, start(), &mut noise).unwrap();
        assert_eq!(noise.remaining(), 1, "{solver:?}");
    }
}

#[test]
fn orders_rise_at_the_start_and_fall_at_the_end() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let orders = |steps, at_end, clean| {
        let grid = TimeGrid::uniform_lambda(&table, steps).unwrap();
        let grid = if clean { grid.ending_clean() } else { grid };
        let solver = Multistep::dpmpp(Order::Three).final_orders(at_end);
        let steps = solver.steps(&grid).unwrap();
        steps.iter().map(|step| step.outputs.len()).collect::<Vec<_>>()
    };
    assert_eq!(orders(6, FinalOrders::Full, false), [1, 2, 3, 3, 3, 3]);
    assert_eq!(orders(6, FinalOrders::LastStep, false), [1, 2, 3, 3, 3, 1]);
    assert_eq!(orders(6, FinalOrders::Falling, false), [1, 2, 3, 3, 2, 1]);
    assert_eq!(orders(3, FinalOrders::Falling, false), [1, 2, 1]);
    assert_eq!(orders(6, FinalOrders::FallingBelow(6), false), [1, 2, 3, 3, 3, 3]);
    assert_eq!(orders(6, FinalOrders::FallingBelow(7), false), [1, 2, 3, 3, 2, 1]);
    assert_eq!(orders(5, FinalOrders::Full, true), [1, 2, 3, 3, 3, 1]);
}

/// Counts calls.
struct Counted {
    score: ExactScore,
    calls: Cell<usize>,
}

impl ScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.score.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.score.predict(x, at)
    }
}

#[test]
fn evaluations_are_as_planned() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_time(&table, 12).unwrap();
    let middle = |interval: Interval| {
        let point = table.point(0.5 * (interval.from.t + interval.to.t));
        HalfWay { landed: point, called: point }
    };
    let mut planned =
        methods().into_iter().map(|(name, solver)| (name, solver, 12)).collect::<Vec<_>>();
    planned.push(("Heun start".into(), Box::new(Pndm::new()), 13));
    let runge_kutta = Pndm::with_runge_kutta(middle);
    let check = |name: &str, solver: &dyn Solver<State>, expected: usize| {
        let score = ExactScore::new(data(), Prediction::Noise);
        let score = Counted { score, calls: Cell::new(0) };
        sample(solver, &score, &grid, start(), &mut Seeded::new(0)).unwrap();
        assert_eq!(solver.evaluations(&grid).unwrap(), expected, "{name}");
        assert_eq!(score.calls.get(), expected, "{name}");
    };
    for (name, solver, expected) in &planned {
        check(name, solver.as_ref(), *expected);
    }
    check("Runge-Kutta start", &runge_kutta, 21);
}

#[test]
fn the_state_is_corrected_after_each_step_at_where_it_stands() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
    let grid = TimeGrid::uniform_time(&table, 3).unwrap();
    let seen = RefCell::new(Vec::new());
    let correct = |x: State, point: TimePoint, step: usize| {
        seen.borrow_mut().push((step, point.t));
        x.mapv(|value| value.clamp(-0.5, 0.5))
    };
    let solver = CorrectState { solver: Multistep::dpmpp(Order::Two), correct };
    let end = run(&solver, &grid, Prediction::Noise).unwrap();
    assert!(end.iter().all(|value| value.abs() <= 0.5));
    let landed = grid.intervals().iter().map(|interval| interval.to.t);
    assert_eq!(*seen.borrow(), landed.enumerate().collect::<Vec<_>>());
}
