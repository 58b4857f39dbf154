//! The data: a mixture of two normals, its exact networks and their moments.

use std::cell::Cell;

use crate::State;
use tweedie_closed_form::{ExactScore, Mixture, Part};
use tweedie_samplers::NoiseMoments;
use tweedie_schedules::{NoiseLevel, Prediction, TimeGrid};
use tweedie_score::{NoiseSource, ScoreError, ScoreFn, Seeded, Times};

fn data() -> Mixture {
    let part = |weight, mean, deviation| Part { weight, mean: vec![mean], deviation };
    Mixture::new(vec![part(0.3, -0.8, 0.2), part(0.7, 0.5, 0.35)]).unwrap()
}

/// A network without error, counting how often it is asked.
pub(crate) struct Counted {
    exact: ExactScore,
    calls: Cell<usize>,
}

impl Counted {
    pub(crate) fn predicting(prediction: Prediction) -> Self {
        Self { exact: ExactScore::new(data(), prediction), calls: Cell::new(0) }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.get()
    }
}

impl ScoreFn<State> for Counted {
    fn prediction(&self) -> Prediction {
        self.exact.prediction()
    }

    fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
        self.calls.set(self.calls.get() + 1);
        self.exact.predict(x, at)
    }
}

/// Noise of a deviation to start from.
pub(crate) fn start(deviation: f64) -> State {
    let z: State = Seeded::new(3).normal_like(&State::zeros(vec![3, 2])).unwrap();
    z * deviation
}

/// The second moments of the noise prediction at the levels of a grid.
pub(crate) fn moments(grid: &TimeGrid) -> NoiseMoments {
    let levels: Vec<_> = grid.intervals().iter().rev().map(|step| step.from.level).collect();
    let values: Vec<_> = levels.iter().map(|level| moment(*level)).collect();
    NoiseMoments::new(&levels, &values).unwrap()
}

/// `sigma^2 E score^2`, by the rectangle rule.
fn moment(level: NoiseLevel) -> f64 {
    let noisy = data().at(level);
    let (low, high) =
        (noisy.coordinate(0).quantile(1e-6), noisy.coordinate(0).quantile(1.0 - 1e-6));
    let width = (high - low) / 400.0;
    let term = |k| {
        let x = [low + (f64::from(k) + 0.5) * width];
        noisy.density(&x) * (level.sigma * noisy.score(&x)[0]).powi(2) * width
    };
    (0..400).map(term).sum()
}
