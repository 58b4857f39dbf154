//! The sampler table of the docs against the code: order, evaluations and noise are measured.

#[path = "oracle/gaussian.rs"]
mod gaussian;

use gaussian::Gaussian;
use ndarray::{ArrayD, IxDyn};
use std::cell::Cell;
use tweedie_samplers::{
    AnalyticDpm, Ancestral, AncestralChain, AncestralNoise, Churn, Ddim, EdmSolver, Encoding,
    EulerMaruyama, InSigma, KeepingNoise, LearnedAncestral, LinearMultistep, NoiseMoments, OneStep,
    ReverseDiffusion, Rule, Solver, Stochastic, Variance, sample,
};
use tweedie_schedules::{Prediction, TimeGrid, VpLinear};
use tweedie_score::{Replay, ScoreError, ScoreFn, Times, Unchanged};
use tweedie_sde::Exact;

type State = ArrayD<f64>;

const TABLE: &str = include_str!("../../../docs/samplers-table.md");
const STEPS: [usize; 4] = [64, 128, 256, 512];
const DATA: Gaussian = Gaussian { mean: 0.0, deviation: 0.5 };

/// Every method of the library, by the name its row has.
fn methods() -> Vec<(&'static str, Box<dyn Solver<State>>)> {
    let ancestral = |variance| Box::new(OneStep(Ancestral { variance }));
    vec![
        ("`Ddim`, `eta = 0`", Box::new(OneStep(Ddim::new(0.0).unwrap()))),
        ("`Ddim`, `eta > 0`", Box::new(OneStep(Ddim::new(0.6).unwrap()))),
        ("`Ancestral`, `FixedSmall`", ancestral(Variance::FixedSmall)),
        ("`Ancestral`, `FixedLarge`", ancestral(Variance::FixedLarge)),
        ("`LearnedAncestral`", Box::new(LearnedAncestral::default())),
        (
            "`KeepingNoise`",
            Box::new(KeepingNoise { predictor: Ddim::DETERMINISTIC, map: Unchanged }),
        ),
        ("`Encoding`", Box::new(Encoding::<Unchanged>::default())),
        ("`AnalyticDpm`, `eta = 0`", analytic(0.0)),
        ("`AnalyticDpm`, `eta > 0`", analytic(1.0)),
        ("`EulerMaruyama`, `eta = 0`", euler_maruyama(0.0)),
        ("`EulerMaruyama`, `eta > 0`", euler_maruyama(1.0)),
        ("`ReverseDiffusion`, `eta = 0`", reverse_diffusion(0.0)),
        ("`ReverseDiffusion`, `eta > 0`", reverse_diffusion(1.0)),
        ("`AncestralChain`, `FixedSmall`", chain(Variance::FixedSmall)),
        ("`AncestralChain`, `FixedLarge`", chain(Variance::FixedLarge)),
        ("`EdmSolver`, `Euler`", edm(Rule::Euler, Stochastic::Never)),
        ("`EdmSolver`, `Heun`", edm(Rule::HEUN, Stochastic::Never)),
        ("`EdmSolver`, `GeometricMidpoint`", edm(Rule::GeometricMidpoint, Stochastic::Never)),
        (
            "`EdmSolver`, `Heun`, `Churn`",
            edm(Rule::HEUN, Stochastic::Churn(Churn::everywhere(1.0))),
        ),
        (
            "`EdmSolver`, `Euler`, `AncestralNoise`",
            edm(Rule::Euler, Stochastic::Ancestral(AncestralNoise { eta: 1.0, noise: 1.0 })),
        ),
        ("`LinearMultistep`", Box::new(LinearMultistep::new(2).unwrap())),
    ]
}

fn edm(rule: Rule, stochastic: Stochastic) -> Box<dyn Solver<State>> {
    Box::new(EdmSolver::new(InSigma(schedule()), rule).unwrap().with_noise(stochastic).unwrap())
}

fn euler_maruyama(eta: f64) -> Box<dyn Solver<State>> {
    Box::new(OneStep(EulerMaruyama::new(schedule(), eta).unwrap()))
}

fn reverse_diffusion(eta: f64) -> Box<dyn Solver<State>> {
    Box::new(OneStep(ReverseDiffusion::new(Exact, eta).unwrap()))
}

fn chain(variance: Variance) -> Box<dyn Solver<State>> {
    Box::new(OneStep(AncestralChain { chain: Exact, variance }))
}

/// Analytic-DPM with the exact moments at every level that a run visits.
fn analytic(eta: f64) -> Box<dyn Solver<State>> {
    let finest = grid(STEPS[STEPS.len() - 1]);
    let levels: Vec<_> = finest.intervals().iter().rev().map(|step| step.from.level).collect();
    // E |eps_hat|^2 of normal data
    let moments: Vec<_> =
        levels.iter().map(|level| (level.sigma / DATA.spread(*level)).powi(2)).collect();
    let moments = NoiseMoments::new(&levels, &moments).unwrap();
    Box::new(OneStep(AnalyticDpm::new(eta, moments).unwrap()))
}

/// What a row declares.
#[derive(Debug)]
struct Row {
    method: String,
    order: f64,
    evaluations: usize,
    stochastic: bool,
}

/// The rows of the first table of the page.
fn rows() -> Vec<Row> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| method |")).skip(2);
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "cells of {line}");
        assert!(!cells[1].is_empty() && !cells[5].is_empty(), "empty cell in {line}");
        Row {
            method: cells[0].to_owned(),
            order: match cells[2] {
                "exact" => f64::INFINITY,
                order => order.parse().expect("an order or 'exact'"),
            },
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

/// The exact score of normal data, counting how often it is asked.
struct Counted {
    data: Gaussian,
    calls: Cell<usize>,
}

impl ScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.data.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.data.predict(x, at)
    }

    /// A learned variance half way between its bounds.
    fn predict_with_variance(
        &self,
        x: &State,
        at: Times<'_>,
    ) -> Result<(State, Option<State>), ScoreError> {
        Ok((self.predict(x, at)?, Some(x * 0.0)))
    }
}

/// What one run shows.
struct Measured {
    error: f64,
    calls: usize,
    draws: usize,
}

fn schedule() -> VpLinear {
    VpLinear::new(0.1, 20.0).unwrap()
}

fn grid(steps: usize) -> TimeGrid {
    TimeGrid::uniform_lambda(&schedule(), steps).unwrap()
}

/// The grid that a method walks: encoding goes from data to noise.
fn grid_of(method: &str, steps: usize) -> TimeGrid {
    let grid = grid(steps);
    if method.starts_with("`Encoding`") { grid.reversed() } else { grid }
}

/// The error of the final standard deviation, free of chance.
///
/// Everything is linear, so the state is kept as a vector with one axis for the starting noise and
/// one for each draw: the squared length of the result is the variance a random run would have.
fn run(solver: &dyn Solver<State>, grid: &TimeGrid) -> Measured {
    let (data, steps) = (DATA, grid.len());
    let axis = |index: usize| {
        let mut values = vec![0.0; steps + 1];
        values[index] = 1.0;
        values
    };
    let score = Counted { data, calls: Cell::new(0) };
    let start = State::from_shape_vec(IxDyn(&[1, steps + 1]), axis(0)).unwrap()
        * data.spread(grid.start().level);
    let mut noise = Replay::new((1..=steps).map(axis));
    let end = sample(solver, &score, grid, start, &mut noise).unwrap();
    let deviation = end.iter().map(|value| value * value).sum::<f64>().sqrt();
    let exact = data.spread(grid.intervals()[steps - 1].to.level);
    Measured {
        error: (deviation - exact).abs(),
        calls: score.calls.get(),
        draws: steps - noise.remaining(),
    }
}

#[test]
fn every_method_has_a_row_and_every_row_a_method() {
    let mut documented: Vec<_> = rows().into_iter().map(|row| row.method).collect();
    let mut known: Vec<_> = methods().into_iter().map(|(name, _)| name.to_owned()).collect();
    documented.sort();
    known.sort();
    assert_eq!(documented, known);
}

#[test]
fn every_predictor_in_the_sources_has_a_row() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/predictor");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("impl")) {
            let Some((generics, name)) = line.split_once(" Predictor for ") else { continue };
            if generics.contains("Predictor") {
                continue; // a change made to any predictor
            }
            let name = name.split([' ', '<']).next().unwrap();
            let start = format!("`{name}`");
            assert!(rows().iter().any(|row| row.method.starts_with(&start)), "{name} has no row");
            found += 1;
        }
    }
    assert!(found > 0, "no predictor in {folder}");
}

#[test]
fn every_solver_and_corrector_in_the_sources_is_named_on_the_page() {
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut found = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for line in text.lines().filter(|line| line.starts_with("impl")) {
                let what = ["> Solver<S> for ", "> Corrector<S> for "];
                let Some((_, name)) = what.iter().find_map(|what| line.split_once(what)) else {
                    continue;
                };
                let name = name.split([' ', '<']).next().unwrap();
                let is_pointer = name.starts_with('&') || name == "Box";
                let is_named = TABLE.contains(&format!("`{name}"));
                assert!(is_pointer || is_named || name == "OneStep", "{name} is not on the page");
                found += 1;
            }
        }
    }
    assert!(found > 10, "{found} solvers and correctors found");
}

#[test]
fn order_evaluations_and_noise_are_as_declared() {
    for (name, solver) in methods() {
        let row = rows().into_iter().find(|row| row.method == name).expect(name);
        let runs = STEPS.map(|steps| run(solver.as_ref(), &grid_of(name, steps)));
        for pair in runs.windows(2) {
            let order = (pair[0].error / pair[1].error).log2();
            let as_declared = if row.order.is_finite() {
                (order - row.order).abs() < 0.15
            } else {
                pair.iter().all(|run| run.error < 1e-12)
            };
            assert!(as_declared, "{name}: measured order {order}, error {}", pair[1].error);
        }
        for (steps, run) in STEPS.into_iter().zip(&runs) {
            let planned = solver.evaluations(&grid_of(name, steps)).unwrap();
            assert_eq!(planned, row.evaluations * steps, "{name}: evaluations as planned");
            assert_eq!(run.calls, planned, "{name}: evaluations made");
            assert_eq!(run.draws, if row.stochastic { steps } else { 0 }, "{name}: draws of noise");
        }
    }
}
