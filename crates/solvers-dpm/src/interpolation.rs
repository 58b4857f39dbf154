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
    let mut factor = 1.0;
    let moments: Vec<f64> = (0..offsets.len())
        .map(|k| {
            if k > 0 {
                factor *= k as f64 / unit; // k! / unit^k
            }
            factor * integral.moment(k)
        })
        .collect();
    let weight = |j: usize| {
        let coefficients = lagrange(offsets, j, unit);
        coefficients.iter().zip(&moments).map(|(c, moment)| c * moment).sum()
    };
    (0..offsets.len()).map(weight).collect()
}

/// Coefficients, in rising powers, of the polynomial that is 1 at node `j` and 0 at the others.
fn lagrange(offsets: &[f64], j: usize, unit: f64) -> Vec<f64> {
    let mut coefficients = vec![1.0];
    for (i, node) in offsets.iter().enumerate() {
        if i == j {
            continue;
        }
        let (root, distance) = (node / unit, (offsets[j] - node) / unit);
        coefficients.push(0.0);
        for power in (0..coefficients.len()).rev() {
            let below = if power > 0 { coefficients[power - 1] } else { 0.0 };
            coefficients[power] = (below - root * coefficients[power]) / distance;
        }
    }
    coefficients
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
