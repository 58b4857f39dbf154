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

impl Prediction {
    /// The linear form `(coefficient of x_0, coefficient of eps)` that is predicted at a level:
    /// the target of training.
    #[must_use]
    pub fn target(self, at: NoiseLevel) -> (f64, f64) {
        let NoiseLevel { alpha, sigma } = at;
        match self {
            Self::Noise => (0.0, 1.0),
            Self::Data => (1.0, 0.0),
            Self::Velocity => (-sigma, alpha), // Salimans and Ho 2022, sec. 4
            Self::Score => (0.0, -1.0 / sigma), // Song et al. 2021, eq. 7
            Self::EdmF { sigma_data } => {
                // Karras et al. 2022, eq. 8, solved for F in x_0 and eps
                let ratio = sigma / alpha;
                let norm = ratio.hypot(sigma_data);
                (ratio / (sigma_data * norm), -sigma_data / norm)
            }
            Self::PosteriorMean { earlier } => {
                let point = |level| TimePoint { t: 0.0, level };
                let posterior = Interval { from: point(at), to: point(earlier) }.posterior();
                (earlier.alpha, posterior.x * sigma)
            }
        }
    }

    /// Coefficients `(of x, of output)` that turn this prediction, made at `at`, into another.
    ///
    /// They are infinite where the state holds too little to tell: noise from data at `sigma = 0`,
    /// data from noise at `alpha = 0`.
    #[must_use]
    pub fn convert(self, to: Self, at: NoiseLevel) -> (f64, f64) {
        if self == to {
            return (0.0, 1.0);
        }
        let NoiseLevel { alpha, sigma } = at;
        let (p, q) = self.target(at);
        let (wanted_p, wanted_q) = to.target(at);
        let determinant = alpha * q - sigma * p;
        let of_x = (q * wanted_p - p * wanted_q) / determinant;
        let of_output = (alpha * wanted_q - sigma * wanted_p) / determinant;
        (of_x, of_output)
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

    #[test]
    fn velocity_is_defined_where_alpha_is_zero() {
        let at = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        assert_eq!(Prediction::Velocity.convert(Prediction::Data, at), (0.0, -1.0));
    }
}
