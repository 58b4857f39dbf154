//! The table of adaptive solvers in the docs against the probability flow. The order that a tableau
//! declares is measured in `ode.rs`; evaluations are counted here.

use ndarray::{ArrayD, arr2};
use std::cell::Cell;
use tweedie_closed_form::{ExactScore, Mixture};
use tweedie_samplers::{ProbabilityFlow, RungeKutta, Tableau};
use tweedie_schedules::{Prediction, VpLinear};
use tweedie_score::{ScoreError, ScoreFn, Times};

const TABLE: &str = include_str!("../../../docs/samplers-table.md");

/// Every tableau for the flow, by the name its row has.
const METHODS: [(&str, Tableau); 3] = [
    ("`ProbabilityFlow`", Tableau::DORMAND_PRINCE),
    ("`ProbabilityFlow`, `BOGACKI_SHAMPINE`", Tableau::BOGACKI_SHAMPINE),
    ("`ProbabilityFlow`, `DOP853`", Tableau::DOP853),
];

/// The cells of the rows about the probability flow.
fn rows() -> Vec<Vec<&'static str>> {
    let lines = TABLE.lines().skip_while(|line| !line.starts_with("| adaptive solver |")).skip(2);
    let lines = lines.take_while(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    lines.filter(|line| line.starts_with("| `ProbabilityFlow`")).map(cells).collect()
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
    let data = Mixture::gaussian(vec![0.3], 0.5).unwrap();
    assert_eq!(rows().len(), METHODS.len());
    for (row, (name, tableau)) in rows().into_iter().zip(METHODS) {
        assert_eq!(row[0], name);
        assert_eq!(row[2].parse(), Ok(tableau.order()), "{name}: order");

        let network = ExactScore::new(data.clone(), Prediction::Noise);
        let score = Counted { network, calls: Cell::new(0) };
        let method = RungeKutta::new(1e-5, 1e-5).unwrap().with_tableau(tableau);
        let flow = ProbabilityFlow::new(VpLinear::new(0.1, 20.0).unwrap(), method);
        let run = flow.sample(&score, arr2(&[[1.3], [-0.4]]).into_dyn()).unwrap();
        let attempts = run.counters.accepted + run.counters.rejected;
        let declared: usize = row[3].parse().unwrap();
        assert_eq!(score.calls.get(), 2 + attempts * declared, "{name}: evaluations");
        assert_eq!(row[4], "no", "{name}: there is no source of noise to draw from");
    }
}
