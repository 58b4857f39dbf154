//! Classifier guidance: the gradient of a classifier's log probability, added to the score.
//!
//! `score' = score + scale grad log p_t(y | x)`, evaluated at the state itself. Dhariwal and Nichol
//! 2021, eq. 14; in terms of the noise, `eps' = eps - scale sigma_t grad log p_t(y | x)`.

use crate::noise_range::Strength;
use crate::{GuidanceError, NoiseRange};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{Batch, ConditionGradient, ScoreError, ScoreFn, Times};

/// A score function guided by a classifier, or by any other condition on the state.
///
/// It predicts what the inner one predicts. Several conditions are one around the other: their gradients
/// add up. A clip or a threshold inside leaves what guidance adds as it is, one around it does not.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierGuided<F, G> {
    inner: F,
    gradient: G,
    strength: Strength,
}

impl<F, G> ClassifierGuided<F, G> {
    /// `inner` pulled by `gradient` with strength `scale`: 1 is Bayes' rule, more asks for states that the
    /// condition is surer of, less than 0 pushes away.
    ///
    /// # Errors
    /// When the scale is not from -1e6 to 1e6.
    pub fn new(inner: F, gradient: G, scale: f64) -> Result<Self, GuidanceError> {
        Ok(Self { inner, gradient, strength: Strength::new(scale)? })
    }

    /// The same with a scale that was checked.
    pub(crate) const fn of(inner: F, gradient: G, scale: f64) -> Self {
        Self { inner, gradient, strength: Strength { scale, range: NoiseRange::ALL } }
    }

    /// The same at noise levels of this range alone; at the others the gradient is not asked for.
    #[must_use]
    pub fn within(mut self, range: NoiseRange) -> Self {
        self.strength.range = range;
        self
    }
}

impl<S: Batch, F: ScoreFn<S>, G: ConditionGradient<S>> ScoreFn<S> for ClassifierGuided<F, G> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        let output = self.inner.predict(x, at)?;
        self.guided(x, at, output)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        let (output, variance) = self.inner.predict_with_variance(x, at)?;
        Ok((self.guided(x, at, output)?, variance))
    }
}

impl<F, G> ClassifierGuided<F, G> {
    fn guided<S: Batch>(&self, x: &S, at: Times<'_>, output: S) -> Result<S, ScoreError>
    where
        F: ScoreFn<S>,
        G: ConditionGradient<S>,
    {
        at.check(x.batch_len())?;
        let acts = |point: &TimePoint| self.strength.at(point.level) != 0.0;
        let somewhere = match at {
            Times::Shared(point) => acts(&point),
            Times::PerSample(points) => points.iter().any(acts),
        };
        if !somewhere {
            return Ok(output);
        }
        let gradient = self.gradient.log_gradient(x, at)?;
        // Every prediction is affine in the score: its slope there carries the gradient over.
        at.combine(
            |TimePoint { level, .. }| match self.strength.at(level) {
                0.0 => (1.0, 0.0),
                scale => (1.0, scale * Prediction::Score.convert(self.inner.prediction(), level).1),
            },
            &output,
            &gradient,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, Axis, arr2};
    use tweedie_schedules::NoiseLevel;

    /// The exact prediction, of any kind, for standard normal data.
    struct StandardNormal(Prediction);

    impl ScoreFn<ArrayD<f64>> for StandardNormal {
        fn prediction(&self) -> Prediction {
            self.0
        }

        fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            let level = at.of(0).level;
            let total = level.alpha.powi(2) + level.sigma.powi(2);
            let (of_data, of_eps) = self.0.target(level);
            Ok(x * ((of_data * level.alpha + of_eps * level.sigma) / total))
        }
    }

    /// `log p(y | x) = -|x - y|^2 / 2`.
    struct Pull(f64);

    impl ConditionGradient<ArrayD<f64>> for Pull {
        fn log_gradient(&self, x: &ArrayD<f64>, _at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
            Ok(x.mapv(|x| self.0 - x))
        }
    }

    #[test]
    fn the_gradient_adds_to_the_score_whatever_is_predicted() {
        let x = arr2(&[[0.3, -1.2], [0.8, 2.0]]).into_dyn();
        let level = NoiseLevel { alpha: 0.8, sigma: 0.6 };
        let at = Times::Shared(TimePoint { t: 0.5, level });
        for kind in [
            Prediction::Noise,
            Prediction::Data,
            Prediction::Velocity,
            Prediction::Score,
            Prediction::EdmF { sigma_data: 0.5 },
        ] {
            let guided = ClassifierGuided::new(StandardNormal(kind), Pull(0.4), 2.5).unwrap();
            let output = guided.predict(&x, at).unwrap();
            let (of_x, of_output) = kind.convert(Prediction::Score, level);
            let score = &x * of_x + &output * of_output;
            let expected = x.mapv(|x| -x + 2.5 * (0.4 - x));
            assert!((score - expected).iter().all(|error| error.abs() < 1e-12), "{kind:?}");
        }
    }

    #[test]
    fn outside_its_range_it_leaves_the_prediction_and_asks_for_no_gradient() {
        struct Never;
        impl ConditionGradient<ArrayD<f64>> for Never {
            fn log_gradient(
                &self,
                _: &ArrayD<f64>,
                _: Times<'_>,
            ) -> Result<ArrayD<f64>, ScoreError> {
                Err(ScoreError::NoVariance)
            }
        }
        let x = arr2(&[[0.3, -1.2], [0.8, 2.0]]).into_dyn();
        let clean = TimePoint { t: 0.1, level: NoiseLevel { alpha: 0.99, sigma: 0.1 } };
        let noisy = TimePoint { t: 0.5, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } };
        let range = NoiseRange::new(0.2, 1.0).unwrap();
        let inner = StandardNormal(Prediction::Noise);
        let plain = inner.predict(&x, Times::Shared(clean)).unwrap();
        let never = ClassifierGuided::new(&inner, Never, 1.0).unwrap().within(range);
        assert_eq!(never.predict(&x, Times::Shared(clean)).unwrap(), plain);
        assert!(never.predict(&x, Times::Shared(noisy)).is_err());
        let guided = ClassifierGuided::new(&inner, Pull(0.4), 1.0).unwrap().within(range);
        let each = Times::PerSample(&[clean, noisy]);
        let added = guided.predict(&x, each).unwrap() - inner.predict(&x, each).unwrap();
        assert!(added.index_axis(Axis(0), 0).iter().all(|added| *added == 0.0));
        let expected = x.index_axis(Axis(0), 1).mapv(|x| -0.6 * (0.4 - x));
        let off = &added.index_axis(Axis(0), 1) - &expected;
        assert!(off.iter().all(|off| off.abs() < 1e-14), "{added}");
    }

    #[test]
    fn a_scale_that_is_no_number_is_refused() {
        let error = ClassifierGuided::new((), (), f64::NAN).unwrap_err();
        assert_eq!(error.to_string(), "guidance scale is NaN, expected a value from -1e6 to 1e6");
    }
}
