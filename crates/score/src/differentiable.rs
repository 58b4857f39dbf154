//! Networks whose derivative in the state can be asked for.

use crate::{ConditionalScoreFn, Conditioned, ScoreError, ScoreFn, Times, VectorSpace};
use std::slice::from_ref;
use tweedie_schedules::TimePoint;

/// A score function that gives products with the transpose of its Jacobian: what a likelihood needs to
/// know of how the flow contracts. Maps that cut the data estimate (clipping, thresholds) have no
/// useful derivative and do not implement it.
///
/// A sample's prediction is taken to depend on that sample alone, so that the product with the batch's
/// Jacobian is each sample's own.
pub trait DifferentiableScoreFn<S: VectorSpace>: ScoreFn<S> {
    /// The prediction `output(x)` and `J^T cotangent` with `J = d output / d x`, from one forward and
    /// one backward pass.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict_vjp(&self, x: &S, at: TimePoint, cotangent: &S) -> Result<(S, S), ScoreError>;

    /// The prediction and `J^T cotangent` for each of several: networks override it to make one forward
    /// pass serve all.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict_vjps(
        &self,
        x: &S,
        at: TimePoint,
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError> {
        let Some((first, rest)) = cotangents.split_first() else {
            return Ok((self.predict(x, Times::Shared(at))?, Vec::new()));
        };
        let (output, product) = self.predict_vjp(x, at, first)?;
        let mut products = vec![product];
        for cotangent in rest {
            products.push(self.predict_vjp(x, at, cotangent)?.1);
        }
        Ok((output, products))
    }
}

impl<S: VectorSpace, F: DifferentiableScoreFn<S> + ?Sized> DifferentiableScoreFn<S> for &F {
    fn predict_vjp(&self, x: &S, at: TimePoint, cotangent: &S) -> Result<(S, S), ScoreError> {
        (**self).predict_vjp(x, at, cotangent)
    }

    fn predict_vjps(
        &self,
        x: &S,
        at: TimePoint,
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError> {
        (**self).predict_vjps(x, at, cotangents)
    }
}

/// A network that takes a class and gives products with the transpose of its Jacobian.
pub trait DifferentiableConditionalScoreFn<S: VectorSpace>: ConditionalScoreFn<S> {
    /// The prediction given one condition a sample (`None`: the null class), and `J^T cotangent` for
    /// each cotangent.
    ///
    /// # Errors
    /// As [`ConditionalScoreFn::predict_given`].
    fn predict_given_vjps(
        &self,
        x: &S,
        at: TimePoint,
        conditions: &[Option<usize>],
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError>;
}

impl<S: VectorSpace, N: DifferentiableConditionalScoreFn<S> + ?Sized>
    DifferentiableConditionalScoreFn<S> for &N
{
    fn predict_given_vjps(
        &self,
        x: &S,
        at: TimePoint,
        conditions: &[Option<usize>],
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError> {
        (**self).predict_given_vjps(x, at, conditions, cotangents)
    }
}

impl<S: VectorSpace, N: DifferentiableConditionalScoreFn<S>> DifferentiableScoreFn<S>
    for Conditioned<N>
{
    fn predict_vjp(&self, x: &S, at: TimePoint, cotangent: &S) -> Result<(S, S), ScoreError> {
        let (output, mut products) = self.predict_vjps(x, at, from_ref(cotangent))?;
        Ok((output, products.swap_remove(0)))
    }

    fn predict_vjps(
        &self,
        x: &S,
        at: TimePoint,
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError> {
        self.network.predict_given_vjps(x, at, &self.conditions, cotangents)
    }
}
