//! What a network was trained to return, and how to turn it into anything else.
//!
//! Every parameterization is a linear form `p x_0 + q eps`, and so is the state,
//! `x = alpha x_0 + sigma eps`. Two such forms determine a third, so one two-by-two system serves
//! every conversion (docs/derivations/simple-loss.md).

use crate::{Interval, NoiseLevel, TimePoint};

/// The quantity a network predicts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prediction {
    /// The noise `eps`.
    Noise,
    /// The data `x_0`.
    Data,
    /// The velocity `alpha eps - sigma x_0`.
    Velocity,
    /// The score, `-eps / sigma`.
    Score,
    /// EDM's raw network output `F` for data of standard deviation `sigma_data`.
    EdmF {
        /// Standard deviation of the data.
        sigma_data: f64,
    },
    /// The mean of `q(x_s | x_t, x_0)` at an earlier, cleaner level `s`.
    PosteriorMean {
        /// Level of the cleaner state whose mean is predicted.
        earlier: NoiseLevel,
    },
}

/// What is predicted: `(data x_0 + noise eps) / unit`.
#[derive(Clone, Copy)]
struct Form {
    data: f64,
    noise: f64,
    /// Apart from the form because the score's is 0 where there is no noise.
    unit: f64,
}

impl Prediction {
    /// The linear form `(coefficient of x_0, coefficient of eps)` that is predicted at a level:
    /// the target of training. That of the score is infinite at `sigma = 0`.
    #[must_use]
    pub fn target(self, at: NoiseLevel) -> (f64, f64) {
        let Form { data, noise, unit } = self.form(at);
        (data / unit, noise / unit)
    }

    fn form(self, at: NoiseLevel) -> Form {
        let NoiseLevel { alpha, sigma } = at;
        let plain = |data, noise| Form { data, noise, unit: 1.0 };
        match self {
            Self::Noise => plain(0.0, 1.0),
            Self::Data => plain(1.0, 0.0),
            Self::Velocity => plain(-sigma, alpha), // Salimans and Ho 2022, sec. 4
            Self::Score => Form { data: 0.0, noise: -1.0, unit: sigma }, // Song et al. 2021, eq. 7
            Self::EdmF { sigma_data } => {
                // Karras et al. 2022, eq. 8, solved for F in x_0 and eps; at any alpha, 0 included
                let norm = sigma.hypot(alpha * sigma_data);
                plain(sigma / (sigma_data * norm), -alpha * sigma_data / norm)
            }
            Self::PosteriorMean { earlier } => {
                let point = |level| TimePoint { t: 0.0, level };
                let posterior = Interval { from: point(at), to: point(earlier) }.posterior();
                plain(earlier.alpha, posterior.x * sigma)
            }
        }
    }

    /// Coefficients `(of x, of output)` that turn this prediction, made at `at`, into another.
    ///
    /// They are finite wherever state and prediction determine the answer, also at `alpha = 0` and
    /// `sigma = 0`. They are infinite where they tell too little: noise from data at `sigma = 0`, data
    /// from noise or from a score at `alpha = 0`.
    #[must_use]
    pub fn convert(self, to: Self, at: NoiseLevel) -> (f64, f64) {
        if self == to {
            return (0.0, 1.0);
        }
        let (have, want) = (self.form(at), to.form(at));
        let cross = have.noise * want.data - have.data * want.noise;
        if cross == 0.0 {
            // one is a multiple of the other, and the state is not needed
            let of_data = have.data.abs() > have.noise.abs();
            let multiple = if of_data { want.data / have.data } else { want.noise / have.noise };
            return (0.0, multiple * have.unit / want.unit);
        }
        let NoiseLevel { alpha, sigma } = at;
        // Cramer's rule on the two known forms, the state and the prediction
        let determinant = alpha * have.noise - sigma * have.data;
        let of_x = cross / determinant;
        let of_output = (alpha * want.noise - sigma * want.data) / determinant;
        (of_x / want.unit, of_output * have.unit / want.unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all() -> [Prediction; 6] {
        [
            Prediction::Noise,
            Prediction::Data,
            Prediction::Velocity,
            Prediction::Score,
            Prediction::EdmF { sigma_data: 0.5 },
            Prediction::PosteriorMean { earlier: NoiseLevel::variance_preserving(-1e-4) },
        ]
    }

    fn value(prediction: Prediction, at: NoiseLevel, x0: f64, eps: f64) -> f64 {
        let (p, q) = prediction.target(at);
        p * x0 + q * eps
    }

    proptest! {
        #[test]
        fn every_prediction_converts_to_every_other(
            log_alpha in -4.0..-1e-2, x0 in -1.0..1.0, eps in -3.0..3.0,
        ) {
            let at = NoiseLevel::variance_preserving(log_alpha);
            let x = at.alpha * x0 + at.sigma * eps;
            for from in all() {
                for to in all() {
                    let (a, b) = from.convert(to, at);
                    let got = a * x + b * value(from, at, x0, eps);
                    let expected = value(to, at, x0, eps);
                    prop_assert!((got - expected).abs() < 1e-9 * (1.0 + expected.abs()), "{from:?} {to:?}");
                }
            }
        }
    }

    #[test]
    fn tweedie_holds() {
        // E[x_0 | x_t] = (x_t + sigma^2 score) / alpha
        let at = NoiseLevel::variance_preserving(-0.3);
        let (of_x, of_score) = Prediction::Score.convert(Prediction::Data, at);
        assert!((of_x - 1.0 / at.alpha).abs() < 1e-14);
        assert!((of_score - at.sigma.powi(2) / at.alpha).abs() < 1e-14);
    }

    #[test]
    fn edm_preconditioning_is_the_published_one() {
        let (sigma, sigma_data) = (1.7_f64, 0.5_f64);
        let at = NoiseLevel { alpha: 1.0, sigma };
        let (c_skip, c_out) = Prediction::EdmF { sigma_data }.convert(Prediction::Data, at);
        let total = sigma.powi(2) + sigma_data.powi(2);
        assert!((c_skip - sigma_data.powi(2) / total).abs() < 1e-14);
        assert!((c_out - sigma * sigma_data / total.sqrt()).abs() < 1e-14);
    }

    proptest! {
        #[test]
        fn conversions_invert(log_alpha in -4.0..-1e-2) {
            let at = NoiseLevel::variance_preserving(log_alpha);
            for from in all() {
                for to in all() {
                    let ((a, b), (c, d)) = (from.convert(to, at), to.convert(from, at));
                    // c x + d (a x + b output) is the output again
                    prop_assert!((c + d * a).abs() < 1e-9 * (1.0 + c.abs()), "{from:?} {to:?}");
                    prop_assert!((d * b - 1.0).abs() < 1e-9, "{from:?} {to:?}");
                }
            }
        }

        #[test]
        fn conversions_hold_at_any_scale_of_the_state(alpha in 0.01..2.0, sigma in 1e-3..90.0_f64) {
            let (at, (x0, eps)) = (NoiseLevel { alpha, sigma }, (0.7, -1.3));
            let x = alpha * x0 + sigma * eps;
            for from in all().into_iter().take(5) {
                for to in all().into_iter().take(5) {
                    let (a, b) = from.convert(to, at);
                    let output = value(from, at, x0, eps);
                    let expected = value(to, at, x0, eps);
                    // the terms may be larger than their sum
                    let size = 1.0 + (a * x).abs() + (b * output).abs();
                    prop_assert!((a * x + b * output - expected).abs() < 1e-12 * size, "{from:?} {to:?}");
                }
            }
        }
    }

    #[test]
    fn pure_noise_is_converted_wherever_the_answer_is_determined() {
        let at = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        let edm = Prediction::EdmF { sigma_data: 0.5 };
        assert_eq!(Prediction::Velocity.convert(Prediction::Data, at), (0.0, -1.0));
        assert_eq!(Prediction::Velocity.convert(Prediction::Noise, at), (1.0, 0.0));
        assert_eq!(Prediction::Data.convert(Prediction::Noise, at), (1.0, 0.0));
        assert_eq!(Prediction::Data.convert(Prediction::Velocity, at), (0.0, -1.0));
        assert_eq!(Prediction::Noise.convert(Prediction::Score, at), (0.0, -1.0));
        assert_eq!(edm.convert(Prediction::Data, at), (0.0, 0.5));
        let earlier = NoiseLevel { alpha: 0.6, sigma: 0.8 };
        let mean = Prediction::PosteriorMean { earlier };
        assert_eq!(mean.convert(Prediction::Data, at), (0.0, 1.0 / 0.6));
        for silent in [Prediction::Noise, Prediction::Score] {
            let (of_x, of_output) = silent.convert(Prediction::Data, at);
            assert!(of_x.is_infinite() && of_output.is_infinite(), "{silent:?}");
        }
    }

    #[test]
    fn clean_data_is_the_state_itself_whatever_is_predicted() {
        let (at, edm) = (NoiseLevel::CLEAN, Prediction::EdmF { sigma_data: 0.5 });
        for from in [Prediction::Noise, Prediction::Velocity, Prediction::Score, edm] {
            assert_eq!(from.convert(Prediction::Data, at), (1.0, 0.0), "{from:?}");
        }
        assert_eq!(Prediction::Velocity.convert(Prediction::Noise, at), (0.0, 1.0));
        assert!(Prediction::Data.convert(Prediction::Noise, at).0.is_infinite());
        assert!(Prediction::Noise.convert(Prediction::Score, at).1.is_infinite());
    }
}
