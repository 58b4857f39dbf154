//! The exact score of normal data and the exact flow it leads to, against which orders are measured.

use ndarray::{ArrayD, arr2};
use tweedie_samplers::{Solver, sample};
use tweedie_schedules::{NoiseLevel, Prediction, TimeGrid};
use tweedie_score::{ScoreError, ScoreFn, Seeded, Times};

/// Normal data of mean 0.4 and standard deviation 0.3.
pub(crate) struct NormalData;

const MEAN: f64 = 0.4;
const STD: f64 = 0.3;

impl ScoreFn<ArrayD<f64>> for NormalData {
    fn prediction(&self) -> Prediction {
        Prediction::Noise
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        let NoiseLevel { alpha, sigma } = at.of(0).level;
        let variance = (alpha * STD).powi(2) + sigma.powi(2);
        Ok(x.mapv(|x| sigma * (x - alpha * MEAN) / variance))
    }
}

impl NormalData {
    /// A batch of two samples of two values.
    pub(crate) fn start() -> ArrayD<f64> {
        arr2(&[[0.7, -1.3], [0.1, 2.0]]).into_dyn()
    }

    /// Largest distance of `x` from where the flow carries [`start`](Self::start).
    pub(crate) fn error(x: &ArrayD<f64>, from: NoiseLevel, to: NoiseLevel) -> f64 {
        let deviation = |level: NoiseLevel| (level.alpha * STD).hypot(level.sigma);
        let share = deviation(to) / deviation(from);
        // the flow keeps each value at its quantile
        let exact = Self::start().mapv(|x| to.alpha * MEAN + share * (x - from.alpha * MEAN));
        (x - exact).iter().fold(0.0, |most, error| error.abs().max(most))
    }
}

/// The order of convergence between 40 and 320 steps: the slope of the error's logarithm.
pub(crate) fn measured_order(
    solver: &dyn Solver<ArrayD<f64>>,
    grid: &dyn Fn(usize) -> TimeGrid,
) -> f64 {
    let error = |steps: usize| {
        let grid = grid(steps);
        let last = grid.intervals()[grid.len() - 1].to.level;
        let start = NormalData::start();
        let x = sample(solver, &NormalData, &grid, start, &mut Seeded::new(0)).unwrap();
        NormalData::error(&x, grid.start().level, last).ln()
    };
    let errors = [40, 80, 160, 320].map(error);
    // least squares over equally spaced abscissas
    let slope = (3.0 * (errors[0] - errors[3]) + (errors[1] - errors[2])) / 10.0;
    slope / 2.0_f64.ln()
}
