//! Networks that predict the mean of the state one step down their own chain.

use crate::{Batch, ScoreError, ScoreFn, Times};
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};

/// A network that predicts the mean of `q(x_s | x_t, x_0)` (DDPM's `mu`), as a score function.
///
/// The cleaner level `s` changes with the time of the call, so no single
/// [`Prediction::PosteriorMean`] says what the network returns; `earlier` gives it for each time. What
/// this predicts is data.
#[derive(Clone, Copy, Debug)]
pub struct PosteriorMeans<F, E> {
    network: F,
    earlier: E,
}

impl<F, E: Fn(TimePoint) -> NoiseLevel> PosteriorMeans<F, E> {
    /// The score function of a network, whatever its own `prediction()` says; `earlier` maps the time
    /// of a call to the level whose mean the network was trained to predict there.
    pub const fn new(network: F, earlier: E) -> Self {
        Self { network, earlier }
    }

    fn to_data(&self, at: TimePoint) -> (f64, f64) {
        let earlier = (self.earlier)(at);
        Prediction::PosteriorMean { earlier }.convert(Prediction::Data, at.level)
    }
}

impl<S: Batch, F: ScoreFn<S>, E: Fn(TimePoint) -> NoiseLevel> ScoreFn<S> for PosteriorMeans<F, E> {
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        at.combine(|point| self.to_data(point), x, &self.network.predict(x, at)?)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        let (mean, variance) = self.network.predict_with_variance(x, at)?;
        Ok((at.combine(|point| self.to_data(point), x, &mean)?, variance))
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr1};
    use tweedie_schedules::DiscreteTable;

    /// Predicts the posterior mean that follows from the data being 0.4, one table entry down.
    struct Chain(DiscreteTable);

    impl Chain {
        fn earlier(&self, at: TimePoint) -> NoiseLevel {
            let index = (at.t * self.0.len() as f64).round() as usize - 1;
            index.checked_sub(1).map_or(NoiseLevel::CLEAN, |i| self.0.node(i).unwrap().level)
        }
    }

    impl ScoreFn<ArrayD<f64>> for Chain {
        fn prediction(&self) -> Prediction {
            unreachable!("the decorator knows")
        }

        fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            let at = at.of(0);
            let earlier = TimePoint { t: 0.0, level: self.earlier(at) };
            let mean = tweedie_schedules::Interval { from: at, to: earlier }.posterior();
            Ok(x.mapv(|x| mean.x * x + mean.data * 0.4))
        }
    }

    #[test]
    fn the_data_comes_back_at_every_step_of_the_chain() {
        let chain = Chain(DiscreteTable::linear(50, 1e-3, 0.2).unwrap());
        let score = PosteriorMeans::new(&chain, |at| chain.earlier(at));
        for index in [0, 1, 20, 49] {
            let at = Times::Shared(chain.0.node(index).unwrap());
            let data = score.predict_data(&arr1(&[0.3, -1.1]).into_dyn(), at).unwrap();
            assert!(data.iter().all(|value| (value - 0.4).abs() < 1e-9), "step {index}: {data}");
        }
    }
}
