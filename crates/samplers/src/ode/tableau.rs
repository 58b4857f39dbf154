//! The coefficients of an explicit embedded Runge-Kutta method.

mod bogacki_shampine;
mod dop853;
mod dormand_prince;

/// An explicit method whose last stage stands at the new state, and so is the first of the next step.
///
/// `k_i = f(t + c_i h, x + h sum_j a_ij k_j)`, `x' = x + h sum_i b_i k_i`, `k_n = f(t + h, x')`.
/// Hairer et al. 1993, eq. II.1.8.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tableau {
    pub(super) order: u32,
    /// Order of the error estimate: the local error is one order higher in the step.
    pub(super) error_order: u32,
    /// `c`, of which the first is 0.
    pub(super) nodes: &'static [f64],
    /// The rows of `a`, of which the first is empty.
    pub(super) stages: &'static [&'static [f64]],
    /// `b`.
    pub(super) weights: &'static [f64],
    pub(super) error: ErrorWeights,
    pub(super) dense: DenseRows,
}

/// Weights of the stages, the last one included, in the estimate of the error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ErrorWeights {
    One(&'static [f64]),
    /// The estimate of order 5, which that of order 3 tempers where both are large.
    FifthAndThird {
        fifth: &'static [f64],
        third: &'static [f64],
    },
}

/// What the interpolant has beyond the cubic through both ends and their slopes.
///
/// Row `r` is the coefficient, by stages, of the `r`-th of `x^2 (1-x)^2`, `x^3 (1-x)^2`, ...
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct DenseRows {
    /// Nodes of stages that only the interpolant needs.
    pub(super) nodes: &'static [f64],
    /// Their rows of `a`.
    pub(super) stages: &'static [&'static [f64]],
    pub(super) rows: &'static [&'static [f64]],
}

impl Tableau {
    /// Order of the method: the error at a fixed time falls by `2^order` when steps are halved.
    #[must_use]
    pub fn order(&self) -> u32 {
        self.order
    }

    /// Evaluations of the field an attempt takes, after the first.
    #[must_use]
    pub fn evaluations(&self) -> usize {
        self.weights.len()
    }

    /// Evaluations that the interpolant of a step takes.
    #[must_use]
    pub fn interpolant_evaluations(&self) -> usize {
        self.dense.nodes.len()
    }

    /// Weights of all stages in `(x(t + share h) - x(t)) / h`.
    ///
    /// Hairer et al. 1993, sec. II.6: with `y = 1 - x`, the sum `x (F0 + y (F1 + x (F2 + y (F3 + ...`,
    /// where `F0` to `F2` make the cubic through both ends and their slopes.
    pub(super) fn dense_weights(&self, share: f64) -> Vec<f64> {
        let last = self.weights.len();
        let mut sum = vec![0.0; last + 1 + self.dense.nodes.len()];
        let mut factor = share;
        let cubic = [(1.0, 0.0, 0.0), (-1.0, 1.0, 0.0), (2.0, -1.0, -1.0)];
        for (index, (of_change, of_first, of_last)) in cubic.into_iter().enumerate() {
            for (sum, weight) in sum.iter_mut().zip(self.weights) {
                *sum += factor * of_change * weight;
            }
            sum[0] += factor * of_first;
            sum[last] += factor * of_last;
            factor *= if index % 2 == 0 { 1.0 - share } else { share };
        }
        for (index, row) in self.dense.rows.iter().enumerate() {
            for (sum, weight) in sum.iter_mut().zip(*row) {
                *sum += factor * weight;
            }
            factor *= if index % 2 == 0 { share } else { 1.0 - share };
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Tableau; 4] = [
        Tableau::DORMAND_PRINCE,
        Tableau::BOGACKI_SHAMPINE,
        Tableau::BOGACKI_SHAMPINE_HALFWAY,
        Tableau::DOP853,
    ];

    #[test]
    fn rows_sum_to_their_nodes_and_weights_to_one() {
        for tableau in ALL {
            let rows = tableau.stages.iter().zip(tableau.nodes);
            let dense = tableau.dense.stages.iter().zip(tableau.dense.nodes);
            for (row, node) in rows.chain(dense) {
                assert!((row.iter().sum::<f64>() - node).abs() < 1e-13, "{row:?}");
            }
            assert!((tableau.weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        }
    }

    #[test]
    fn an_error_estimate_vanishes_for_a_constant_slope() {
        for tableau in ALL {
            let estimates = match tableau.error {
                ErrorWeights::One(weights) => vec![weights],
                ErrorWeights::FifthAndThird { fifth, third } => vec![fifth, third],
            };
            for weights in estimates {
                assert_eq!(weights.len(), tableau.weights.len() + 1);
                assert!(weights.iter().sum::<f64>().abs() < 1e-13);
            }
        }
    }

    #[test]
    fn the_quartic_goes_through_the_state_halfway() {
        let halfway = Tableau::BOGACKI_SHAMPINE_HALFWAY.dense_weights(0.5);
        for (got, expected) in halfway.iter().zip([0.0, 0.5, 0.0, 0.0]) {
            assert!((got - expected).abs() < 1e-15, "{halfway:?}");
        }
    }

    #[test]
    fn the_interpolant_starts_at_the_old_state_and_ends_at_the_new() {
        for tableau in ALL {
            assert!(tableau.dense_weights(0.0).iter().all(|weight| *weight == 0.0));
            let end = tableau.dense_weights(1.0);
            for (got, expected) in end.iter().zip(tableau.weights) {
                assert!((got - expected).abs() < 1e-14);
            }
        }
    }
}
