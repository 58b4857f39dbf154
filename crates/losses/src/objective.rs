//! The simple loss: the distance between what a network says and what it should say.

use crate::{Distance, target};
use tch::{Kind, Tensor};
use tweedie_schedules::{NoiseLevel, Prediction};

/// What is predicted and how an error is counted.
///
/// With [`Prediction::Noise`] and [`Distance::SquaredError`] this is DDPM's `L_simple`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The quantity the network is asked for.
    pub prediction: Prediction,
    /// How its error is counted.
    pub distance: Distance,
}

impl Objective {
    /// Mean loss over batch and values, a differentiable scalar. // Ho et al. 2020, eq. 14
    ///
    /// # Panics
    /// When the shapes differ or there is not one level a sample.
    pub fn loss(
        &self,
        output: &Tensor,
        x0: &Tensor,
        eps: &Tensor,
        levels: &[NoiseLevel],
    ) -> Tensor {
        self.distance
            .of_tensors(output, &target(self.prediction, x0, eps, levels))
            .mean(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_answer_costs_nothing_and_any_other_the_mean_of_its_errors() {
        let x0 = Tensor::from_slice(&[0.3f32, -1.2, 0.8, 0.1, -0.5, 2.0]).reshape([3, 2]);
        let eps = Tensor::from_slice(&[-0.7f32, 0.4, 1.6, -0.2, 0.9, -1.1]).reshape([3, 2]);
        let levels = [0.1, 0.5, 2.0].map(|log| NoiseLevel::variance_preserving(-log));
        let objective =
            Objective { prediction: Prediction::Velocity, distance: Distance::SquaredError };
        let perfect = target(Prediction::Velocity, &x0, &eps, &levels);
        assert_eq!(objective.loss(&perfect, &x0, &eps, &levels).double_value(&[]), 0.0);
        let mean = objective.loss(&x0, &x0, &eps, &levels).double_value(&[]);
        let each = (&x0 - &perfect).square().mean(Kind::Float).double_value(&[]);
        assert!((mean - each).abs() < 1e-6 * mean);
    }
}
