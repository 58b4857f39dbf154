//! How much an error counts at each noise level.
//!
//! An error `e` of what the network returns is an error `b e` of any other quantity, where `b` comes
//! from [`Prediction::convert`]. So a squared error of any quantity, under any weight, is the squared
//! error of the network's own output under one number, and every weighting of the field is a
//! function from a time to that number:
//!
//! | name in the field | weighting |
//! |---|---|
//! | `L_simple`, sigma-weighted score matching, SMLD's `sigma^2` | `Of(Prediction::Noise)` |
//! | EDM's `lambda(sigma)` | `Of(Prediction::EdmF { sigma_data })` |
//! | "SNR" and "SNR + 1" weighting | `Of(Prediction::Noise)`, `Of(Prediction::Velocity)` of a data prediction |
//! | likelihood weighting, `g^2` | `Likelihood` |
//! | min-SNR-gamma | `MinSnr { gamma }` |
//! | none | `Own` |

use crate::LossError;
use tweedie_schedules::{Prediction, TimePoint};
use tweedie_sde::Sde;

/// The weight of a sample's squared error, by its time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Weighting {
    /// The network's own output counts the same at every level.
    #[default]
    Own,
    /// The error of this quantity counts the same at every level, whatever the network returns.
    ///
    /// That of the noise is score matching weighted with `sigma^2` (SMLD, and Song et al. 2021's
    /// losses without likelihood weighting) and DDPM's `L_simple`; that of
    /// [`EdmF`](Prediction::EdmF) is EDM's loss.
    Of(Prediction),
    /// The error of the score counts `g(t)^2`, by which the loss bounds the likelihood.
    ///
    /// Its variance over uniform times is large; draw them with
    /// [`ImportanceTime`](crate::ImportanceTime).
    Likelihood,
    /// The error of the data counts `min(snr, gamma)`.
    MinSnr {
        /// The largest weight of the data's error (published with 5).
        gamma: f64,
    },
}

impl Weighting {
    /// Score matching weighted with `sigma^2`: the error of the noise, as [`Of`](Self::Of) it.
    pub const SIGMA: Self = Self::Of(Prediction::Noise);

    /// EDM's weighting for data of this standard deviation.
    ///
    /// # Errors
    /// When `sigma_data` is not positive and finite.
    pub fn edm(sigma_data: f64) -> Result<Self, LossError> {
        Ok(Self::Of(Prediction::EdmF { sigma_data: positive("sigma_data", sigma_data)? }))
    }

    /// The min-SNR weighting.
    ///
    /// # Errors
    /// When `gamma` is not positive and finite.
    pub fn min_snr(gamma: f64) -> Result<Self, LossError> {
        Ok(Self::MinSnr { gamma: positive("gamma", gamma)? })
    }

    /// The weight of the squared error of a network that returns `prediction`.
    ///
    /// `sde` tells `g^2`; only [`Likelihood`](Self::Likelihood) asks. The weight is not finite where
    /// the prediction does not determine what is weighted.
    #[must_use]
    pub fn weight(self, prediction: Prediction, at: TimePoint, sde: &dyn Sde) -> f64 {
        let level = at.level;
        let square_of = |other| prediction.convert(other, level).1.powi(2);
        match self {
            Self::Own => 1.0,
            Self::Of(other) => square_of(other),
            // Song et al. 2021b, sec. 4.1
            Self::Likelihood => sde.diffusion_squared(at.t) * square_of(Prediction::Score),
            // Hang et al. 2023, sec. 3.4; snr times the data's squared error is that of the noise, which
            // is there where no signal is left
            Self::MinSnr { gamma } if level.snr() <= gamma => square_of(Prediction::Noise),
            Self::MinSnr { gamma } => gamma * square_of(Prediction::Data),
        }
    }
}

fn positive(name: &'static str, value: f64) -> Result<f64, LossError> {
    LossError::check(name, value, value > 0.0 && value.is_finite(), "a finite value above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tweedie_schedules::{Edm, NoiseLevel, NoiseSchedule, SubVpLinear, VeGeometric, VpLinear};

    const OUTPUTS: [Prediction; 5] = [
        Prediction::Noise,
        Prediction::Data,
        Prediction::Velocity,
        Prediction::Score,
        Prediction::EdmF { sigma_data: 0.5 },
    ];

    fn weightings() -> [Weighting; 5] {
        [
            Weighting::SIGMA,
            Weighting::Of(Prediction::Velocity),
            Weighting::edm(0.3).unwrap(),
            Weighting::Likelihood,
            Weighting::min_snr(5.0).unwrap(),
        ]
    }

    proptest! {
        #[test]
        fn a_weighted_loss_does_not_depend_on_what_the_network_returns(t in 0.01..0.99_f64, error in 0.1..2.0) {
            let sdes: [&dyn Sde; 3] = [
                &VpLinear::new(0.1, 20.0).unwrap(),
                &SubVpLinear::new(0.1, 20.0).unwrap(),
                &VeGeometric::new(0.01, 50.0).unwrap(),
            ];
            for sde in sdes {
                let at = sde.point(t);
                for weighting in weightings() {
                    let loss = |output: Prediction| {
                        let own: f64 = error * Prediction::Noise.convert(output, at.level).1;
                        weighting.weight(output, at, sde) * own.powi(2)
                    };
                    for output in OUTPUTS {
                        let (got, noise) = (loss(output), loss(Prediction::Noise));
                        prop_assert!((got / noise - 1.0).abs() < 1e-12, "{weighting:?} {output:?}");
                    }
                }
            }
        }

        #[test]
        fn min_snr_is_the_published_weight_of_each_prediction(log_alpha in -4.0..-1e-3) {
            let sde = VpLinear::new(0.1, 20.0).unwrap();
            let at = TimePoint { t: 0.5, level: NoiseLevel::variance_preserving(log_alpha) };
            let snr = at.level.snr();
            let least = snr.min(5.0);
            // Hang et al. 2023, sec. 3.4
            for (output, published) in [
                (Prediction::Data, least),
                (Prediction::Noise, least / snr),
                (Prediction::Velocity, least / (snr + 1.0)),
            ] {
                let got = Weighting::MinSnr { gamma: 5.0 }.weight(output, at, &sde);
                prop_assert!((got / published - 1.0).abs() < 1e-12, "{output:?}");
            }
        }
    }

    #[test]
    fn edm_weighs_the_data_as_published() {
        let (sde, sigma, data) = (Edm::new(0.002, 80.0).unwrap(), 1.7, 0.5);
        let got = Weighting::edm(data).unwrap().weight(Prediction::Data, sde.point(sigma), &sde);
        // Karras et al. 2022, table 1
        let published = (sigma.powi(2) + data.powi(2)) / (sigma * data).powi(2);
        assert!((got / published - 1.0).abs() < 1e-14);
        assert_eq!(
            Weighting::edm(data).unwrap().weight(
                Prediction::EdmF { sigma_data: data },
                sde.point(sigma),
                &sde
            ),
            1.0
        );
    }

    #[test]
    fn smld_weighs_the_score_with_the_variance() {
        let sde = VeGeometric::new(0.01, 50.0).unwrap();
        let at = sde.point(0.3);
        let got = Weighting::SIGMA.weight(Prediction::Score, at, &sde);
        assert!((got / at.level.sigma.powi(2) - 1.0).abs() < 1e-14); // Song and Ermon 2019, eq. 6
    }

    #[test]
    fn min_snr_has_a_weight_at_both_ends() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let weigh = |output, level| {
            Weighting::MinSnr { gamma: 5.0 }.weight(output, TimePoint { t: 0.5, level }, &sde)
        };
        let noise = NoiseLevel { alpha: 0.0, sigma: 1.0 };
        assert_eq!(weigh(Prediction::Noise, noise), 1.0);
        assert_eq!(weigh(Prediction::Velocity, noise), 0.0);
        assert_eq!(weigh(Prediction::Data, NoiseLevel::CLEAN), 5.0);
        assert_eq!(weigh(Prediction::Velocity, NoiseLevel::CLEAN), 0.0);
    }

    #[test]
    fn nonsense_is_refused() {
        let error = Weighting::min_snr(0.0).unwrap_err();
        assert_eq!(error.to_string(), "gamma is 0, expected a finite value above 0");
        assert!(Weighting::edm(f64::NAN).is_err());
    }
}
