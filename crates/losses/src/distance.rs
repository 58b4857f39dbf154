//! How the error of a prediction is counted.

use crate::LossError;

/// A distance between prediction and target, value by value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Distance {
    /// `r^2`.
    #[default]
    SquaredError,
    /// `|r|`.
    AbsoluteError,
    /// `r^2 / 2` up to `delta`, then `delta (|r| - delta / 2)`.
    Huber {
        /// Error at which the square gives way to the line.
        delta: f64,
    },
}

impl Distance {
    /// The Huber distance.
    ///
    /// # Errors
    /// When `delta` is not above 0.
    pub fn huber(delta: f64) -> Result<Self, LossError> {
        Self::Huber { delta }.checked()
    }

    /// The distance where it is one: the scale of a Huber distance is positive.
    pub(crate) fn checked(self) -> Result<Self, LossError> {
        match self {
            Self::Huber { delta } if !(delta > 0.0 && delta.is_finite()) => {
                Err(LossError::DeltaOutOfRange { delta })
            }
            _ => Ok(self),
        }
    }

    /// The distance of one residual.
    #[must_use]
    pub fn of(self, residual: f64) -> f64 {
        match self {
            Self::SquaredError => residual * residual,
            Self::AbsoluteError => residual.abs(),
            Self::Huber { delta } if residual.abs() <= delta => 0.5 * residual * residual,
            Self::Huber { delta } => delta * (residual.abs() - 0.5 * delta),
        }
    }

    /// The distance value by value, differentiable.
    #[cfg(feature = "tch")]
    pub fn of_tensors(self, output: &tch::Tensor, target: &tch::Tensor) -> tch::Tensor {
        use tch::Reduction;
        match self {
            Self::SquaredError => output.mse_loss(target, Reduction::None),
            Self::AbsoluteError => output.l1_loss(target, Reduction::None),
            Self::Huber { delta } => output.huber_loss(target, Reduction::None, delta),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huber_joins_its_two_branches_smoothly() {
        let huber = Distance::huber(0.7).unwrap();
        let (below, above) = (huber.of(0.7 - 1e-9), huber.of(0.7 + 1e-9));
        assert!((above - below - 0.7 * 2e-9).abs() < 1e-15);
        assert_eq!(huber.of(-2.0), huber.of(2.0));
    }

    #[test]
    fn a_huber_scale_of_zero_is_refused() {
        let error = Distance::huber(0.0).unwrap_err();
        assert_eq!(error.to_string(), "huber delta is 0, expected a value above 0");
        assert!(Distance::huber(f64::NAN).is_err());
    }

    #[cfg(feature = "tch")]
    #[test]
    fn tensors_and_numbers_agree() {
        use tch::{Kind, Tensor};
        let residuals = [-3.0, -0.7, -0.1, 0.0, 0.5, 2.0];
        let (output, zero) =
            (Tensor::from_slice(&residuals), Tensor::zeros([6], (Kind::Double, tch::Device::Cpu)));
        for distance in
            [Distance::SquaredError, Distance::AbsoluteError, Distance::Huber { delta: 0.7 }]
        {
            let got = Vec::<f64>::try_from(distance.of_tensors(&output, &zero)).unwrap();
            for (got, residual) in got.iter().zip(residuals) {
                assert!((got - distance.of(residual)).abs() < 1e-15, "{distance:?}");
            }
        }
    }
}
