//! The data distribution of a case, and the exact score it leads to.
//!
//! The same function as `tweedie_closed_form::ExactScore`, a second time and on purpose: here the
//! operations stand in the order in which the recorded models made them. Adaptive methods of high order
//! at fine tolerances turn the rounding of the network into differences of their steps that can be
//! told from nothing at 1e-9. A test holds the two to each other.

use std::cell::RefCell;

use ndarray::{ArrayD, ArrayView1, Axis};
use serde::Deserialize;
use tweedie_closed_form::{ExactScore, Part};
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
use tweedie_score::{DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A mixture of isotropic normal distributions.
#[derive(Clone, Debug, Deserialize)]
pub struct Mixture {
    /// Number of values in one item.
    pub dim: usize,
    /// Shape of one item.
    pub shape: Vec<usize>,
    /// Weight of each component.
    pub weights: Vec<f64>,
    /// Mean of each component, row-major in `shape`.
    pub means: Vec<Vec<f64>>,
    /// Standard deviation of each component.
    pub stds: Vec<f64>,
}

impl Mixture {
    /// The same distribution as the library has it.
    ///
    /// # Errors
    /// When it is none.
    pub fn closed_form(&self) -> Result<tweedie_closed_form::Mixture, ScoreError> {
        let part = |k: usize| Part {
            weight: self.weights[k],
            mean: self.means[k].clone(),
            deviation: self.stds[k],
        };
        let parts = (0..self.weights.len()).map(part).collect();
        tweedie_closed_form::Mixture::new(parts)
            .map_err(|error| ScoreError::Network(Box::new(error)))
    }

    /// `(E[x_0 | x], score)` of one item at a noise level, where `E[eps | x]` is `-sigma score`.
    ///
    /// Given the component, `x_0` and `eps` are normal with the mean of the linear regression on `x`.
    fn expectations(&self, x: ArrayView1<'_, f64>, at: NoiseLevel) -> (Vec<f64>, Vec<f64>) {
        let NoiseLevel { alpha, sigma } = at;
        let variance = |k: usize| alpha.powi(2) * self.stds[k].powi(2) + sigma.powi(2);
        let log_weight = |k: usize| {
            let square = |(x, m): (&f64, &f64)| (alpha * m - x).powi(2);
            let distance: f64 = x.iter().zip(&self.means[k]).map(square).sum();
            let v = variance(k);
            self.weights[k].ln() - 0.5 * (distance / v + self.dim as f64 * v.ln())
        };
        let logs: Vec<f64> = (0..self.weights.len()).map(log_weight).collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
        let (mut data, mut score) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        for (k, log) in logs.iter().enumerate() {
            let share = (log - largest).exp() / total;
            let v = variance(k);
            for (i, (x, m)) in x.iter().zip(&self.means[k]).enumerate() {
                let off = alpha * m - x;
                data[i] += share * (m - alpha * self.stds[k].powi(2) * off / v);
                score[i] += share * off / v;
            }
        }
        (data, score)
    }
}

/// The exact model of a mixture, which remembers the levels it was called at.
#[derive(Debug)]
pub struct Exact<'a> {
    mixture: &'a Mixture,
    prediction: Prediction,
    calls: RefCell<Vec<NoiseLevel>>,
}

impl<'a> Exact<'a> {
    /// The model that returns `prediction`.
    #[must_use]
    pub fn new(mixture: &'a Mixture, prediction: Prediction) -> Self {
        Self { mixture, prediction, calls: RefCell::default() }
    }

    /// Evaluations so far.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.calls.borrow().len()
    }

    /// The level of each evaluation (of its first item).
    #[must_use]
    pub fn levels(&self) -> Vec<NoiseLevel> {
        self.calls.borrow().clone()
    }
}

impl ScoreFn<ArrayD<f64>> for Exact<'_> {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        self.calls.borrow_mut().push(at.of(0).level);
        let mut output = x.as_standard_layout().into_owned();
        for (index, mut item) in output.axis_iter_mut(Axis(0)).enumerate() {
            let level = at.of(index).level;
            let mut flat =
                item.view_mut().into_shape_with_order(self.mixture.dim).map_err(|_| {
                    ScoreError::Network(
                        format!("an item is not of {} values", self.mixture.dim).into(),
                    )
                })?;
            let (data, score) = self.mixture.expectations(flat.view(), level);
            let (of_data, of_score) = match self.prediction {
                Prediction::Score => (0.0, 1.0), // exactly, where -1 / sigma times -sigma is not
                other => {
                    let (of_data, of_eps) = other.target(level);
                    (of_data, -level.sigma * of_eps)
                }
            };
            for ((value, data), score) in flat.iter_mut().zip(data).zip(score) {
                *value = of_data * data + of_score * score;
            }
        }
        Ok(output)
    }
}

impl DifferentiableScoreFn<ArrayD<f64>> for Exact<'_> {
    fn predict_vjps(
        &self,
        x: &ArrayD<f64>,
        at: TimePoint,
        cotangents: &[ArrayD<f64>],
    ) -> Result<(ArrayD<f64>, Vec<ArrayD<f64>>), ScoreError> {
        let output = self.predict(x, Times::Shared(at))?;
        let exact = ExactScore::new(self.mixture.closed_form()?, self.prediction);
        Ok((output, exact.predict_vjps(x, at, cotangents)?.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn the_model_is_the_closed_form_of_the_library() {
        let (weights, stds) = (vec![0.3, 0.7], vec![0.2, 0.3]);
        let means = vec![vec![-0.8, 0.4], vec![0.6, -0.1]];
        let mixture = Mixture { dim: 2, shape: vec![2], weights, means, stds };
        let data = mixture.closed_form().unwrap();
        let x = arr2(&[[0.1, 0.7], [-1.4, 0.2], [3.0, -2.0]]).into_dyn();
        for level in [(0.8, 0.6), (0.05, 0.99), (1.0, 0.02), (1.0, 50.0)] {
            let level = NoiseLevel { alpha: level.0, sigma: level.1 };
            let at = Times::Shared(TimePoint { t: 0.5, level });
            for prediction in
                [Prediction::Noise, Prediction::Data, Prediction::Velocity, Prediction::Score]
            {
                let own = Exact::new(&mixture, prediction).predict(&x, at).unwrap();
                let public = ExactScore::new(data.clone(), prediction).predict(&x, at).unwrap();
                let apart = |(a, b): (&f64, &f64)| (a - b).abs() / (1.0 + b.abs());
                let largest = own.iter().zip(&public).map(apart).fold(0.0, f64::max);
                assert!(largest < 1e-12, "{prediction:?} at {level:?}: {largest}");
            }
        }
    }
}
