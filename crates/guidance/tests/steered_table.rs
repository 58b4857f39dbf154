//! The table of steered methods in the docs, held against the code.

use ndarray::{ArrayD, arr2};
use std::cell::Cell;
use tweedie_closed_form::Gaussian;
use tweedie_guidance::{
    ClassifierFree, ClassifierGuided, Ddrm, Mask, MeanGuided, Measurement, PosteriorGuided,
    Reimposed, Resampled, Spread,
};
use tweedie_samplers::{Ancestral, Ddim, OneStep, Solver, sample};
use tweedie_schedules::{Prediction, TimeGrid, TimePoint, VpLinear};
use tweedie_score::{
    ConditionGradient, ConditionalScoreFn, DifferentiableScoreFn, MapData, ScoreError, ScoreFn,
    Seeded, Times,
};

type State = ArrayD<f64>;

const TABLE: &str = include_str!("../../../docs/samplers-table.md");

const STEPS: usize = 6;

/// Normal data that counts how often it is asked, a product with its Jacobian as two.
struct Counted {
    data: Gaussian,
    calls: Cell<usize>,
    gradients: Cell<usize>,
}

impl Counted {
    fn new() -> Self {
        let data = Gaussian::new(vec![0.3, -0.2], &[1.0, 0.8, 0.8, 1.0]).unwrap();
        Self { data, calls: Cell::new(0), gradients: Cell::new(0) }
    }

    fn count(&self, calls: usize) {
        self.calls.set(self.calls.get() + calls);
    }
}

impl ScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.data.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.count(1);
        self.data.predict(x, at)
    }
}

impl DifferentiableScoreFn<State> for Counted {
    fn predict_vjps(
        &self,
        x: &State,
        at: TimePoint,
        cotangents: &[State],
    ) -> Result<(State, Vec<State>), ScoreError> {
        self.count(1 + cotangents.len());
        self.data.predict_vjps(x, at, cotangents)
    }
}

impl ConditionalScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.data.prediction()
    }

    fn predict_given(
        &self,
        x: &State,
        at: Times<'_>,
        _: &[Option<usize>],
    ) -> Result<State, ScoreError> {
        self.predict(x, at)
    }
}

impl ConditionGradient<State> for Counted {
    fn log_gradient(&self, x: &State, _: Times<'_>) -> Result<State, ScoreError> {
        self.gradients.set(self.gradients.get() + 1);
        Ok(x * -0.1)
    }
}

fn known() -> Measurement<State> {
    let mask = Mask::new(arr2(&[[1.0, 0.0]]).into_dyn()).unwrap();
    Measurement::new(mask, &arr2(&[[0.8, 0.0]]).into_dyn(), 0.0).unwrap()
}

/// Runs the method of a row; the evaluations that were planned.
fn run(name: &str, network: &Counted) -> usize {
    let (known, schedule) = (known(), VpLinear::new(0.1, 20.0).unwrap());
    let grid = TimeGrid::uniform_lambda(&schedule, STEPS).unwrap();
    let (ddim, ancestral) = (OneStep(Ddim::DETERMINISTIC), Ancestral::default());
    let run = |solver: &dyn Solver<State>, score: &dyn ScoreFn<State>| {
        let mut noise = Seeded::new(1);
        let start = known.start(grid.start().level, 1.0, &mut noise).unwrap();
        sample(solver, score, &grid, start, &mut noise).unwrap();
        solver.evaluations(&grid).unwrap()
    };
    let guided = |spread| PosteriorGuided::new(network, &known, spread).unwrap();
    match name {
        "`ClassifierGuided`" => run(&ddim, &ClassifierGuided::new(network, network, 1.0).unwrap()),
        "`ClassifierFree`" => {
            run(&ddim, &ClassifierFree::new(network, vec![Some(0)], 2.0).unwrap())
        }
        "`PosteriorGuided`, `Isotropic`" => {
            run(&ddim, &guided(Spread::Isotropic { data_deviation: 1.0 }))
        }
        "`PosteriorGuided`, `Jacobian`" => run(&ddim, &guided(Spread::Jacobian { iterations: 1 })),
        "`MapData` with a `Measurement`" => run(&ddim, &MapData { inner: network, map: &known }),
        "`MeanGuided`" => run(&MeanGuided::new(ancestral, network, 1.0).unwrap(), network),
        "`Reimposed`" => run(&Reimposed::new(ddim, &known), network),
        "`Resampled`, two walks" => {
            run(&Resampled::new(Reimposed::new(ddim, &known), 2, 2).unwrap(), network)
        }
        "`Ddrm`" => run(&Ddrm::new(&known), network),
        other => panic!("no method {other}"),
    }
}

fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| steered method |")).skip(2);
    let rows = lines.take_while(|line| line.starts_with('|'));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_row_says_what_a_step_costs() {
    assert_eq!(rows().len(), 9);
    for row in rows() {
        let network = Counted::new();
        let planned = run(row[0], &network);
        let number = |cell: &str| cell.parse::<usize>().expect("a number");
        assert_eq!(network.calls.get(), number(row[2]) * STEPS, "{}: evaluations", row[0]);
        assert_eq!(network.gradients.get(), number(row[3]) * STEPS, "{}: gradients", row[0]);
        // a decorator of the score is none of the solver's business
        if row[1] != "score" {
            assert_eq!(network.calls.get(), planned, "{}: evaluations as planned", row[0]);
        }
    }
}

#[test]
fn every_solver_and_score_function_of_the_crate_has_a_row() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for line in code.lines().filter(|line| line.starts_with("impl")) {
            let what = ["> Solver<S> for ", "> ScoreFn<S> for "];
            let Some((_, name)) = what.iter().find_map(|what| line.split_once(what)) else {
                continue;
            };
            let start = format!("`{}`", name.split([' ', '<']).next().unwrap());
            assert!(rows().iter().any(|row| row[0].starts_with(&start)), "{start} has no row");
            found += 1;
        }
    }
    assert_eq!(found, 7, "solvers and score functions");
}
