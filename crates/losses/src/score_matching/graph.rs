//! Products with a network's Jacobian that can be differentiated once more.

use tch::{Kind, TchError, Tensor};

/// `J^T v` for each direction `v`, where `J` is the derivative of `output` by the `x` it was computed from.
/// The products hang on the graph, so that a loss made of them can be differentiated by the
/// network's parameters: one backward pass a direction now, and one through all of them later.
///
/// # Errors
/// When `output` was not computed from `x`, or `x` requires no gradient.
pub fn jacobian_products(
    output: &Tensor,
    x: &Tensor,
    directions: &[Tensor],
) -> Result<Vec<Tensor>, TchError> {
    let product = |v: &Tensor| {
        let along = (output * v).sum(Kind::Double);
        let product = Tensor::f_run_backward(&[along], &[x], true, true)?.swap_remove(0);
        if product.defined() {
            return Ok(product);
        }
        Err(TchError::Torch("the output does not depend on the state".to_owned()))
    };
    directions.iter().map(product).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MatchingForm, Reduction, ScoreMatching, Slices, Weighting};
    use tch::Device;
    use tweedie_schedules::{NoiseSchedule, Prediction, VpLinear};
    use tweedie_score::{ProbeKind, Seeded};

    /// A network with a curvature: `tanh(x W) c`.
    fn network(x: &Tensor, w: &Tensor) -> Tensor {
        x.matmul(w).tanh() * 0.7
    }

    #[test]
    fn the_gradient_through_the_products_is_that_of_finite_differences() {
        let sde = VpLinear::new(0.1, 20.0).unwrap();
        let points = [sde.point(0.3), sde.point(0.6)];
        let w = Tensor::from_slice(&[0.4, -0.3, 0.2, 0.9]).reshape([2, 2]);
        let x = Tensor::from_slice(&[0.3, 0.1, -0.4, 0.8]).reshape([2, 2]).set_requires_grad(true);
        let slices = Slices { kind: ProbeKind::Gaussian, count: 2 };
        for form in [
            MatchingForm::Implicit,
            MatchingForm::Sliced(slices),
            MatchingForm::SlicedVarianceReduced(slices),
        ] {
            let objective = ScoreMatching {
                form,
                prediction: Prediction::Noise,
                weighting: Weighting::SIGMA,
                reduction: Reduction::HalfSum,
            };
            let plan = objective.plan(&points, &sde).unwrap();
            let directions = plan.directions(&x.detach(), &mut Seeded::new(0)).unwrap();
            let loss = |w: &Tensor| {
                let output = network(&x, w);
                let products = jacobian_products(&output, &x, &directions).unwrap();
                plan.losses(&x, &output, &directions, &products).sum(Kind::Double)
            };
            let parameters = w.copy().set_requires_grad(true);
            loss(&parameters).backward();
            for place in 0..4 {
                let unit = Tensor::zeros([4], (Kind::Double, Device::Cpu));
                let _ = unit.get(place).fill_(1e-5);
                let at = |sign: f64| loss(&(&w + unit.reshape([2, 2]) * sign)).double_value(&[]);
                let slope = (at(1.0) - at(-1.0)) / 2e-5;
                let got = parameters.grad().double_value(&[place / 2, place % 2]);
                assert!(
                    (got - slope).abs() < 1e-8 * (1.0 + slope.abs()),
                    "{form:?}: {got}, {slope}"
                );
            }
        }
    }

    #[test]
    fn an_output_of_something_else_is_refused() {
        let x = Tensor::ones([2, 2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        let other = Tensor::ones([2, 2], (Kind::Double, Device::Cpu)).set_requires_grad(true);
        assert!(jacobian_products(&(&other * 2.0), &x, &[x.detach()]).is_err());
    }
}
