//! Classifier guidance: the gradient of a classifier's log probability, added to the score.
//!
//! `score' = score + scale grad log p_t(y | x)`, evaluated at the state itself. Dhariwal and Nichol
//! 2021, eq. 14; in terms of the noise, `eps' = eps - scale sigma_t grad log p_t(y | x)`.

use tweedie_schedules::Prediction;
use tweedie_score::{Batch, ConditionGradient, ScoreError, ScoreFn, Times};

/// A score function guided by a classifier, or by any other condition on the state.
///
/// It predicts what the inner one predicts.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierGuided<F, G> {
    /// The score function.
    pub inner: F,
    /// The gradient of the condition's log probability.
    pub gradient: G,
    /// Strength; 1 is Bayes' rule.
    pub scale: f64,
}

impl<S: Batch, F: ScoreFn<S>, G: ConditionGradient<S>> ScoreFn<S> for ClassifierGuided<F, G> {
    fn prediction(&self) -> Prediction {
        self.inner.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        let output = self.inner.predict(x, at)?;
        self.guided(x, at, &output)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        let (output, variance) = self.inner.predict_with_variance(x, at)?;
        Ok((self.guided(x, at, &output)?, variance))
    }
}

impl<F, G> ClassifierGuided<F, G> {
    fn guided<S: Batch>(&self, x: &S, at: Times<'_>, output: &S) -> Result<S, ScoreError>
    where
        F: ScoreFn<S>,
        G: ConditionGradient<S>,
    {
        let gradient = self.gradient.log_gradient(x, at)?;
        // Every prediction is affine in the score: its slope there carries the gradient over.
        at.combine(
            |point| {
                let (_, slope) = Prediction::Score.convert(self.inner.prediction(), point.level);
                (1.0, self.scale * slope)
            },
            output,
            &gradient,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_schedules::{NoiseLevel, TimePoint};

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
            let guided =
                ClassifierGuided { inner: StandardNormal(kind), gradient: Pull(0.4), scale: 2.5 };
            let output = guided.predict(&x, at).unwrap();
            let (of_x, of_output) = kind.convert(Prediction::Score, level);
            let score = &x * of_x + &output * of_output;
            let expected = x.mapv(|x| -x + 2.5 * (0.4 - x));
            assert!((score - expected).iter().all(|error| error.abs() < 1e-12), "{kind:?}");
        }
    }
}
