//! Measurements that are some of the values themselves.

use super::{LinearOperator, SingularValues, Spectrum};
use crate::GuidanceError;
use tweedie_score::{Axes, Elementwise};

/// Keeps the known values and puts 0 for the others.
#[derive(Clone, Debug)]
pub struct Mask<S> {
    known: S,
}

impl<S: Elementwise + Axes> Mask<S> {
    /// The mask of a whole batch: 1 where a value is known, 0 where it is not.
    ///
    /// # Errors
    /// When it has other values.
    pub fn new(known: S) -> Result<Self, GuidanceError> {
        let off = S::combine(&[(1.0, &known.mul(&known)), (-1.0, &known)]);
        match off.norm_each().iter().position(|norm| *norm != 0.0) {
            Some(sample) => Err(GuidanceError::MaskNotBinary { sample }),
            None => Ok(Self { known }),
        }
    }
}

impl<S: Elementwise + Axes + std::fmt::Debug> LinearOperator<S> for Mask<S> {
    fn apply(&self, x: &S) -> S {
        x.mul(&self.known)
    }

    fn adjoint(&self, y: &S) -> S {
        y.mul(&self.known)
    }

    fn decouple(&self, x: &S) -> S {
        S::combine(&[(1.0, x)])
    }

    fn couple(&self, coordinates: &S) -> S {
        S::combine(&[(1.0, coordinates)])
    }

    fn measured(&self, y: &S) -> S {
        y.mul(&self.known)
    }

    fn seen_in(&self, y: &S) -> Result<S, GuidanceError> {
        let (got, expected) = (self.known.shape(), y.shape());
        if got != expected {
            return Err(GuidanceError::ShapeMismatch { what: "mask", got, expected });
        }
        Ok(y.mul(&self.known))
    }

    fn spectrum(&self, _like: &S) -> Spectrum<S> {
        Spectrum { seen: S::combine(&[(1.0, &self.known)]), singular_values: SingularValues::One }
    }
}
