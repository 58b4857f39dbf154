//! Networks that are told a class.

use crate::{ScoreError, ScoreFn, Times, VectorSpace};
use tweedie_schedules::Prediction;

/// An estimate of `grad log p_t(x | class)`; no class stands for the unconditional score.
pub trait ConditionalScoreFn<S: VectorSpace> {
    /// What [`predict_given`](Self::predict_given) returns.
    fn prediction(&self) -> Prediction;

    /// The prediction for a batch, one condition a sample (`None`: the null class).
    ///
    /// # Errors
    /// When a class is out of range, the numbers differ, or the network fails.
    fn predict_given(
        &self,
        x: &S,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<S, ScoreError>;

    /// The prediction, and beside it the values of the variance, where it learned one: see
    /// [`ScoreFn::predict_with_variance`].
    ///
    /// # Errors
    /// As [`predict_given`](Self::predict_given).
    fn predict_given_with_variance(
        &self,
        x: &S,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<(S, Option<S>), ScoreError> {
        Ok((self.predict_given(x, at, conditions)?, None))
    }
}

/// A conditional score function with its conditions filled in: a [`ScoreFn`] like any other.
#[derive(Clone, Debug)]
pub struct Conditioned<N> {
    /// The network.
    pub network: N,
    /// One class a sample; `None` is the null class.
    pub conditions: Vec<Option<usize>>,
}

impl<S: VectorSpace, N: ConditionalScoreFn<S>> ScoreFn<S> for Conditioned<N> {
    fn prediction(&self) -> Prediction {
        self.network.prediction()
    }

    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        self.network.predict_given(x, at, &self.conditions)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        self.network.predict_given_with_variance(x, at, &self.conditions)
    }
}

impl<S: VectorSpace, N: ConditionalScoreFn<S> + ?Sized> ConditionalScoreFn<S> for &N {
    fn prediction(&self) -> Prediction {
        (**self).prediction()
    }

    fn predict_given(
        &self,
        x: &S,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<S, ScoreError> {
        (**self).predict_given(x, at, conditions)
    }

    fn predict_given_with_variance(
        &self,
        x: &S,
        at: Times<'_>,
        conditions: &[Option<usize>],
    ) -> Result<(S, Option<S>), ScoreError> {
        (**self).predict_given_with_variance(x, at, conditions)
    }
}
