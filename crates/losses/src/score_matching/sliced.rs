//! Sliced score matching: the score along random directions `v` of mean 0 and covariance 1.
//!
//! `v^T (ds/dx) v + 1/2 (v^T s)^2` (Song et al. 2019, eq. 7), or with the square's mean over the
//! directions in its place, `v^T (ds/dx) v + 1/2 || s ||^2` (eq. 8), which takes the square's own variance
//! away (mostly the larger; that of the sum need not fall, where slope and square vary against each
//! other). Both have the mean of implicit score matching, with one backward pass a direction.

use super::Slopes;
use crate::LossSpace;
use tweedie_score::{NoiseError, NoiseSource, ProbeKind};

/// The random directions of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slices {
    /// What they are drawn from.
    pub kind: ProbeKind,
    /// How many there are; the loss is the mean over them.
    pub count: usize,
}

impl Default for Slices {
    /// One direction of independent signs.
    fn default() -> Self {
        Self { kind: ProbeKind::Rademacher, count: 1 }
    }
}

impl Slices {
    pub(super) fn draw<S>(
        self,
        x: &S,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<Vec<S>, NoiseError> {
        (0..self.count).map(|_| self.kind.draw(x, noise)).collect()
    }
}

/// The loss of each sample, one value each.
pub(super) fn each<S: LossSpace>(slopes: &Slopes<'_, S>) -> S {
    let squares = slopes.directions.iter().map(|v| {
        let along = v.dots(&slopes.score);
        along.mul(&along)
    });
    let squares: Vec<S> = squares.collect();
    let share = 1.0 / slopes.along.len() as f64;
    // Song et al. 2019, eq. 7
    let terms = slopes.along.iter().zip(&squares);
    let terms: Vec<_> =
        terms.flat_map(|(slope, square)| [(share, slope), (0.5 * share, square)]).collect();
    S::combine(&terms)
}

/// The loss of each sample with reduced variance, one value each.
pub(super) fn variance_reduced_each<S: LossSpace>(slopes: &Slopes<'_, S>) -> S {
    let square = slopes.score.dots(&slopes.score);
    let share = 1.0 / slopes.along.len() as f64;
    let mut terms = vec![(0.5, &square)];
    terms.extend(slopes.along.iter().map(|slope| (share, slope)));
    S::combine(&terms) // Song et al. 2019, eq. 8
}
