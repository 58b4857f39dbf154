//! Linear measurements, decoupled: coordinates of the data in which each is seen by itself or not at all.
//!
//! With the singular value decomposition `A = U S V^T`, a measurement `y = A x` says of the coordinates
//! `V^T x` that those with a singular value are `S^+ U^T y`, and of the others nothing. In these
//! coordinates every linear inverse problem is a mask: Song et al. 2021, appendix I.3, for colours.

mod colours;
mod mask;
mod separable;

pub use colours::ColourBasis;
pub use mask::Mask;
pub use separable::Separable;

use crate::GuidanceError;
use std::fmt::Debug;

/// A linear map `A` from data to measurements, known by its decomposition `A = U S V^T`.
pub trait LinearOperator<S>: Debug {
    /// `A x`.
    fn apply(&self, x: &S) -> S;

    /// `A^T y`.
    fn adjoint(&self, y: &S) -> S;

    /// The coordinates `V^T x`, an array of the shape of `x`.
    fn decouple(&self, x: &S) -> S;

    /// The state of these coordinates, `V z`.
    fn couple(&self, coordinates: &S) -> S;

    /// A measurement with 0 for those of its values that measure nothing: the pixels outside a mask.
    fn measured(&self, y: &S) -> S;

    /// What a measurement says of each coordinate, `S^+ U^T y`; 0 of those it does not see. An array of
    /// the shape of the data.
    ///
    /// # Errors
    /// When the measurement has another shape than this operator gives.
    fn seen_in(&self, y: &S) -> Result<S, GuidanceError>;

    /// Which coordinates are seen, and how strongly, for a batch of the shape of `like`.
    fn spectrum(&self, like: &S) -> Spectrum<S>;
}

/// The coordinates that an operator sees.
#[derive(Clone, Debug)]
pub struct Spectrum<S> {
    /// 1 for each coordinate that is seen, 0 for the others.
    pub seen: S,
    /// How strongly.
    pub singular_values: SingularValues,
}

/// The singular values of the coordinates that are seen.
#[derive(Clone, Debug, PartialEq)]
pub enum SingularValues {
    /// 1 for each: the operator is a projection.
    One,
    /// Those of one sample's coordinates, in row-major order; 0 for what is not seen.
    Each(Vec<f64>),
}

impl SingularValues {
    /// Whether no coordinate is seen ten times as strongly as another that is: what is measured can be undone
    /// without losing a digit.
    pub(crate) fn are_alike(&self) -> bool {
        let Self::Each(each) = self else { return true };
        let seen = || each.iter().copied().filter(|value| *value > 0.0);
        let (least, most) = (seen().fold(f64::INFINITY, f64::min), seen().fold(0.0, f64::max));
        least >= 0.1 * most
    }
}
