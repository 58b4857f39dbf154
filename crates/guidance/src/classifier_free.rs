//! Classifier-free guidance: away from the unconditional prediction, towards the conditional one.
//!
//! `output = unconditional + scale (conditional - unconditional)`; `scale` is `1 + w` of Ho and Salimans
//! 2022, eq. 6. Both predictions are made as one batch.

use tweedie_schedules::Prediction;
use tweedie_score::{Batch, ConditionalScoreFn, ScoreError, ScoreFn, Times};

/// A conditional network as a guided score function.
///
/// The scale is linear in the prediction, whichever kind it is.
#[derive(Clone, Debug)]
pub struct ClassifierFree<N> {
    /// The network.
    pub network: N,
    /// One class a sample.
    pub conditions: Vec<Option<usize>>,
    /// Strength: 0 is unconditional, 1 conditional (one evaluation), more is guided (a batch of two).
    pub scale: f64,
}

impl<S: Batch, N: ConditionalScoreFn<S>> ScoreFn<S> for ClassifierFree<N> {
    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        if self.scale == 1.0 {
            return self.network.predict_given(x, at, &self.conditions);
        }
        let count = x.batch_len();
        let conditions = self.conditions.len();
        if conditions != count {
            return Err(ScoreError::ConditionsMismatch { conditions, batch: count });
        }
        let given: Vec<_> =
            std::iter::repeat_n(None, count).chain(self.conditions.clone()).collect();
        let both = S::concat(&[x, x]);
        let output = match at {
            Times::Shared(_) => self.network.predict_given(&both, at, &given)?,
            Times::PerSample(points) => {
                let twice = Times::PerSample(&points.repeat(2));
                self.network.predict_given(&both, twice, &given)?
            }
        };
        let halves = output.split(&[count, count]);
        Ok(S::combine(&[(1.0 - self.scale, &halves[0]), (self.scale, &halves[1])]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, Axis, arr2};
    use std::cell::Cell;
    use tweedie_schedules::{NoiseLevel, TimePoint};

    /// Predicts the class itself (10 without one) times the sample's time.
    #[derive(Default)]
    struct Classes {
        evaluations: Cell<usize>,
    }

    impl ConditionalScoreFn<ArrayD<f64>> for Classes {
        fn prediction(&self) -> Prediction {
            Prediction::Noise
        }

        fn predict_given(
            &self,
            x: &ArrayD<f64>,
            at: Times<'_>,
            conditions: &[Option<usize>],
        ) -> Result<ArrayD<f64>, ScoreError> {
            self.evaluations.set(self.evaluations.get() + 1);
            let mut output = x.clone();
            for (index, mut item) in output.axis_iter_mut(Axis(0)).enumerate() {
                item.fill(conditions[index].unwrap_or(10) as f64 * at.of(index).t);
            }
            Ok(output)
        }
    }

    fn point(t: f64) -> TimePoint {
        TimePoint { t, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } }
    }

    #[test]
    fn guidance_extrapolates_in_one_batch_and_keeps_each_samples_time() {
        let guided = ClassifierFree {
            network: Classes::default(),
            conditions: vec![Some(3), None],
            scale: 2.0,
        };
        let x = arr2(&[[0.0], [0.0]]).into_dyn();
        let output = guided.predict(&x, Times::PerSample(&[point(1.0), point(0.5)])).unwrap();
        assert_eq!(output.as_slice().unwrap(), [2.0 * 3.0 - 10.0, 5.0]);
        assert_eq!(guided.network.evaluations.get(), 1);
    }

    #[test]
    fn scale_one_runs_the_condition_alone() {
        let guided =
            ClassifierFree { network: Classes::default(), conditions: vec![Some(3)], scale: 1.0 };
        let output = guided.predict(&arr2(&[[0.0]]).into_dyn(), Times::Shared(point(1.0))).unwrap();
        assert_eq!(output.as_slice().unwrap(), [3.0]);
    }

    #[test]
    fn a_wrong_number_of_conditions_is_refused() {
        let guided =
            ClassifierFree { network: Classes::default(), conditions: vec![Some(3)], scale: 2.0 };
        let x = arr2(&[[0.0], [0.0]]).into_dyn();
        let error = guided.predict(&x, Times::Shared(point(1.0))).unwrap_err();
        assert!(matches!(error, ScoreError::ConditionsMismatch { conditions: 1, batch: 2 }));
    }
}
