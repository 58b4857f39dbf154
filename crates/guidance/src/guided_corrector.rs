//! A corrector that moves towards a condition.

use crate::{ClassifierGuided, GuidanceError, NoiseRange};
use tweedie_samplers::{Corrector, SampleError};
use tweedie_schedules::Interval;
use tweedie_score::{Batch, ConditionGradient, NoiseSource, ScoreFn};

/// A corrector whose score is guided, beside a predictor that is steered in another way, as by
/// [`MeanGuided`](crate::MeanGuided): both then have the same distribution in mind.
#[derive(Clone, Copy, Debug)]
pub struct GuidedCorrector<C, G> {
    inner: C,
    gradient: G,
    scale: f64,
    range: NoiseRange,
}

impl<C, G> GuidedCorrector<C, G> {
    /// `inner` with a score pulled by `gradient` with strength `scale`, as [`ClassifierGuided`].
    ///
    /// # Errors
    /// When the scale is not from -1e6 to 1e6.
    pub fn new(inner: C, gradient: G, scale: f64) -> Result<Self, GuidanceError> {
        crate::noise_range::check_scale(scale)?;
        Ok(Self { inner, gradient, scale, range: NoiseRange::ALL })
    }

    /// The same at noise levels of this range alone.
    #[must_use]
    pub fn within(self, range: NoiseRange) -> Self {
        Self { range, ..self }
    }
}

impl<S: Batch, C: Corrector<S>, G: ConditionGradient<S>> Corrector<S> for GuidedCorrector<C, G> {
    fn correct(
        &self,
        x: S,
        interval: Interval,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let guided = ClassifierGuided::of(score, &self.gradient, self.scale).within(self.range);
        self.inner.correct(x, interval, &guided, noise)
    }

    fn evaluations(&self) -> usize {
        self.inner.evaluations()
    }

    fn is_idle(&self) -> bool {
        self.inner.is_idle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_samplers::AnnealedLangevin;
    use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
    use tweedie_score::{Replay, ScoreError, Times};

    type State = ArrayD<f64>;

    struct Flat;

    impl ScoreFn<State> for Flat {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict(&self, x: &State, _: Times<'_>) -> Result<State, ScoreError> {
            Ok(x * 0.0)
        }
    }

    struct Pull;

    impl ConditionGradient<State> for Pull {
        fn log_gradient(&self, x: &State, _: Times<'_>) -> Result<State, ScoreError> {
            Ok(x * 0.0 + 1.0)
        }
    }

    #[test]
    fn a_guided_corrector_moves_as_one_of_the_guided_score_and_nowhere_outside_the_range() {
        let point = |t, sigma: f64| TimePoint {
            t,
            level: NoiseLevel { alpha: (1.0 - sigma * sigma).sqrt(), sigma },
        };
        let interval = Interval { from: point(1.0, 0.8), to: point(0.5, 0.5) };
        let moved = |corrector: &dyn Corrector<State>, score: &dyn ScoreFn<State>| {
            let x = arr2(&[[0.3]]).into_dyn();
            corrector.correct(x, interval, score, &mut Replay::new([vec![0.0]])).unwrap()[[0, 0]]
        };
        let plain = || AnnealedLangevin::new(0.3, 1).unwrap();
        let guided = || GuidedCorrector::new(plain(), Pull, 2.0).unwrap();
        let of_score = moved(&plain(), &ClassifierGuided::new(Flat, Pull, 2.0).unwrap());
        assert!((moved(&guided(), &Flat) - of_score).abs() < 1e-15);
        assert!(of_score > 0.3);
        let cleaner = NoiseRange::new(0.0, 1.0).unwrap();
        assert_eq!(moved(&guided().within(cleaner), &Flat), 0.3);
        assert!(GuidedCorrector::new(plain(), Pull, 1e39).is_err());
    }
}
