//! Implicit score matching: `1/2 || s ||^2 + tr ds/dx`. Hyvärinen 2005, eq. 4.
//!
//! One backward pass for each value of a sample: for states of few values.

use super::Slopes;
use crate::LossSpace;

/// The loss of each sample, one value each; the directions are the axes.
pub(super) fn each<S: LossSpace>(slopes: &Slopes<'_, S>) -> S {
    let square = slopes.score.dots(&slopes.score);
    let mut terms = vec![(0.5, &square)];
    terms.extend(slopes.along.iter().map(|slope| (1.0, slope)));
    S::combine(&terms) // Hyvärinen 2005, eq. 4
}
