//! The bound as a loss: learned variances, the hybrid loss, and the bound itself.
//!
//! `L_hybrid = L_simple + lambda L_vlb` (Nichol and Dhariwal 2021, eq. 16), where the bound teaches the
//! variance alone: no gradient flows through the mean. `L_simple` is a
//! [`Denoising`](crate::Denoising) loss, this the second part. A training step with both:
//!
//! ```
//! use ndarray::arr2;
//! use tweedie_losses::{
//!     BoundChain, BoundLoss, Decoder, Denoising, NoisedBatch, TimeSampler, Weighting, DiscreteTime,
//! };
//! use tweedie_schedules::{DiscreteTable, NoiseSchedule, Prediction, TimeGrid};
//! use tweedie_score::Learned;
//!
//! let table = DiscreteTable::cosine(100)?;
//! let chain = BoundChain::of_table(&table, &Learned::Range, Decoder::default())?;
//! let bound = BoundLoss::hybrid(chain, Prediction::Noise);
//! let simple = Denoising::new(Prediction::Noise, Weighting::Own);
//!
//! // every batch
//! let times = DiscreteTime::of_table(&table).draw(&[0.004, 0.7]);
//! let points: Vec<_> = times.iter().map(|drawn| table.point(drawn.t)).collect();
//! let steps = bound.chain().steps_from(&points)?;
//! let (x0, eps) = (arr2(&[[0.3], [-0.4]]).into_dyn(), arr2(&[[1.2], [0.1]]).into_dyn());
//! let plan = simple.plan(&points, &table)?;
//! let x = plan.noised(&x0, &eps);
//! let (output, values) = (&x * 0.5, &x * 0.1); // the two halves of a network's channels
//! let of_mean: Vec<f64> = plan.losses(&output, &x0, &eps);
//! let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &steps };
//! let of_variance: Vec<f64> = bound.losses(&batch, &output, Some(&values))?;
//! assert_eq!((of_mean.len(), of_variance.len()), (2, 2)); // add, weigh by `drawn.weight`, average
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::{BoundChain, BoundState, NoisedBatch};
use std::f64::consts::LN_2;
use tweedie_schedules::Prediction;
use tweedie_score::ScoreError;

/// What the gradient of the bound reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundGradient {
    /// The variance alone: the prediction is taken as it is.
    Variance,
    /// Prediction and variance.
    Both,
}

/// Terms of the variational bound as a loss, in bits per dimension.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundLoss {
    chain: BoundChain,
    prediction: Prediction,
    gradient: BoundGradient,
    weight: f64,
}

impl BoundLoss {
    /// The bound of a network that returns `prediction`: a step drawn uniformly, times the number of
    /// steps, is a draw of the sum of all terms (without the prior's, which nothing can be learned from).
    /// `RESCALED_KL` in the published code; with [`weighted`](Self::weighted) by 1 its `KL`.
    #[must_use]
    pub fn whole(chain: BoundChain, prediction: Prediction) -> Self {
        let weight = chain.steps().len() as f64;
        Self { chain, prediction, gradient: BoundGradient::Both, weight }
    }

    /// The part of the hybrid loss that teaches the variance, to be added to `L_simple`: 0.001 of the
    /// bound. `RESCALED_MSE` in the published code; weighted by 1, its `MSE`.
    #[must_use]
    pub fn hybrid(chain: BoundChain, prediction: Prediction) -> Self {
        // Nichol and Dhariwal 2021, sec. 3.1: lambda
        let weight = 0.001 * chain.steps().len() as f64;
        Self { chain, prediction, gradient: BoundGradient::Variance, weight }
    }

    /// The same with each term multiplied by `weight`.
    #[must_use]
    pub fn weighted(self, weight: f64) -> Self {
        Self { weight, ..self }
    }

    /// The chain whose terms they are.
    #[must_use]
    pub const fn chain(&self) -> &BoundChain {
        &self.chain
    }

    /// The factor on each term.
    #[must_use]
    pub const fn weight(&self) -> f64 {
        self.weight
    }

    /// What the gradient reaches.
    #[must_use]
    pub const fn gradient(&self) -> BoundGradient {
        self.gradient
    }

    /// The loss of each sample, from the network's prediction and the values of its variance.
    ///
    /// # Errors
    /// As [`BoundChain::terms_of_output`].
    ///
    /// # Panics
    /// When the shapes differ or there is not one step of the chain for each sample.
    pub fn losses<S: BoundState>(
        &self,
        batch: &NoisedBatch<'_, S>,
        output: &S,
        values: Option<&S>,
    ) -> Result<S::Losses, ScoreError> {
        let terms = |output: &S| self.chain.terms_of_output(batch, self.prediction, output, values);
        let terms = match self.gradient {
            BoundGradient::Variance => terms(&output.detached())?,
            BoundGradient::Both => terms(output)?,
        };
        Ok(terms.mean_each_times(self.weight / LN_2))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_schedules::DiscreteTable;
    use tweedie_score::Learned;

    fn chain() -> BoundChain {
        let table = DiscreteTable::cosine(40).unwrap();
        BoundChain::of_table(&table, &Learned::Range, Decoder::default()).unwrap()
    }

    fn state(values: [[f64; 2]; 2]) -> ArrayD<f64> {
        arr2(&values).into_dyn()
    }

    #[test]
    fn the_published_losses_are_one_bound_with_different_factors() {
        let (x0, eps) = (state([[0.2, -1.0], [0.4, 1.0]]), state([[0.5, -0.3], [1.0, 0.2]]));
        let (output, values) = (state([[0.4, -0.1], [1.2, 0.0]]), state([[0.3, -0.9], [0.0, 0.6]]));
        let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &[39, 12] };
        let losses = |loss: BoundLoss| loss.losses(&batch, &output, Some(&values)).unwrap();
        let whole = losses(BoundLoss::whole(chain(), Prediction::Noise));
        let hybrid = losses(BoundLoss::hybrid(chain(), Prediction::Noise));
        let terms = chain().terms_of_output(&batch, Prediction::Noise, &output, Some(&values));
        for (i, mean) in terms.unwrap().mean_each().into_iter().enumerate() {
            assert!((whole[i] / (40.0 * mean / LN_2) - 1.0).abs() < 1e-12);
            assert!((hybrid[i] / (0.04 * mean / LN_2) - 1.0).abs() < 1e-12);
        }
    }

    #[cfg(feature = "tch")]
    mod gradients {
        use super::*;
        use tch::{Kind, Tensor};

        fn tensor(array: &ArrayD<f64>) -> Tensor {
            Tensor::from_slice(array.as_slice().unwrap()).reshape([2, 2])
        }

        /// Gradients by output and by values, and the loss at shifted ones.
        fn check(loss: &BoundLoss) -> (Tensor, Tensor) {
            let (x0, eps) = (state([[0.2, -1.0], [0.4, 1.0]]), state([[0.5, -0.3], [1.0, 0.2]]));
            let (output, values) =
                (state([[0.4, -0.1], [1.2, 0.0]]), state([[0.3, -0.9], [0.0, 0.6]]));
            let total = |output: &ArrayD<f64>, values: &ArrayD<f64>| -> f64 {
                let batch = NoisedBatch { x0: &x0, eps: &eps, steps: &[39, 12] };
                loss.losses(&batch, output, Some(values)).unwrap().iter().sum()
            };
            let [out, val] = [&output, &values].map(|a| tensor(a).set_requires_grad(true));
            let (x0_tensor, eps_tensor) = (tensor(&x0), tensor(&eps));
            let batch = NoisedBatch { x0: &x0_tensor, eps: &eps_tensor, steps: &[39, 12] };
            let losses = loss.losses(&batch, &out, Some(&val)).unwrap();
            let sum = losses.sum(Kind::Double);
            assert!((sum.double_value(&[]) - total(&output, &values)).abs() < 1e-9);
            sum.backward();
            for at in 0..4 {
                let moved = |array: &ArrayD<f64>, by: f64| {
                    let mut moved = array.clone();
                    moved.as_slice_mut().unwrap()[at] += by;
                    moved
                };
                let index = [at as i64 / 2, at as i64 % 2];
                let h = 1e-6;
                let slope = (total(&output, &moved(&values, h))
                    - total(&output, &moved(&values, -h)))
                    / (2.0 * h);
                let got = val.grad().double_value(&index);
                assert!((got - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{got}, {slope}");
                if loss.gradient() == BoundGradient::Both {
                    let slope = (total(&moved(&output, h), &values)
                        - total(&moved(&output, -h), &values))
                        / (2.0 * h);
                    let got = out.grad().double_value(&index);
                    assert!((got - slope).abs() < 1e-6 * (1.0 + slope.abs()), "{got}, {slope}");
                }
            }
            (out, val)
        }

        #[test]
        fn the_bound_teaches_prediction_and_variance() {
            let (output, _) = check(&BoundLoss::whole(chain(), Prediction::Noise));
            assert!(output.grad().defined());
        }

        #[test]
        fn the_hybrid_loss_teaches_the_variance_alone() {
            let (output, values) = check(&BoundLoss::hybrid(chain(), Prediction::Noise));
            assert!(!output.grad().defined() && values.grad().defined());
        }
    }
}
