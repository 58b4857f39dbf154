//! How a step uses its evaluations.

use crate::SampleError;

/// The rule of a step along the probability flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// One evaluation, first order.
    Euler,
    /// The slope at the start and the slope `alpha` of the way along, weighted for second order:
    /// Heun's rule at `alpha = 1`, the midpoint rule at `1/2`, Ralston's at `2/3`.
    Heun {
        /// Where the second evaluation stands, above 0.
        alpha: f64,
    },
    /// The slope at the geometric middle of the step variable alone: DPM-Solver-2 where the variable
    /// is sigma.
    GeometricMidpoint,
}

impl Rule {
    /// Heun's rule, the choice of EDM.
    pub const HEUN: Self = Self::Heun { alpha: 1.0 };

    /// The most evaluations that a step takes.
    #[must_use]
    pub fn evaluations(self) -> usize {
        if self == Self::Euler { 1 } else { 2 }
    }

    pub(super) fn check(self) -> Result<(), SampleError> {
        match self {
            Self::Heun { alpha } if !(alpha > 0.0 && alpha.is_finite()) => {
                let allowed = "a finite value above 0";
                Err(SampleError::ParameterOutOfRange { name: "alpha", value: alpha, allowed })
            }
            _ => Ok(()),
        }
    }

    /// Where the second evaluation of a step from `from` to `to` stands, with the weights of the
    /// first slope and the second; nothing for one evaluation.
    pub(super) fn second(self, from: f64, to: f64) -> Option<(f64, f64, f64)> {
        match self {
            Self::Euler => None,
            Self::Heun { alpha } => {
                // Karras et al. 2022, algorithm 3
                let weight = 0.5 / alpha;
                Some((from + alpha * (to - from), 1.0 - weight, weight))
            }
            // Lu et al. 2022, algorithm 1, in sigma: the middle in lambda
            Self::GeometricMidpoint => Some(((from * to).sqrt(), 0.0, 1.0)),
        }
    }
}
