//! Every method with every schedule on every kind of grid and every kind of network: each run is finite
//! and takes the evaluations that were planned; what does not apply is refused, with a reason.

mod adaptive;
mod data;
mod kinds;
mod methods;

use std::collections::BTreeMap;
use std::error::Error;

use ndarray::ArrayD;
use tweedie_samplers::{SampleError, Solver, sample};
use tweedie_schedules::{Prediction, TimeGrid};
use tweedie_score::Seeded;

use data::{Counted, start};
use kinds::{grids, kinds};
use methods::{Method, methods};

type State = ArrayD<f64>;

const PREDICTIONS: [Prediction; 4] =
    [Prediction::Noise, Prediction::Data, Prediction::Velocity, Prediction::Score];

/// What does not apply: the methods, by a part of their names, and a part of the reason the library gives.
const INAPPLICABLE: [(&str, &str); 5] = [
    ("denoised", "it ends at the data itself, which leaves nothing to denoise"),
    ("analytic, unknown range", "(alpha = 0), which leaves the data open"),
    // the drift is infinite in pure noise
    ("euler-maruyama", "(alpha = 0), where this method's formula has no limit"),
    ("in time", "(alpha = 0), where this method's formula has no limit"),
    ("midpoint in time, ancestral", "there is no geometric middle"),
];

/// An error with its sources.
fn told(error: &dyn Error) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {}", told(source)))
}

/// How a run that is no fault went.
enum Outcome {
    Ran,
    Refused(String),
}

/// Plans and runs a method on a grid; what went wrong, if anything.
fn run(
    (name, solver): &Method,
    grid: &TimeGrid,
    prediction: Prediction,
) -> Result<Outcome, String> {
    let planned = match solver.evaluations(grid) {
        Ok(planned) => planned,
        Err(error) => return refused_when_planned((name, solver.as_ref()), grid, &error),
    };
    let score = Counted::predicting(prediction);
    let x = start(grid.start().level.sigma);
    let end = match sample(solver.as_ref(), &score, grid, x, &mut Seeded::new(4)) {
        Ok(end) => end,
        Err(error) => return refused_network(grid, prediction, &error),
    };
    if !end.iter().all(|value| value.is_finite()) {
        return Err("not finite".to_owned());
    }
    if score.calls() != planned {
        return Err(format!("{} evaluations, {planned} planned", score.calls()));
    }
    Ok(Outcome::Ran)
}

/// A method that does not apply must be refused before the network runs, and say why.
fn refused_when_planned(
    (name, solver): (&str, &dyn Solver<State>),
    grid: &TimeGrid,
    error: &SampleError,
) -> Result<Outcome, String> {
    if solver.plan(grid).is_ok() {
        return Err(format!("evaluations refused ({error}), plan not"));
    }
    let told = told(error);
    let fits = |(method, reason): &(&str, &str)| name.contains(method) && told.contains(reason);
    if INAPPLICABLE.iter().any(fits) {
        Ok(Outcome::Refused(told))
    } else {
        Err(format!("refused: {told}"))
    }
}

/// In pure noise the noise, and so the score, says nothing about the data: the network is refused there.
fn refused_network(
    grid: &TimeGrid,
    prediction: Prediction,
    error: &SampleError,
) -> Result<Outcome, String> {
    let silent = matches!(prediction, Prediction::Noise | Prediction::Score);
    let told = told(error);
    if silent
        && grid.start().level.alpha == 0.0
        && (told.contains("does not determine") || told.contains("does not tell"))
    {
        return Ok(Outcome::Refused(told));
    }
    Err(format!("failed: {told}"))
}

#[test]
fn every_method_runs_on_every_schedule_and_grid() {
    let (mut runs, mut refusals, mut faults) = (0, BTreeMap::<String, usize>::new(), Vec::new());
    for kind in kinds() {
        for (grid_name, grid) in grids(&kind) {
            for method in methods(&kind, &grid) {
                for prediction in PREDICTIONS {
                    let what =
                        format!("{} on {}, {grid_name}, {prediction:?}", method.0, kind.name);
                    match run(&method, &grid, prediction) {
                        Ok(Outcome::Ran) => runs += 1,
                        Ok(Outcome::Refused(reason)) => *refusals.entry(reason).or_default() += 1,
                        Err(fault) => faults.push(format!("{what}: {fault}")),
                    }
                }
            }
        }
    }
    println!("{runs} runs; refused:");
    refusals.iter().for_each(|(reason, count)| println!("{count} times: {reason}"));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(runs > 70_000, "{runs} runs");
}
