//! Score matching without a denoising target: by how the score changes from place to place.
//!
//! `1/2 E || s(x) - grad log p(x) ||^2` holds a score that nobody knows; integrated by parts it is, up to a
//! constant, `E[ 1/2 || s(x) ||^2 + tr ds/dx ]` (Hyvärinen 2005, eq. 4). [`MatchingForm`] says how the
//! trace is had: exactly, or along random directions. All forms need products with the transposed
//! Jacobian of the network, one backward pass a direction, and a derivative of those for training.
//!
//! At a noise level the loss differs from [`Denoising`](crate::Denoising)'s with the same weighting and
//! reduction by a number that no network can change (docs/derivations/score-matching.md); on
//! clean data ([`NoiseLevel::CLEAN`](tweedie_schedules::NoiseLevel::CLEAN)) there is nothing to denoise, and
//! these losses are all there is.
//!
//! ```
//! use ndarray::arr2;
//! use tweedie_closed_form::{ExactScore, Mixture};
//! use tweedie_losses::{MatchingForm, Reduction, ScoreMatching, Slices, Weighting};
//! use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
//! use tweedie_score::{DifferentiableScoreFn, Seeded};
//!
//! let (sde, network) = (
//!     VpLinear::new(0.1, 20.0)?,
//!     ExactScore::new(Mixture::gaussian(vec![0.3, -0.2], 0.5)?, Prediction::Noise),
//! );
//! let objective = ScoreMatching {
//!     form: MatchingForm::SlicedVarianceReduced(Slices::default()),
//!     prediction: Prediction::Noise,
//!     weighting: Weighting::SIGMA,
//!     reduction: Reduction::Mean,
//! };
//!
//! let x = arr2(&[[0.3, 0.1], [-0.4, 0.8]]).into_dyn();
//! let at = sde.point(0.4);
//! let plan = objective.plan(&[at; 2], &sde)?; // numbers only
//! let directions = plan.directions(&x, &mut Seeded::new(0))?;
//! let (output, products) = network.predict_vjps(&x, at, &directions)?;
//! let losses: Vec<f64> = plan.losses(&x, &output, &directions, &products); // one a sample
//! assert_eq!(losses.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "tch")]
mod graph;
mod implicit;
mod sliced;

#[cfg(feature = "tch")]
pub use graph::jacobian_products;
pub use sliced::Slices;

use crate::denoising::{checked_weight, finite};
use crate::{LossError, LossSpace, Reduction, Weighting};
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_score::{Draw, NoiseError, NoiseSource, unit_like};
use tweedie_sde::Sde;

/// How score matching comes by the trace of the score's Jacobian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MatchingForm {
    /// Implicit score matching: the trace itself, one direction for each value of a sample.
    Implicit,
    /// Sliced score matching: slope and square of the score along random directions.
    Sliced(Slices),
    /// Sliced score matching with reduced variance: the slope along random directions, the square as it
    /// is.
    SlicedVarianceReduced(Slices),
}

/// A score matching loss: what the network returns, by which form, and how much at which time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreMatching {
    /// How the trace is had.
    pub form: MatchingForm,
    /// What the network returns.
    pub prediction: Prediction,
    /// How much the score's squared error counts at each time. On clean data only
    /// [`Weighting::Own`] of a network that returns the score counts anything.
    pub weighting: Weighting,
    /// How the values of a sample become its loss, in the terms of the squared error: half the sum is
    /// the published form, the mean is `2/D` of it.
    pub reduction: Reduction,
}

impl ScoreMatching {
    /// The loss at these times, one a sample; `sde` tells the rate of diffusion there.
    ///
    /// # Errors
    /// When the form has no directions, or the network's output gives no score, or the weight is not
    /// finite, at one of the times.
    pub fn plan(
        &self,
        points: &[TimePoint],
        sde: &dyn Sde,
    ) -> Result<ScoreMatchingPlan, LossError> {
        if let MatchingForm::Sliced(slices) | MatchingForm::SlicedVarianceReduced(slices) =
            self.form
        {
            let count = slices.count as f64;
            LossError::check("number of directions", count, count > 0.0, "at least 1")?;
        }
        let mut plan = ScoreMatchingPlan {
            form: self.form,
            reduction: self.reduction,
            of_x: Vec::with_capacity(points.len()),
            of_output: Vec::with_capacity(points.len()),
            weights: Vec::with_capacity(points.len()),
        };
        for at in points {
            let (of_x, of_output) = self.prediction.convert(Prediction::Score, at.level);
            // the weight is that of the output's error, of which the score's is a multiple
            let (_, of_score) = Prediction::Score.convert(self.prediction, at.level);
            let weight = self.weighting.weight(self.prediction, *at, sde) * of_score.powi(2);
            plan.of_x.push(finite("score", of_x, *at)?);
            plan.of_output.push(finite("score", of_output, *at)?);
            plan.weights.push(checked_weight(weight, *at)?);
        }
        Ok(plan)
    }
}

/// A score matching loss at the times of one batch: all of its numbers, none of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreMatchingPlan {
    form: MatchingForm,
    reduction: Reduction,
    /// The score is `of_x x + of_output output`.
    of_x: Vec<f64>,
    of_output: Vec<f64>,
    weights: Vec<f64>,
}

/// A score, and how it changes along some directions.
struct Slopes<'a, S> {
    score: S,
    directions: &'a [S],
    /// `v^T (ds/dx) v` of each direction, one value a sample.
    along: Vec<S>,
}

impl ScoreMatchingPlan {
    /// What the squared error of each sample's score counts.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The directions `v` along which a batch like `x` is looked at.
    ///
    /// # Errors
    /// When the noise source fails.
    pub fn directions<S: Draw>(
        &self,
        x: &S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<Vec<S>, NoiseError> {
        match self.form {
            MatchingForm::Implicit => {
                Ok((0..x.item_len()).map(|axis| unit_like(x, axis)).collect())
            }
            MatchingForm::Sliced(slices) | MatchingForm::SlicedVarianceReduced(slices) => {
                slices.draw(x, noise)
            }
        }
    }

    /// The loss of each sample, given what the network returned for `x` and the products `J^T v` of its
    /// Jacobian with the directions: on arrays from
    /// [`predict_vjps`](tweedie_score::DifferentiableScoreFn::predict_vjps), on libtorch tensors from
    /// `jacobian_products`, which keeps them differentiable.
    ///
    /// # Panics
    /// When the shapes differ, there is not one sample a time, or not one product a direction.
    #[must_use]
    pub fn losses<S: LossSpace>(
        &self,
        x: &S,
        output: &S,
        directions: &[S],
        products: &[S],
    ) -> S::Losses {
        assert_eq!(directions.len(), products.len(), "one product for each direction");
        let slopes = Slopes {
            score: self.combine(x, output),
            directions,
            along: directions
                .iter()
                .zip(products)
                .map(|(v, product)| {
                    self.combine(&v.dots(v), &v.dots(product)) // ds/dx = of_x + of_output J
                })
                .collect(),
        };
        let each = match self.form {
            MatchingForm::Implicit => implicit::each(&slopes),
            MatchingForm::Sliced(_) => sliced::each(&slopes),
            MatchingForm::SlicedVarianceReduced(_) => sliced::variance_reduced_each(&slopes),
        };
        let factor = 2.0 * self.reduction.of_sum(x.item_len());
        let factors: Vec<f64> = self.weights.iter().map(|weight| factor * weight).collect();
        each.scale_each(&factors).into_losses()
    }

    /// `of_x a + of_output b`, each sample with its own numbers.
    fn combine<S: LossSpace>(&self, a: &S, b: &S) -> S {
        S::combine(&[(1.0, &a.scale_each(&self.of_x)), (1.0, &b.scale_each(&self.of_output))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, array};
    use tweedie_closed_form::{ExactScore, Mixture};
    use tweedie_schedules::{NoiseLevel, NoiseSchedule, VpLinear};
    use tweedie_score::{DifferentiableScoreFn, ProbeKind, Seeded};

    fn matching(form: MatchingForm, prediction: Prediction) -> ScoreMatching {
        let (weighting, reduction) = (Weighting::Own, Reduction::HalfSum);
        ScoreMatching { form, prediction, weighting, reduction }
    }

    fn slices(kind: ProbeKind, count: usize) -> Slices {
        Slices { kind, count }
    }

    fn losses(objective: &ScoreMatching, at: TimePoint, x: &ArrayD<f64>) -> Vec<f64> {
        let data = Mixture::gaussian(vec![0.3, -0.2], 0.5).unwrap();
        let network = ExactScore::new(data, objective.prediction);
        let plan = objective.plan(&[at; 2], &VpLinear::new(0.1, 20.0).unwrap()).unwrap();
        let directions = plan.directions(x, &mut Seeded::new(0)).unwrap();
        let (output, products) = network.predict_vjps(x, at, &directions).unwrap();
        plan.losses(x, &output, &directions, &products)
    }

    fn states() -> ArrayD<f64> {
        array![[0.3, 0.1], [-0.4, 0.8]].into_dyn()
    }

    #[test]
    fn the_implicit_loss_of_a_normal_score_is_its_formula() {
        let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
        let got = losses(&matching(MatchingForm::Implicit, Prediction::Score), clean, &states());
        for (got, x) in got.into_iter().zip([[0.3, 0.1], [-0.4, 0.8_f64]]) {
            // score (m - x) / v with v = 1/4, whose trace is -2 / v
            let square = ((0.3 - x[0]) / 0.25).powi(2) + ((-0.2 - x[1]) / 0.25_f64).powi(2);
            assert!((got - (0.5 * square - 8.0)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_loss_does_not_depend_on_what_the_network_returns() {
        let at = VpLinear::new(0.1, 20.0).unwrap().point(0.4);
        for form in [
            MatchingForm::Implicit,
            MatchingForm::Sliced(slices(ProbeKind::Gaussian, 3)),
            MatchingForm::SlicedVarianceReduced(slices(ProbeKind::Rademacher, 1)),
        ] {
            for weighting in [Weighting::SIGMA, Weighting::Likelihood] {
                let of = |prediction| {
                    let objective = ScoreMatching { weighting, ..matching(form, prediction) };
                    losses(&objective, at, &states())
                };
                let score = of(Prediction::Score);
                for prediction in [Prediction::Noise, Prediction::Data, Prediction::Velocity] {
                    for (a, b) in of(prediction).into_iter().zip(&score) {
                        assert!((a - b).abs() < 1e-11 * (1.0 + b.abs()), "{form:?} {prediction:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_mean_is_that_of_the_squared_error() {
        let at = VpLinear::new(0.1, 20.0).unwrap().point(0.4);
        let half_sum = matching(MatchingForm::Implicit, Prediction::Score);
        let mean = ScoreMatching { reduction: Reduction::Mean, ..half_sum };
        let (a, b) = (losses(&half_sum, at, &states()), losses(&mean, at, &states()));
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-13)); // two values a sample
    }

    #[test]
    fn what_has_no_directions_or_no_score_is_refused() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let none =
            matching(MatchingForm::Sliced(slices(ProbeKind::Gaussian, 0)), Prediction::Score);
        let error = none.plan(&[sde.point(0.5)], &sde).unwrap_err();
        assert_eq!(error.to_string(), "number of directions is 0, expected at least 1");
        let noise = matching(MatchingForm::Implicit, Prediction::Noise);
        let error = noise.plan(&[sde.point(0.0)], &sde).unwrap_err();
        assert!(error.to_string().contains("the score of the loss is"), "{error}");
    }
}
