//! The exact score of a mixture, as a network would give it.

use crate::{Mixture, MixtureError, Part};
use ndarray::ArrayD;
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
use tweedie_score::{Batch, DifferentiableScoreFn, ScoreError, ScoreFn, Times};

/// A network without error: the prediction that minimizes the training loss on a mixture.
///
/// A sample of `k` times the mixture's coordinates is taken as `k` independent points, so that a
/// one-dimensional mixture serves states of any shape, value by value.
#[derive(Clone, Debug)]
pub struct ExactScore {
    data: Mixture,
    prediction: Prediction,
}

impl ExactScore {
    /// The network for data of this distribution that returns `prediction`.
    #[must_use]
    pub fn new(data: Mixture, prediction: Prediction) -> Self {
        Self { data, prediction }
    }

    /// The distribution of the data.
    #[must_use]
    pub fn data(&self) -> &Mixture {
        &self.data
    }

    /// Refuses samples that are no whole number of points.
    fn check_length(&self, x: &ArrayD<f64>) -> Result<(), ScoreError> {
        let (got, dimension) = (x.item_len(), self.data.dimension());
        if got == 0 || got % dimension != 0 {
            let error = MixtureError::SampleLength { got, dimension };
            return Err(ScoreError::Network(Box::new(error)));
        }
        Ok(())
    }

    /// What the network answers at a level.
    fn answer(&self, level: NoiseLevel) -> Answer<'_> {
        let noisy = self.data.at(level);
        let of = |(part, noisy): (&Part, &Part)| self.regression(level, part, noisy);
        let regressions = self.data.parts().iter().zip(noisy.parts()).map(of).collect();
        Answer { data: &self.data, noisy, regressions }
    }

    /// The answer if it were known that a point comes from `part`; no division by `alpha` or `sigma`.
    fn regression(&self, level: NoiseLevel, part: &Part, noisy: &Part) -> Regression {
        let variance = noisy.deviation.powi(2);
        if self.prediction == Prediction::Score {
            return Regression { of_mean: 0.0, of_offset: -1.0 / variance };
        }
        // E[x_0 | x] and E[eps | x] are the linear regressions of jointly normal variables
        let data = level.alpha * part.deviation.powi(2) / variance;
        let eps = level.sigma / variance;
        let (of_data, of_eps) = self.prediction.target(level);
        Regression { of_mean: of_data, of_offset: of_data * data + of_eps * eps }
    }
}

/// A prediction for points of one part: `of_mean mean + of_offset (x - alpha mean)`.
struct Regression {
    of_mean: f64,
    of_offset: f64,
}

/// The network at one noise level.
struct Answer<'a> {
    data: &'a Mixture,
    noisy: Mixture,
    regressions: Vec<Regression>,
}

impl Answer<'_> {
    /// Puts the prediction for a point in its place: the parts' answers, weighted by their shares.
    fn replace(&self, point: &mut [f64], shares: &mut Vec<f64>) {
        self.noisy.shares_into(point, shares);
        let parts = || self.data.parts().iter().zip(self.noisy.parts()).zip(&self.regressions);
        for (i, value) in point.iter_mut().enumerate() {
            let x = *value;
            let answer = |((part, noisy), regression): ((&Part, &Part), &Regression)| {
                regression.of_mean * part.mean[i] + regression.of_offset * (x - noisy.mean[i])
            };
            *value =
                parts().map(answer).zip(shares.iter()).map(|(answer, share)| share * answer).sum();
        }
    }

    /// Puts `J^T cotangent`, `J` the answer's Jacobian at `point`, in the cotangent's place.
    ///
    /// The answer is `sum of r_k A_k(x)` with shares `r_k`, whose gradients are
    /// `r_k (u_k - sum of r_j u_j)`, `u_k` the score of part `k`.
    fn pull_back(&self, point: &[f64], cotangent: &mut [f64], shares: &mut Vec<f64>) {
        self.noisy.shares_into(point, shares);
        let parts = || self.data.parts().iter().zip(self.noisy.parts()).zip(&self.regressions);
        let along = |((part, noisy), regression): ((&Part, &Part), &Regression)| -> f64 {
            let coordinates = cotangent.iter().zip(point).zip(part.mean.iter().zip(&noisy.mean));
            let answer = |((c, x), (mean, center)): ((&f64, &f64), (&f64, &f64))| {
                c * (regression.of_mean * mean + regression.of_offset * (x - center))
            };
            coordinates.map(answer).sum()
        };
        let along: Vec<f64> = parts().map(along).collect();
        let mean: f64 = along.iter().zip(shares.iter()).map(|(along, share)| along * share).sum();
        let slope: f64 =
            parts().zip(shares.iter()).map(|((_, r), share)| share * r.of_offset).sum();
        for (i, (value, x)) in cotangent.iter_mut().zip(point).enumerate() {
            let pull = |((noisy, share), along): ((&Part, &f64), &f64)| {
                share * (along - mean) * (noisy.mean[i] - x) / noisy.deviation.powi(2)
            };
            let pulls = self.noisy.parts().iter().zip(shares.iter()).zip(&along).map(pull);
            *value = slope * *value + pulls.sum::<f64>();
        }
    }
}

impl ScoreFn<ArrayD<f64>> for ExactScore {
    fn prediction(&self) -> Prediction {
        self.prediction
    }

    fn predict(&self, x: &ArrayD<f64>, at: Times<'_>) -> Result<ArrayD<f64>, ScoreError> {
        at.check(x.batch_len())?;
        self.check_length(x)?;
        let (got, dimension) = (x.item_len(), self.data.dimension());
        let mut values: Vec<f64> = x.iter().copied().collect();
        let mut shares = Vec::new();
        for (index, sample) in values.chunks_exact_mut(got).enumerate() {
            let answer = self.answer(at.of(index).level);
            for point in sample.chunks_exact_mut(dimension) {
                answer.replace(point, &mut shares);
            }
        }
        Ok(ArrayD::from_shape_vec(x.raw_dim(), values).expect("as many values as before"))
    }
}

impl DifferentiableScoreFn<ArrayD<f64>> for ExactScore {
    fn predict_vjps(
        &self,
        x: &ArrayD<f64>,
        at: TimePoint,
        cotangents: &[ArrayD<f64>],
    ) -> Result<(ArrayD<f64>, Vec<ArrayD<f64>>), ScoreError> {
        let output = self.predict(x, Times::Shared(at))?;
        let (answer, dimension) = (self.answer(at.level), self.data.dimension());
        let points: Vec<f64> = x.iter().copied().collect();
        let mut shares = Vec::new();
        let product = |cotangent: &ArrayD<f64>| {
            assert_eq!(x.shape(), cotangent.shape(), "a state and a cotangent of different shapes");
            let mut product: Vec<f64> = cotangent.iter().copied().collect();
            let pairs = points.chunks_exact(dimension).zip(product.chunks_exact_mut(dimension));
            for (point, cotangent) in pairs {
                answer.pull_back(point, cotangent, &mut shares);
            }
            ArrayD::from_shape_vec(x.raw_dim(), product).expect("as many values")
        };
        let products = cotangents.iter().map(product).collect();
        Ok((output, products))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    fn data() -> Mixture {
        let part =
            |weight, mean: [f64; 2], deviation| Part { weight, mean: mean.to_vec(), deviation };
        Mixture::new(vec![part(0.3, [-0.8, 0.4], 0.2), part(0.7, [0.6, -0.1], 0.3)]).unwrap()
    }

    fn at(alpha: f64, sigma: f64) -> TimePoint {
        TimePoint { t: 0.5, level: NoiseLevel { alpha, sigma } }
    }

    fn predict(prediction: Prediction, x: &ArrayD<f64>, at: Times<'_>) -> ArrayD<f64> {
        ExactScore::new(data(), prediction).predict(x, at).unwrap()
    }

    #[test]
    fn all_predictions_agree() {
        let (point, x) = (at(0.8, 0.6), arr2(&[[0.1, 0.7], [-1.4, 0.2]]).into_dyn());
        let times = Times::Shared(point);
        let noise = predict(Prediction::Noise, &x, times);
        for prediction in [Prediction::Data, Prediction::Velocity, Prediction::Score] {
            let (of_x, of_output) = prediction.convert(Prediction::Noise, point.level);
            let back = &x * of_x + predict(prediction, &x, times) * of_output;
            assert!((back - &noise).iter().all(|error| error.abs() < 1e-13), "{prediction:?}");
        }
    }

    #[test]
    fn the_pull_back_is_the_transposed_slope_of_the_prediction() {
        let at = at(0.8, 0.6);
        let x = arr2(&[[0.1, 0.7], [-1.4, 0.2], [-0.2, 0.2]]).into_dyn();
        let cotangent = arr2(&[[0.3, -1.2], [1.1, 0.4], [-0.7, 0.9]]).into_dyn();
        for prediction in
            [Prediction::Data, Prediction::Noise, Prediction::Velocity, Prediction::Score]
        {
            let network = ExactScore::new(data(), prediction);
            let (output, product) = network.predict_vjp(&x, at, &cotangent).unwrap();
            assert_eq!(output, predict(prediction, &x, Times::Shared(at)));
            for axis in 0..2 {
                let step = 1e-4;
                let moved = |by: f64| {
                    let mut x = x.clone();
                    x.index_axis_mut(ndarray::Axis(1), axis).mapv_inplace(|value| value + by);
                    (predict(prediction, &x, Times::Shared(at)) * &cotangent)
                        .sum_axis(ndarray::Axis(1))
                };
                let slope = (moved(step) - moved(-step)) / (2.0 * step);
                let error = &product.index_axis(ndarray::Axis(1), axis) - &slope;
                // central differences: step^2 times the third derivative
                assert!(error.iter().all(|e| e.abs() < 1e-5), "{prediction:?}: {error}");
            }
        }
    }

    #[test]
    fn both_ends_are_finite() {
        let x = arr2(&[[0.1, 0.7]]).into_dyn();
        let clean = predict(Prediction::Data, &x, Times::Shared(at(1.0, 0.0)));
        assert!((clean - &x).iter().all(|error| error.abs() < 1e-14));
        let guess = predict(Prediction::Data, &x, Times::Shared(at(0.0, 1.0)));
        assert!((guess[[0, 0]] - data().coordinate(0).mean()).abs() < 1e-14);
    }

    #[test]
    fn each_sample_has_its_own_time() {
        let x = arr2(&[[0.1, 0.7], [0.1, 0.7]]).into_dyn();
        let times = [at(0.8, 0.6), at(0.6, 0.8)];
        let both = predict(Prediction::Noise, &x, Times::PerSample(&times));
        for (index, point) in times.into_iter().enumerate() {
            let alone = predict(Prediction::Noise, &x, Times::Shared(point));
            assert_eq!(
                both.index_axis(ndarray::Axis(0), index),
                alone.index_axis(ndarray::Axis(0), index)
            );
        }
    }

    #[test]
    fn a_sample_may_hold_several_points_but_no_broken_one() {
        let network = ExactScore::new(data(), Prediction::Score);
        let together = arr2(&[[0.1, 0.7, -1.4, 0.2]]).into_dyn();
        let apart = arr2(&[[0.1, 0.7], [-1.4, 0.2]]).into_dyn();
        let times = Times::Shared(at(0.8, 0.6));
        let (a, b) = (network.predict(&together, times), network.predict(&apart, times));
        assert_eq!(a.unwrap().into_raw_vec_and_offset(), b.unwrap().into_raw_vec_and_offset());
        let error = network.predict(&arr2(&[[0.1, 0.7, 0.2]]).into_dyn(), times).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "a sample of 3 values, expected 2 or a multiple of it");
    }
}
