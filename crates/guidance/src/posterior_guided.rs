//! The score given a measurement, from a network that was never told of it.
//!
//! `grad log p_t(y | x)` needs the distribution of the data given the state, of which a network knows the
//! mean, `E[x_0 | x]`. Taken to be normal with some covariance `C`, it gives (Song et al. 2023, eq. 6 and 7)
//!
//! `grad log p_t(y | x) = J^T A^T (A C A^T + d^2)^-1 (y - A E[x_0 | x])`,  `J` the Jacobian of the mean.
//!
//! The covariance is `sigma^2 / alpha J` itself (Boys et al. 2023, sec. 3), which is exact; as a matrix it is far
//! too large, so that the system is solved by conjugate gradients, each step one product with `J` (Rozet et al.
//! 2024). On normal data nothing is approximate then.

use crate::{GuidanceError, Measurement};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, Draw, Elementwise, ScoreError, ScoreFn, Times};

/// A score function given a measurement: what it predicts is data.
///
/// It costs a prediction, and a forward and backward pass for each product with the Jacobian. What is
/// known is met closely but not to the last bit: [`MapData`](tweedie_score::MapData) around it with
/// the measurement puts it in.
#[derive(Clone, Copy, Debug)]
pub struct PosteriorGuided<'m, F, S> {
    inner: F,
    measurement: &'m Measurement<S>,
    spread: Spread,
}

/// How the data is taken to spread around its estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Alike in all directions, as data of this standard deviation would: `r^2 = sigma^2 d^2 / (alpha^2 d^2 +
    /// sigma^2)`. One product with the Jacobian. Song et al. 2023, with `d = 1`.
    Isotropic {
        /// Standard deviation of the data.
        data_deviation: f64,
    },
    /// As the network's own Jacobian says, by so many steps of conjugate gradients, one product each.
    Jacobian {
        /// Steps; as many as coordinates are known are exact, few are enough for pictures.
        iterations: usize,
    },
}

impl<'m, F, S> PosteriorGuided<'m, F, S> {
    /// # Errors
    /// When the deviation is not positive and finite, or there is no iteration.
    pub fn new(
        inner: F,
        measurement: &'m Measurement<S>,
        spread: Spread,
    ) -> Result<Self, GuidanceError> {
        let (name, value, is_good, allowed) = match spread {
            Spread::Isotropic { data_deviation: value } => {
                let is_good = value > 0.0 && value.is_finite();
                ("deviation of the data", value, is_good, "a finite value above 0")
            }
            Spread::Jacobian { iterations } => {
                ("iterations", iterations as f64, iterations > 0, "at least 1")
            }
        };
        if is_good {
            return Ok(Self { inner, measurement, spread });
        }
        Err(GuidanceError::ParameterOutOfRange { name, value, allowed })
    }
}

/// The estimate of the data at a state, and its Jacobian.
struct Estimate<'a, F, S> {
    network: &'a F,
    x: &'a S,
    at: TimePoint,
    /// Coefficients of the data in the state and in the prediction.
    to_data: (f64, f64),
}

impl<S: Draw, F: DifferentiableScoreFn<S>> Estimate<'_, F, S> {
    /// `J^T v`.
    fn pull_back(&self, v: &S) -> Result<S, ScoreError> {
        let (_, product) = self.network.predict_vjp(self.x, self.at, v)?;
        Ok(S::combine(&[(self.to_data.0, v), (self.to_data.1, &product)]))
    }
}

impl<F, S: Elementwise + Draw> PosteriorGuided<'_, F, S>
where
    F: DifferentiableScoreFn<S>,
{
    /// The estimate given the measurement, for a batch at one time, and the values of the variance.
    fn estimate(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        let at = match at {
            Times::Shared(at) => at,
            Times::PerSample(points) => {
                return Err(ScoreError::TimesNotShared { times: points.len() });
            }
        };
        let to_data = self.inner.conversion(Prediction::Data, at)?;
        let (output, values) = self.inner.predict_with_variance(x, Times::Shared(at))?;
        let data = S::combine(&[(to_data.0, x), (to_data.1, &output)]);
        if at.level.sigma == 0.0 {
            return Ok((data, values)); // the state is the data
        }
        let estimate = Estimate { network: &self.inner, x, at, to_data };
        let gradient = match self.spread {
            Spread::Isotropic { data_deviation } => {
                self.isotropic(&estimate, &data, data_deviation)?
            }
            Spread::Jacobian { iterations } => self.solved(&estimate, &data, iterations)?,
        };
        // Tweedie's formula: the gradient moves the data by sigma^2 / alpha
        let shift = at.level.sigma.powi(2) / at.level.alpha;
        Ok((S::combine(&[(1.0, &data), (shift, &gradient)]), values))
    }

    fn isotropic(
        &self,
        estimate: &Estimate<'_, F, S>,
        data: &S,
        data_deviation: f64,
    ) -> Result<S, ScoreError> {
        let (level, operator) = (estimate.at.level, self.measurement.operator());
        let ratio = level.sigma / level.alpha.hypot(level.sigma / data_deviation);
        let precision = self.measurement.by_coordinate(&|tau| (ratio.powi(2) + tau * tau).recip());
        let residual = self.measurement.innovation(&operator.decouple(data));
        estimate.pull_back(&operator.couple(&residual.mul(&precision))) // Song et al. 2023, eq. 7
    }

    /// Conjugate gradients on `(V^T C V + tau^2) w = V^T A^+ y - V^T data` over what is known, sample by
    /// sample; of `w` only `J^T V w` is kept.
    fn solved(
        &self,
        estimate: &Estimate<'_, F, S>,
        data: &S,
        iterations: usize,
    ) -> Result<S, ScoreError> {
        let (known, operator) = (self.measurement, self.measurement.operator());
        let variance = estimate.at.level.sigma.powi(2) / estimate.at.level.alpha;
        let noise = known.by_coordinate(&|tau| tau * tau);
        let mut residual = known.innovation(&operator.decouple(data));
        let mut direction = S::combine(&[(1.0, &residual)]);
        let mut gradient = S::combine(&[(0.0, data)]);
        let mut size = residual.dot_each(&residual);
        let first = size.clone();
        for _ in 0..iterations {
            let pulled = estimate.pull_back(&operator.couple(&direction))?;
            let spread = operator.decouple(&pulled).mul(known.seen());
            let moved = S::combine(&[(variance, &spread), (1.0, &direction.mul(&noise))]);
            let curvature = direction.dot_each(&moved);
            // what is solved, or bends the wrong way by rounding, is left as it is
            let open = |k: usize| size[k] > 1e-24 * first[k] && curvature[k] > 0.0;
            let ratio = |of: f64, to: f64, k: usize| if open(k) { of / to } else { 0.0 };
            let each = 0..size.len();
            let pace: Vec<f64> = each.clone().map(|k| ratio(size[k], curvature[k], k)).collect();
            gradient = S::combine(&[(1.0, &gradient), (1.0, &pulled.scale_each(&pace))]);
            residual = S::combine(&[(1.0, &residual), (-1.0, &moved.scale_each(&pace))]);
            let next = residual.dot_each(&residual);
            let turn: Vec<f64> = each.map(|k| ratio(next[k], size[k], k)).collect();
            direction = S::combine(&[(1.0, &residual), (1.0, &direction.scale_each(&turn))]);
            size = next;
        }
        Ok(gradient)
    }
}

impl<F, S: Elementwise + Draw> ScoreFn<S> for PosteriorGuided<'_, F, S>
where
    F: DifferentiableScoreFn<S>,
{
    fn prediction(&self) -> Prediction {
        Prediction::Data
    }

    /// # Errors
    /// Where the network fails, or samples stand at times of their own: a product with the Jacobian is
    /// for one time.
    fn predict(&self, x: &S, at: Times<'_>) -> Result<S, ScoreError> {
        Ok(self.estimate(x, at)?.0)
    }

    fn predict_with_variance(&self, x: &S, at: Times<'_>) -> Result<(S, Option<S>), ScoreError> {
        self.estimate(x, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mask;
    use ndarray::{ArrayD, arr2};
    use tweedie_closed_form::Gaussian;
    use tweedie_schedules::NoiseLevel;

    type State = ArrayD<f64>;

    /// The data estimate of a network whose noise prediction is off by ripples of this size.
    struct Rippled(Gaussian, f64);

    /// How fast the ripples are.
    const PACE: f64 = 5.0;

    impl ScoreFn<State> for Rippled {
        fn prediction(&self) -> Prediction {
            Prediction::Data
        }

        fn predict(&self, x: &State, at: Times<'_>) -> Result<State, ScoreError> {
            let NoiseLevel { alpha, sigma } = at.of(0).level;
            let ripple = x.mapv(|x| self.1 * sigma / alpha * (PACE * x).sin());
            Ok(self.0.predict(x, at)? - ripple)
        }

        fn predict_with_variance(
            &self,
            x: &State,
            at: Times<'_>,
        ) -> Result<(State, Option<State>), ScoreError> {
            Ok((self.predict(x, at)?, Some(x * 2.0)))
        }
    }

    impl DifferentiableScoreFn<State> for Rippled {
        fn predict_vjps(
            &self,
            x: &State,
            at: TimePoint,
            cotangents: &[State],
        ) -> Result<(State, Vec<State>), ScoreError> {
            let NoiseLevel { alpha, sigma } = at.level;
            let slope = x.mapv(|x| self.1 * sigma / alpha * PACE * (PACE * x).cos());
            let (_, exact) = self.0.predict_vjps(x, at, cotangents)?;
            let products =
                exact.into_iter().zip(cotangents).map(|(product, c)| product - c * &slope);
            Ok((self.predict(x, Times::Shared(at))?, products.collect()))
        }
    }

    fn network(ripples: f64) -> Rippled {
        Rippled(Gaussian::new(vec![0.0; 2], &[1.0, 0.8, 0.8, 1.0]).unwrap(), ripples)
    }

    fn known() -> Measurement<State> {
        let mask = Mask::new(arr2(&[[1.0, 0.0], [1.0, 0.0]]).into_dyn()).unwrap();
        Measurement::new(mask, &arr2(&[[0.7, 0.0], [0.7, 0.0]]).into_dyn(), 0.0).unwrap()
    }

    fn at(alpha: f64, sigma: f64) -> TimePoint {
        TimePoint { t: 0.5, level: NoiseLevel { alpha, sigma } }
    }

    /// A trained network errs most, and in its derivative above all, where there is little signal: a step of
    /// conjugate gradients is divided by the same derivative and stays in bounds.
    #[test]
    fn an_error_of_the_derivative_does_not_blow_the_guided_estimate_up() {
        let (known, network) = (known(), network(0.02));
        let guided =
            PosteriorGuided::new(&network, &known, Spread::Jacobian { iterations: 1 }).unwrap();
        let x = arr2(&[[0.9, -0.4], [-0.2, 1.3]]).into_dyn();
        for (alpha, sigma) in [(0.006, 1.0), (0.1, 0.995), (0.8, 0.6)] {
            let at = Times::Shared(at(alpha, sigma));
            let plain = network.predict(&x, at).unwrap();
            let moved = guided.predict(&x, at).unwrap() - &plain;
            let residual = (plain - 0.7).iter().fold(0.0_f64, |most, off| most.max(off.abs()));
            assert!(moved.iter().all(|moved| moved.abs() < 1.001 * residual + 1e-12), "{moved}");
        }
    }

    #[test]
    fn the_variance_and_clean_states_pass_and_times_of_their_own_do_not() {
        let (known, network) = (known(), network(0.0));
        let spread = Spread::Isotropic { data_deviation: 1.0 };
        let guided = PosteriorGuided::new(&network, &known, spread).unwrap();
        let x = arr2(&[[0.9, -0.4], [-0.2, 1.3]]).into_dyn();
        let clean = Times::Shared(TimePoint { t: 0.0, level: NoiseLevel::CLEAN });
        let (data, values) = guided.predict_with_variance(&x, clean).unwrap();
        assert!((data - &x).iter().all(|off| off.abs() < 1e-12));
        assert_eq!(values, Some(&x * 2.0));
        let points = [at(0.8, 0.6); 2];
        let error = guided.predict(&x, Times::PerSample(&points)).unwrap_err();
        let text = "2 times for one call, expected one that all samples share";
        assert_eq!(error.to_string(), text);
    }
}
