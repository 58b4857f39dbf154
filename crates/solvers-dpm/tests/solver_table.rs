//! The table of fast solvers in the docs against the code: order, evaluations and noise are measured.

use ndarray::{ArrayD, IxDyn};
use tweedie_samplers::{Solver, sample};
use tweedie_schedules::{NoiseLevel, NoiseSchedule, Prediction, TimeGrid, VpLinear};
use tweedie_score::{Replay, ScoreError, ScoreFn, Times};
use tweedie_solvers_dpm::{
    FinalOrders, FreshNoise, Multistep, Order, Pndm, SingleStep, ThirdOrder, UniPc,
};

type State = ArrayD<f64>;

const TABLE: &str = include_str!("../../../docs/samplers-table.md");
const STEPS: [usize; 4] = [400, 800, 1600, 3200];

fn schedule() -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.01, 1.0).unwrap()
}

/// Every row's solver, by the name its row has.
fn solvers(schedule: &dyn NoiseSchedule) -> Vec<(&'static str, Box<dyn Solver<State> + '_>)> {
    let multistep = |solver: Multistep| Box::new(solver.final_orders(FinalOrders::Full));
    let unipc = |order| Box::new(UniPc::new(order).unwrap().final_orders(FinalOrders::Full));
    let single =
        |of: fn(Order) -> SingleStep<'static>, order| Box::new(of(order).in_lambda(schedule));
    let third = Multistep::dpmpp(Order::Three);
    vec![
        ("`Multistep::dpmpp(Two)`", multistep(Multistep::dpmpp(Order::Two))),
        ("`Multistep::dpmpp(Three)`", multistep(third)),
        (
            "`Multistep::dpmpp(Three)`, `Corrected`",
            multistep(third.third_order(ThirdOrder::Corrected)),
        ),
        ("`Multistep::dpm_solver(Two)`", multistep(Multistep::dpm_solver(Order::Two))),
        ("`Multistep::dpm_solver(Three)`", multistep(Multistep::dpm_solver(Order::Three))),
        ("`Multistep::deis(Two)`", multistep(Multistep::deis(Order::Two))),
        ("`Multistep::deis(Three)`", multistep(Multistep::deis(Order::Three))),
        ("`Multistep::sde_dpmpp(Two)`", multistep(Multistep::sde_dpmpp(Order::Two))),
        ("`Multistep::sde_dpm_solver(Two)`", multistep(Multistep::sde_dpm_solver(Order::Two))),
        ("`UniPc::new(2)`", unipc(2)),
        ("`UniPc::new(3)`", unipc(3)),
        ("`Pndm::new()`", Box::new(Pndm::new())),
        ("`SingleStep::dpm_solver(Two)`, `in_lambda`", single(SingleStep::dpm_solver, Order::Two)),
        (
            "`SingleStep::dpm_solver(Three)`, `in_lambda`",
            single(SingleStep::dpm_solver, Order::Three),
        ),
        ("`SingleStep::dpmpp(Two)`, `in_lambda`", single(SingleStep::dpmpp, Order::Two)),
        ("`SingleStep::dpmpp(Three)`, `in_lambda`", single(SingleStep::dpmpp, Order::Three)),
        ("`SingleStep::sde_dpmpp(Two)`, `in_lambda`", single(SingleStep::sde_dpmpp, Order::Two)),
        (
            "`SingleStep::dpmpp(Two)`, `in_lambda`, `EachStep`",
            Box::new(
                SingleStep::dpmpp(Order::Two)
                    .in_lambda(schedule)
                    .with_fresh_noise(FreshNoise::EachStep { eta: 1.0 })
                    .unwrap(),
            ),
        ),
    ]
}

/// What a row declares.
struct Row {
    solver: String,
    order: f64,
    evaluations: usize,
    stochastic: bool,
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| solver |")).skip(2);
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "cells of {line}");
        Row {
            solver: cells[0].to_owned(),
            order: cells[2].parse().expect("an order"),
            evaluations: cells[3].parse().expect("a number of evaluations"),
            stochastic: match cells[4] {
                "yes" => true,
                "no" => false,
                other => panic!("stochastic is '{other}', expected 'yes' or 'no'"),
            },
        }
    };
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// The exact noise prediction for normal data around 0.
struct NormalData;

impl NormalData {
    fn spread(level: NoiseLevel) -> f64 {
        (0.15 * level.alpha).hypot(level.sigma)
    }
}

impl ScoreFn<State> for NormalData {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        let level = at.of(0).level;
        Ok(x * (level.sigma / Self::spread(level).powi(2)))
    }
}

/// The error of the final standard deviation, free of chance, and the draws of noise.
///
/// Everything is linear, so the state is kept as a vector with one axis for the starting noise and
/// one for each draw: the squared length of the result is the variance a random run would have.
fn run(solver: &dyn Solver<State>, draws: usize, steps: usize) -> (f64, usize) {
    let axis = |index: usize| {
        let mut values = vec![0.0; draws + 1];
        values[index] = 1.0;
        values
    };
    let grid = TimeGrid::uniform_lambda(&schedule(), steps).unwrap();
    let end = grid.intervals()[steps - 1].to.level;
    let start = State::from_shape_vec(IxDyn(&[1, draws + 1]), axis(0)).unwrap();
    let start = start * NormalData::spread(grid.start().level);
    let mut noise = Replay::new((1..=draws).map(axis));
    let x = sample(solver, &NormalData, &grid, start, &mut noise).unwrap();
    let deviation = x.iter().map(|value| value * value).sum::<f64>().sqrt();
    ((deviation - NormalData::spread(end)).abs(), draws - noise.remaining())
}

#[test]
fn every_solver_has_a_row_and_every_row_a_solver() {
    let schedule = schedule();
    let mut documented: Vec<_> = rows().into_iter().map(|row| row.solver).collect();
    let mut known: Vec<_> =
        solvers(&schedule).into_iter().map(|(name, _)| name.to_owned()).collect();
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}

#[test]
fn order_evaluations_and_noise_are_as_declared() {
    let schedule = schedule();
    for (name, solver) in solvers(&schedule) {
        let row = rows().into_iter().find(|row| row.solver == name).expect(name);
        // the SDE has noise at each evaluation, the others at the end of the step
        let of_step = if name.starts_with("`SingleStep::sde") { row.evaluations } else { 1 };
        let runs = STEPS.map(|steps| {
            // nothing is below the end of the grid, to come back from with noise
            let last = usize::from(name.ends_with("`EachStep`"));
            let draws = if row.stochastic { of_step * steps - last } else { 0 };
            let (error, drawn) = run(solver.as_ref(), draws, steps);
            assert_eq!(drawn, draws, "{name}: draws of noise");
            error
        });
        for pair in runs.windows(2) {
            let order = (pair[0] / pair[1]).log2();
            assert!((order - row.order).abs() < 0.15, "{name}: measured order {order}, {runs:?}");
        }
        let evaluations = |steps| {
            let grid = TimeGrid::uniform_lambda(&schedule, steps).unwrap();
            solver.evaluations(&grid).unwrap()
        };
        // a start of its own may cost more
        assert_eq!(evaluations(50) - evaluations(40), 10 * row.evaluations, "{name}");
    }
}
