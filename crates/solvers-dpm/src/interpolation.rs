//! Weights of predictions in a step, from the polynomial through them.

use crate::algorithm::Integral;

/// Weights with which the predictions at `offsets` enter a step when the prediction between them is
/// taken for the polynomial through all of them.
///
/// `offsets` are lambdas counted from the start of the step, all different.
pub(crate) fn polynomial_weights(offsets: &[f64], integral: &Integral) -> Vec<f64> {
    // lambda in units of the widest offset, so that its powers stay near 1
    let unit = offsets.iter().fold(0.0_f64, |widest, u| widest.max(u.abs()));
    let unit = if unit == 0.0 { 1.0 } else { unit };
    let nodes: Vec<f64> = offsets.iter().map(|u| u / unit).collect();
    // the polynomial x^k is to be integrated exactly: sum of w_j x_j^k = k! moment(k) / unit^k
    let mut factor = 1.0;
    let mut weights: Vec<f64> = Vec::with_capacity(nodes.len());
    for k in 0..nodes.len() {
        weights.push(factor * integral.moment(k));
        factor *= (k + 1) as f64 / unit;
    }
    solve_vandermonde(&nodes, &mut weights);
    weights
}

/// Solves `sum over j of w_j x_j^k = b_k` for `w`, in the place of `b`.
fn solve_vandermonde(x: &[f64], b: &mut [f64]) {
    // Björck and Pereyra 1970, the algorithm for the primal system
    let last = x.len() - 1;
    for (k, node) in x[..last].iter().enumerate() {
        for i in (k + 1..=last).rev() {
            b[i] -= node * b[i - 1];
        }
    }
    for k in (0..last).rev() {
        for i in k + 1..=last {
            b[i] /= x[i] - x[i - k - 1];
        }
        for i in k..last {
            b[i] -= b[i + 1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;
    use proptest::prelude::*;
    use tweedie_schedules::{Interval, NoiseLevel, TimePoint};

    proptest! {
        #[test]
        fn a_polynomial_prediction_is_integrated_exactly(
            h in 1e-3..1.0_f64, back in 1e-2..1.0_f64, further in 1e-2..1.0_f64, eta in 0.0..=1.0_f64,
            c in prop::array::uniform3(-1.0..1.0_f64),
        ) {
            let point = |lambda: f64| TimePoint {
                t: -lambda,
                level: NoiseLevel { alpha: 1.0, sigma: (-lambda).exp() },
            };
            let interval = Interval { from: point(0.0), to: point(h) };
            let prediction = |u: f64| c[0] + c[1] * u + c[2] * u * u / 2.0;
            let offsets: [f64; 3] = [0.0, -back, -back - further];
            for algorithm in [Algorithm::DPM_SOLVER, Algorithm::DPM_SOLVER_PP] {
                let integral = algorithm.with_eta(eta).integral(interval);
                let weights = polynomial_weights(&offsets, &integral);
                let got: f64 = weights.iter().zip(offsets).map(|(w, u)| w * prediction(u)).sum();
                let expected: f64 = (0..3).map(|k| c[k] * integral.moment(k)).sum();
                prop_assert!((got - expected).abs() < 1e-10, "{got} for {expected}");
            }
        }
    }
}
