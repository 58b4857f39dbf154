//! Denoising score matching: show the network a noisy state, and ask what was data and what noise.
//!
//! `E[ w(t) || output(x_t, t) - target(x_0, eps, t) ||^2 ]` with `x_t = alpha x_0 + sigma eps`.
//! Vincent 2011, eq. 11; Song et al. 2021, eq. 7. Every denoising loss of the field is this one with another
//! [`Weighting`], another law of the times ([`TimeSampler`](crate::TimeSampler)) or another
//! [`Prediction`]: score matching on VP, sub-VP and VE, SMLD, DDPM, EDM, min-SNR.
//!
//! ```
//! use ndarray::arr2;
//! use tweedie_losses::{Denoising, TimeSampler, UniformTime, Weighting};
//! use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
//!
//! let sde = VpLinear::new(0.1, 20.0)?;
//! let objective = Denoising::new(Prediction::Noise, Weighting::Likelihood);
//! let times = UniformTime::new(1e-5, 1.0)?.draw(&[0.2, 0.7]);
//! let points: Vec<_> = times.iter().map(|drawn| sde.point(drawn.t)).collect();
//!
//! let plan = objective.plan(&points, &sde)?; // numbers only
//! let (x0, eps) = (arr2(&[[0.3], [-0.4]]).into_dyn(), arr2(&[[1.2], [0.1]]).into_dyn());
//! let x = plan.noised(&x0, &eps);
//! let output = &x * 0.5; // a network would stand here
//! let losses: Vec<f64> = plan.losses(&output, &x0, &eps); // one a sample
//! assert_eq!(losses.len(), 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::forward::{noised, target};
use crate::{Counting, LossError, LossSpace, Weighting};
use tweedie_schedules::{NoiseLevel, Prediction, TimePoint};
use tweedie_score::Batch;
use tweedie_sde::Sde;

/// A denoising loss: what the network returns, how its error is counted, and how much at which time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denoising {
    /// The quantity the network is asked for.
    pub prediction: Prediction,
    /// How much an error counts at each time.
    pub weighting: Weighting,
    /// How the errors of a sample's values become its loss.
    ///
    /// The weight belongs to the squared error. With another distance it multiplies the distance of
    /// the network's own output all the same.
    pub counting: Counting,
}

/// A denoising loss at the times of one batch: all of its numbers, none of its tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct DenoisingPlan {
    prediction: Prediction,
    counting: Counting,
    levels: Vec<NoiseLevel>,
    weights: Vec<f64>,
}

impl Denoising {
    /// The weighted mean squared error.
    #[must_use]
    pub fn new(prediction: Prediction, weighting: Weighting) -> Self {
        Self { prediction, weighting, counting: Counting::default() }
    }

    /// The same loss with its errors counted in another way.
    #[must_use]
    pub fn counted(self, counting: Counting) -> Self {
        Self { counting, ..self }
    }

    /// The loss at these times, one a sample; `sde` tells the rate of diffusion there.
    ///
    /// # Errors
    /// When the target or the weight is not finite at one of them: a score at `sigma = 0`, an error
    /// of the noise from a network that returns the data there; when a weight is negative, or the scale of a
    /// Huber distance not above 0.
    pub fn plan(&self, points: &[TimePoint], sde: &dyn Sde) -> Result<DenoisingPlan, LossError> {
        self.counting.distance.checked()?;
        let weight = |at: &TimePoint| {
            let (of_x0, of_eps) = self.prediction.target(at.level);
            finite("target", of_eps, *at)?;
            finite("target", of_x0, *at)?;
            checked_weight(self.weighting.weight(self.prediction, *at, sde), *at)
        };
        Ok(DenoisingPlan {
            prediction: self.prediction,
            counting: self.counting,
            levels: points.iter().map(|at| at.level).collect(),
            weights: points.iter().map(weight).collect::<Result<_, _>>()?,
        })
    }
}

impl DenoisingPlan {
    /// The level of each sample.
    #[must_use]
    pub fn levels(&self) -> &[NoiseLevel] {
        &self.levels
    }

    /// What each sample's distance is multiplied by.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The plan with each weight multiplied by another: by the weight of a drawn time, or any other.
    ///
    /// # Errors
    /// When there is not one factor a sample, or a factor is negative, or it or its weight not finite.
    pub fn scaled(self, factors: &[f64]) -> Result<Self, LossError> {
        let batch = self.weights.len();
        if factors.len() != batch {
            let got = factors.len();
            return Err(LossError::BatchMismatch { name: "factors", got, batch });
        }
        let weights = self.weights.iter().zip(factors).map(|(weight, factor)| {
            let (scaled, allowed) = (weight * factor, "a finite value of at least 0");
            let holds = |value: f64| value.is_finite() && value >= 0.0;
            LossError::check("factor of the loss", *factor, holds(*factor), allowed)?;
            LossError::check("weight of the loss", scaled, holds(scaled), allowed)
        });
        Ok(Self { weights: weights.collect::<Result<_, _>>()?, ..self })
    }

    /// The states to show to the network.
    ///
    /// # Panics
    /// When the shapes differ or there is not one sample a time.
    #[must_use]
    pub fn noised<S: Batch>(&self, x0: &S, eps: &S) -> S {
        noised(x0, eps, &self.levels)
    }

    /// What the network should return for them.
    ///
    /// # Panics
    /// When the shapes differ or there is not one sample a time.
    #[must_use]
    pub fn target<S: Batch>(&self, x0: &S, eps: &S) -> S {
        target(self.prediction, x0, eps, &self.levels)
    }

    /// The loss of each sample, given what the network returned.
    ///
    /// # Panics
    /// When the shapes differ or there is not one sample a time.
    #[must_use]
    pub fn losses<S: LossSpace>(&self, output: &S, x0: &S, eps: &S) -> S::Losses {
        output.losses(&self.target(x0, eps), &self.weights, self.counting)
    }
}

/// `value` where it is finite, else the error that names it.
pub(crate) fn finite(name: &'static str, value: f64, at: TimePoint) -> Result<f64, LossError> {
    if value.is_finite() {
        return Ok(value);
    }
    let NoiseLevel { alpha, sigma } = at.level;
    Err(LossError::NotFinite { name, value, t: at.t, alpha, sigma })
}

/// `value` where it can be the weight of a squared error: finite, and not negative.
pub(crate) fn checked_weight(value: f64, at: TimePoint) -> Result<f64, LossError> {
    let weight = finite("weight", value, at)?;
    LossError::check("weight of the loss", weight, weight >= 0.0, "a value of at least 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Distance, Reduction};
    use ndarray::{ArrayD, array};
    use tweedie_schedules::{Edm, NoiseSchedule, VeGeometric, VpLinear};

    fn batch() -> (ArrayD<f64>, ArrayD<f64>) {
        (array![[0.3, -1.2], [0.8, 0.1]].into_dyn(), array![[-0.7, 0.4], [1.6, -0.2]].into_dyn())
    }

    #[test]
    fn a_perfect_answer_costs_nothing() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let ((x0, eps), points) = (batch(), [sde.point(0.3), sde.point(0.9)]);
        for weighting in [Weighting::Own, Weighting::SIGMA, Weighting::Likelihood] {
            let plan = Denoising::new(Prediction::Velocity, weighting).plan(&points, &sde).unwrap();
            assert_eq!(plan.losses(&plan.target(&x0, &eps), &x0, &eps), [0.0, 0.0]);
        }
    }

    #[test]
    fn a_loss_is_the_weight_times_the_mean_or_half_the_sum() {
        let sde = VeGeometric::new(0.01, 50.0).unwrap();
        let ((x0, eps), points) = (batch(), [sde.point(0.3), sde.point(0.6)]);
        let score = &x0 * 0.1; // any output
        let halves = Counting { distance: Distance::SquaredError, reduction: Reduction::HalfSum };
        let objective = Denoising::new(Prediction::Score, Weighting::Likelihood).counted(halves);
        let losses = objective.plan(&points, &sde).unwrap().losses(&score, &x0, &eps);
        for i in 0..2 {
            let (sigma, g2) = (points[i].level.sigma, sde.diffusion_squared(points[i].t));
            let square = |j| (score[[i, j]] + eps[[i, j]] / sigma).powi(2);
            let expected = 0.5 * g2 * (square(0) + square(1)); // Song et al. 2021b, sec. 4.1
            assert!((losses[i] / expected - 1.0).abs() < 1e-14);
        }
        let twice = objective.plan(&points, &sde).unwrap().scaled(&[2.0, 0.0]).unwrap();
        assert_eq!(twice.losses(&score, &x0, &eps), [2.0 * losses[0], 0.0]);
    }

    #[test]
    fn edms_loss_is_the_weighted_error_of_the_denoiser() {
        let (sde, d) = (Edm::new(0.002, 80.0).unwrap(), 0.5_f64);
        let ((x0, eps), sigmas) = (batch(), [0.3, 7.0]);
        let plan = Denoising::new(Prediction::EdmF { sigma_data: d }, Weighting::edm(d).unwrap())
            .plan(&sigmas.map(|sigma| sde.point(sigma)), &sde)
            .unwrap();
        let (x, raw) = (plan.noised(&x0, &eps), &eps * 0.3 - &x0 * 0.2); // any raw output
        let losses = plan.losses(&raw, &x0, &eps);
        for (i, sigma) in sigmas.into_iter().enumerate() {
            let total = sigma * sigma + d * d;
            let square = |j: usize| {
                // Karras et al. 2022, eq. 7
                let skipped = d * d / total * x[[i, j]];
                (skipped + sigma * d / total.sqrt() * raw[[i, j]] - x0[[i, j]]).powi(2)
            };
            // Karras et al. 2022, eq. 8
            let published = total / (sigma * d).powi(2) * 0.5 * (square(0) + square(1));
            assert!((losses[i] / published - 1.0).abs() < 1e-13, "{sigma}");
        }
    }

    #[test]
    fn a_time_at_which_the_loss_is_not_finite_is_refused_by_its_values() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let clean = [sde.point(0.0)];
        let score = Denoising::new(Prediction::Score, Weighting::Own);
        let error = score.plan(&clean, &sde).unwrap_err();
        assert!(
            error.to_string().starts_with("the target of the loss is -inf at t = 0"),
            "{error}"
        );
        let likelihood = Denoising::new(Prediction::Noise, Weighting::Likelihood);
        let error = likelihood.plan(&clean, &sde).unwrap_err();
        assert!(error.to_string().starts_with("the weight of the loss is inf at t = 0"), "{error}");
        assert!(Denoising::new(Prediction::Noise, Weighting::Own).plan(&clean, &sde).is_ok());
    }

    #[test]
    fn an_objective_that_rewards_errors_is_refused_whoever_made_it() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let rewarding = Denoising::new(Prediction::Data, Weighting::MinSnr { gamma: -1.0 });
        let error = rewarding.plan(&[sde.point(0.1)], &sde).unwrap_err();
        let says = "weight of the loss is -1, expected a value of at least 0";
        assert_eq!(error.to_string(), says);
        for delta in [0.0, -0.5, f64::NAN] {
            let distance = Distance::Huber { delta };
            let objective = Denoising::new(Prediction::Noise, Weighting::Own)
                .counted(Counting { distance, ..Counting::default() });
            let error = objective.plan(&[sde.point(0.5)], &sde).unwrap_err();
            assert!(matches!(error, LossError::DeltaOutOfRange { .. }), "{error}");
        }
    }

    #[test]
    fn factors_come_one_a_sample() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let plan = Denoising::new(Prediction::Noise, Weighting::Own).plan(&[sde.point(0.5)], &sde);
        let error = plan.unwrap().scaled(&[1.0, 1.0]).unwrap_err();
        assert_eq!(error.to_string(), "2 factors for a batch of 1, expected one for each sample");
    }

    #[test]
    fn a_factor_that_is_no_weight_is_refused_with_its_value() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        // of weights above 1 in the middle of VP
        let objective = Denoising::new(Prediction::Noise, Weighting::Likelihood);
        let points = [sde.point(0.5), sde.point(0.6)];
        for (factor, says) in [
            (f64::NAN, "factor of the loss is NaN"),
            (f64::INFINITY, "factor of the loss is inf"),
            (-1.0, "factor of the loss is -1"),
            (f64::MAX, "weight of the loss is inf"),
        ] {
            let error = objective.plan(&points, &sde).unwrap().scaled(&[1.0, factor]).unwrap_err();
            assert!(error.to_string().starts_with(says), "{factor}: {error}");
        }
    }
}
