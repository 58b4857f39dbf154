//! Single-step and adaptive methods on every schedule, grid and kind of network: what runs is finite and
//! in data form ends among the data; what cannot run is refused.

use ndarray::{ArrayD, arr2};
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::{SampleError, Solver, sample};
use tweedie_schedules::{
    DiscreteTable, Edm, Interval, NoiseSchedule, Prediction, Spacing, SubVpLinear, TimeGrid,
    VeGeometric, VpCosine, VpLinear,
};
use tweedie_score::{Replay, ScoreError, Seeded};
use tweedie_solvers_dpm::{
    Adaptive, Algorithm, FreshNoise, Order, OrderPair, SingleStep, SolverType, exact_evaluations,
};

type State = ArrayD<f64>;

const PREDICTIONS: [Prediction; 5] = [
    Prediction::Noise,
    Prediction::Data,
    Prediction::Velocity,
    Prediction::Score,
    Prediction::EdmF { sigma_data: 0.5 },
];

fn data() -> Mixture {
    let part = |weight, mean: [f64; 2], deviation| Part { weight, mean: mean.to_vec(), deviation };
    Mixture::new(vec![part(0.4, [-0.8, 0.3], 0.2), part(0.6, [0.6, -0.1], 0.3)]).unwrap()
}

fn noise() -> State {
    arr2(&[[0.4, -1.1], [1.3, 0.2], [-0.7, 0.6]]).into_dyn()
}

/// Every schedule, by name.
fn schedules() -> Vec<(&'static str, Box<dyn NoiseSchedule>)> {
    vec![
        ("vp linear", Box::new(VpLinear::new(0.1, 20.0).unwrap())),
        ("vp cosine", Box::new(VpCosine::default())),
        ("sub-vp", Box::new(SubVpLinear::new(0.1, 20.0).unwrap())),
        ("ve", Box::new(VeGeometric::new(0.01, 50.0).unwrap())),
        ("edm", Box::new(Edm::new(0.002, 80.0).unwrap())),
        ("linear table", Box::new(DiscreteTable::linear(1000, 1e-4, 0.02).unwrap())),
        ("cosine table", Box::new(DiscreteTable::cosine(1000).unwrap())),
        ("sigmoid table", Box::new(DiscreteTable::sigmoid(1000, 1e-4, 0.02).unwrap())),
    ]
}

/// Every single-step method, its inner evaluations on the grid or placed by `schedule`.
fn methods(schedule: &dyn NoiseSchedule) -> Vec<SingleStep<'_>> {
    let mut methods = Vec::new();
    for order in [Order::One, Order::Two, Order::Three] {
        for solver_type in [SolverType::Midpoint, SolverType::Taylor] {
            for algorithm in [
                Algorithm::DPM_SOLVER,
                Algorithm::DPM_SOLVER_PP,
                Algorithm::SDE_DPM_SOLVER,
                Algorithm::SDE_DPM_SOLVER_PP,
            ] {
                let solver = SingleStep::new(algorithm, order).solver_type(solver_type);
                methods.extend([solver.clone(), solver.in_lambda(schedule)]);
            }
            for algorithm in [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP] {
                for fresh in [FreshNoise::EachStep { eta: 0.7 }, FreshNoise::EachStage { eta: 0.7 }]
                {
                    let solver = SingleStep::new(algorithm, order)
                        .solver_type(solver_type)
                        .with_fresh_noise(fresh)
                        .unwrap();
                    methods.extend([solver.clone(), solver.in_lambda(schedule)]);
                }
            }
        }
    }
    methods
}

fn run(
    solver: &SingleStep<'_>,
    grid: &TimeGrid,
    prediction: Prediction,
) -> Result<State, SampleError> {
    let score = ExactScore::new(data(), prediction);
    let start = noise() * grid.start().level.sigma;
    sample(solver, &score, grid, start, &mut Seeded::new(3))
}

#[track_caller]
fn check_among_data(end: &State, name: &str) {
    assert!(end.iter().all(|value| value.abs() < 3.0), "{name}: {end}");
}

#[test]
fn every_method_runs_on_every_schedule_with_every_kind_of_network() {
    for (name, schedule) in schedules() {
        let schedule = schedule.as_ref();
        let grids = [
            TimeGrid::uniform_lambda(schedule, 30).unwrap(),
            TimeGrid::uniform_lambda(schedule, 29).unwrap().ending_clean(),
        ];
        for solver in methods(schedule) {
            for grid in &grids {
                for prediction in PREDICTIONS {
                    let end = run(&solver, grid, prediction).unwrap();
                    let shown = format!("{name}, {prediction:?}, {solver:?}");
                    assert!(end.iter().all(|value| value.is_finite()), "{shown}: {end}");
                    // in noise form large steps through pure noise throw some states off
                    if shown.contains("form: Data") {
                        check_among_data(&end, &shown);
                    }
                }
            }
        }
    }
}

#[test]
fn adaptive_methods_run_on_every_schedule_with_every_kind_of_network() {
    for (name, schedule) in schedules() {
        for pair in [OrderPair::OneTwo, OrderPair::TwoThree] {
            for prediction in PREDICTIONS {
                let score = ExactScore::new(data(), prediction);
                for eta in [0.0, 0.7] {
                    for solver in [
                        Adaptive::dpm_solver(schedule.as_ref(), pair),
                        Adaptive::dpmpp(schedule.as_ref(), pair),
                    ] {
                        let solver = solver.with_eta(eta).unwrap();
                        let start = noise() * schedule.level(schedule.time_range().1).sigma;
                        let run = solver.run(&score, start, &mut Seeded::new(3)).unwrap();
                        check_among_data(
                            &run.state,
                            &format!("{name}, {prediction:?}, {solver:?}"),
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn pure_noise_is_left_by_networks_that_know_the_data_there_and_refused_to_others() {
    let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap().rescaled_to_zero_snr().unwrap();
    let grid = TimeGrid::discrete(&table, 20, Spacing::Trailing).unwrap().ending_clean();
    assert_eq!(grid.start().level.alpha, 0.0);
    for solver in methods(&table) {
        for prediction in [Prediction::Data, Prediction::Velocity] {
            let end = run(&solver, &grid, prediction).unwrap();
            check_among_data(&end, &format!("{prediction:?}, {solver:?}"));
        }
        let error = run(&solver, &grid, Prediction::Noise).unwrap_err();
        let SampleError::Score { step: 0, t: 1.0, source } = error else { panic!("{error}") };
        assert!(matches!(source, ScoreError::Undetermined { alpha: 0.0, .. }), "{source}");
    }
}

#[test]
fn a_step_whose_last_part_has_no_length_is_one_order_less() {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let plain = TimeGrid::uniform_lambda(&schedule, 11).unwrap();
    let mut intervals = plain.intervals().to_vec();
    let last = intervals[10].to;
    intervals.push(Interval { from: last, to: last });
    let longer = TimeGrid::from_intervals(intervals).unwrap();
    for (order, orders) in
        [(Order::Two, exact_evaluations(Order::Two, 12)), (Order::Three, vec![Order::Three; 4])]
    {
        let solver = SingleStep::dpmpp(order).with_orders(orders);
        check_among_data(&run(&solver, &longer, Prediction::Noise).unwrap(), "longer");
        let stages = solver.stages(&longer).unwrap();
        assert_eq!(stages[11][0].at, last);
    }
}

#[test]
fn decoding_returns_what_was_encoded() {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let score = ExactScore::new(data(), Prediction::Noise);
    let grid = TimeGrid::uniform_lambda(&schedule, 300).unwrap();
    for order in [Order::Two, Order::Three] {
        for solver in [SingleStep::dpm_solver(order), SingleStep::dpmpp(order)] {
            let mut none = Replay::new([]);
            let latent = sample(&solver, &score, &grid.clone().reversed(), noise(), &mut none);
            let back = sample(&solver, &score, &grid, latent.unwrap(), &mut none).unwrap();
            let off = (back - noise()).iter().fold(0.0, |most: f64, value| value.abs().max(most));
            assert!(off < 1e-2, "{solver:?}: {off}");
            assert_eq!(Solver::<State>::evaluations(&solver, &grid).unwrap(), 300);
        }
    }
}
