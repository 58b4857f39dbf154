//! Networks whose derivative in the state can be asked for.

use crate::{ConditionalScoreFn, Conditioned, ScoreError, ScoreFn, VectorSpace};
use std::slice::from_ref;
use tweedie_schedules::TimePoint;

/// A score function that gives products with the transpose of its Jacobian: what a likelihood needs to
/// know of how the flow contracts. Maps that cut the data estimate (clipping, thresholds) have no
/// useful derivative and do not implement it.
///
/// A sample's prediction is taken to depend on that sample alone, so that the product with the batch's
/// Jacobian is each sample's own.
pub trait DifferentiableScoreFn<S: VectorSpace>: ScoreFn<S> {
    /// The prediction `output(x)`, and `J^T cotangent` with `J = d output / d x` for each cotangent: from one
    /// forward pass, and one backward pass a cotangent.
    ///
    /// # Errors
    /// Whatever the network fails with.
    fn predict_vjps(
        &self,
        x: &S,
        at: TimePoint,
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError>;

    /// The same for one cotangent.
    ///
    /// # Errors
    /// As [`predict_vjps`](Self::predict_vjps).
    fn predict_vjp(&self, x: &S, at: TimePoint, cotangent: &S) -> Result<(S, S), ScoreError> {
        let (output, mut products) = self.predict_vjps(x, at, from_ref(cotangent))?;
        Ok((output, products.swap_remove(0)))
    }
}

impl<S: VectorSpace, F: DifferentiableScoreFn<S> + ?Sized> DifferentiableScoreFn<S> for &F {
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
    fn predict_vjps(
        &self,
        x: &S,
        at: TimePoint,
        cotangents: &[S],
    ) -> Result<(S, Vec<S>), ScoreError> {
        self.network.predict_given_vjps(x, at, &self.conditions, cotangents)
    }
}

#[cfg(all(test, feature = "ndarray"))]
mod tests {
    use super::*;
    use crate::Times;
    use ndarray::{ArrayD, arr2};
    use tweedie_schedules::{NoiseLevel, Prediction};

    type State = ArrayD<f64>;

    /// Predicts `class x^2 / 2`, value by value; class 1 where none is stated.
    struct Square;

    fn factors(x: &State, conditions: &[Option<usize>]) -> State {
        let mut factors = x.clone();
        for (mut sample, class) in factors.outer_iter_mut().zip(conditions) {
            sample.fill(class.unwrap_or(1) as f64);
        }
        factors
    }

    impl ScoreFn<State> for Square {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict(&self, x: &State, _: Times<'_>) -> Result<State, ScoreError> {
            Ok(x * x * 0.5)
        }
    }

    impl DifferentiableScoreFn<State> for Square {
        fn predict_vjps(
            &self,
            x: &State,
            at: TimePoint,
            cotangents: &[State],
        ) -> Result<(State, Vec<State>), ScoreError> {
            let products = cotangents.iter().map(|cotangent| x * cotangent).collect();
            Ok((self.predict(x, Times::Shared(at))?, products))
        }
    }

    impl ConditionalScoreFn<State> for Square {
        fn prediction(&self) -> Prediction {
            Prediction::Score
        }

        fn predict_given(
            &self,
            x: &State,
            _: Times<'_>,
            conditions: &[Option<usize>],
        ) -> Result<State, ScoreError> {
            Ok(factors(x, conditions) * x * x * 0.5)
        }
    }

    impl DifferentiableConditionalScoreFn<State> for Square {
        fn predict_given_vjps(
            &self,
            x: &State,
            at: TimePoint,
            conditions: &[Option<usize>],
            cotangents: &[State],
        ) -> Result<(State, Vec<State>), ScoreError> {
            let slope = factors(x, conditions) * x;
            let products = cotangents.iter().map(|cotangent| &slope * cotangent).collect();
            Ok((self.predict_given(x, Times::Shared(at), conditions)?, products))
        }
    }

    const AT: TimePoint = TimePoint { t: 0.5, level: NoiseLevel { alpha: 0.8, sigma: 0.6 } };

    #[test]
    fn a_single_product_is_one_of_several() {
        let x = arr2(&[[1.0, -2.0], [0.5, 3.0]]).into_dyn();
        let cotangents = [arr2(&[[1.0, 1.0], [1.0, 1.0]]), arr2(&[[2.0, 0.0], [0.0, -1.0]])];
        let cotangents = cotangents.map(|cotangent| cotangent.into_dyn());
        let (output, products) = Square.predict_vjps(&x, AT, &cotangents).unwrap();
        for (cotangent, product) in cotangents.iter().zip(products) {
            let alone = Square.predict_vjp(&x, AT, cotangent).unwrap();
            assert_eq!(alone, (output.clone(), product));
        }
    }

    #[test]
    fn conditions_reach_the_derivative() {
        let x = arr2(&[[1.0, -2.0], [0.5, 3.0]]).into_dyn();
        let network = Conditioned { network: &Square, conditions: vec![Some(3), None] };
        let (output, product) = network.predict_vjp(&x, AT, &(&x * 0.0 + 1.0)).unwrap();
        assert_eq!(output, arr2(&[[1.5, 6.0], [0.125, 4.5]]).into_dyn());
        assert_eq!(product, arr2(&[[3.0, -6.0], [0.5, 3.0]]).into_dyn());
    }
}
