//! Bogacki-Shampine 3(2): order 3 in 3 evaluations, for loose tolerances.
//!
//! Coefficients: Bogacki and Shampine 1989. The interpolant is the cubic through both ends.

use super::{DenseRows, ErrorWeights, Tableau};

impl Tableau {
    /// Order 3(2): 3 evaluations a step (Bogacki and Shampine 1989).
    pub const BOGACKI_SHAMPINE: Self = Self {
        order: 3,
        error_order: 2,
        nodes: &[0.0, 1.0 / 2.0, 3.0 / 4.0],
        stages: &[&[], &[1.0 / 2.0], &[0.0, 3.0 / 4.0]],
        weights: &[2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0],
        error: ErrorWeights::One(&[5.0 / 72.0, -1.0 / 12.0, -1.0 / 9.0, 1.0 / 8.0]),
        dense: DenseRows { nodes: &[], stages: &[], rows: &[] },
    };

    /// The same method with the quartic through the state that the second stage's slope leads to
    /// halfway: the interpolant of torchdiffeq.
    pub const BOGACKI_SHAMPINE_HALFWAY: Self = Self {
        dense: DenseRows {
            rows: &[&[-34.0 / 9.0, 16.0 / 3.0, -32.0 / 9.0, 2.0]],
            ..Self::BOGACKI_SHAMPINE.dense
        },
        ..Self::BOGACKI_SHAMPINE
    };
}
