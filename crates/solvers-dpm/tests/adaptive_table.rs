//! The table of adaptive solvers in the docs against `Adaptive`. The orders of the single-step methods
//! that its pairs are made of are measured in `single_step.rs`; evaluations are counted here.

use ndarray::{ArrayD, arr2};
use std::cell::Cell;
use tweedie_closed_form::{ExactScore, Mixture};
use tweedie_schedules::{Prediction, VpLinear};
use tweedie_score::{Replay, ScoreError, ScoreFn, Times};
use tweedie_solvers_dpm::{Adaptive, OrderPair};

const TABLE: &str = include_str!("../../../docs/samplers-table.md");

/// Every row's solver, by the name its row has.
fn solvers(schedule: &VpLinear) -> [(&'static str, Adaptive<'_>, OrderPair); 3] {
    use OrderPair::{OneTwo, TwoThree};
    let [low, high] = [OneTwo, TwoThree].map(|pair| Adaptive::dpm_solver(schedule, pair));
    [
        ("`Adaptive::dpm_solver`, `OneTwo`", low, OneTwo),
        ("`Adaptive::dpm_solver`, `TwoThree`", high, TwoThree),
        ("`Adaptive::dpmpp`, `TwoThree`", Adaptive::dpmpp(schedule, TwoThree), TwoThree),
    ]
}

/// The cells of the rows about this crate.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| adaptive solver |")).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.filter(|line| line.starts_with("| `Adaptive")).map(cells).collect()
}

/// A network that counts how often it is asked.
struct Counted {
    network: ExactScore,
    calls: Cell<usize>,
}

impl ScoreFn<ArrayD<f64>> for Counted {
    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.network.predict(x, at)
    }
}

#[test]
fn order_and_evaluations_are_as_declared() {
    let schedule = VpLinear::new(0.1, 20.0).unwrap();
    let data = Mixture::gaussian(vec![0.0], 0.2).unwrap();
    assert_eq!(rows().len(), solvers(&schedule).len());
    for (row, (name, solver, pair)) in rows().into_iter().zip(solvers(&schedule)) {
        assert_eq!(row[0], name);
        assert_eq!(row[2].parse(), Ok(pair.higher()), "{name}: order");

        let network = ExactScore::new(data.clone(), Prediction::Noise);
        let score = Counted { network, calls: Cell::new(0) };
        // an empty recording: a solver that drew noise would fail
        let (start, mut silence) = (arr2(&[[1.5], [-0.2]]).into_dyn(), Replay::new([]));
        let run = solver.repeating(true).run(&score, start, &mut silence).unwrap();
        let attempts = run.counters.accepted + run.counters.rejected;
        let declared: usize = row[3].parse().unwrap();
        assert_eq!(score.calls.get(), attempts * declared, "{name}: evaluations");
        assert_eq!(row[4], "no", "{name}: no noise was drawn");
    }
}
