//! Linear multistep: the slope of past steps, continued by a polynomial.
//!
//! In relative noise `s = sigma / alpha` the probability flow is `dy/ds = eps_hat` of `y = x / alpha`.
//! The last noise predictions are joined by a polynomial in `s`, whose integral is the step:
//! Adams-Bashforth on uneven points (Hairer et al. 1993, sec. III.5). One evaluation a step,
//! deterministic. It starts with a step of Euler's rule, whose error is of second order in the end: so is
//! the method, however many predictions it looks at; more of them make the error smaller. In pure noise,
//! where `s` is infinite, Euler's rule in `s` has DDIM's step as its limit; the polynomials begin after it.

use crate::{Ddim, Predictor, SampleError, Solver, StepCoefficients, Stepper};
use std::collections::VecDeque;
use tweedie_schedules::{Interval, Prediction, TimeGrid};
use tweedie_score::{NoiseSource, ScoreFn, Times, VectorSpace};

/// The linear multistep method of a given order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinearMultistep {
    order: usize,
}

/// Orders above this are exact only for longer quadratures, and not stable enough to be of use.
const LARGEST_ORDER: usize = 7;

/// Nodes on `[-1, 1]` and weights of the Gauss-Legendre rule that is exact up to degree 7.
const GAUSS: [(f64, f64); 4] = [
    (-0.861_136_311_594_052_6, 0.347_854_845_137_453_86),
    (-0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.339_981_043_584_856_26, 0.652_145_154_862_546_1),
    (0.861_136_311_594_052_6, 0.347_854_845_137_453_86),
];

impl LinearMultistep {
    /// The method that looks at the last `order` noise predictions (published with 4).
    ///
    /// # Errors
    /// When `order` is not 1 to 7.
    pub fn new(order: usize) -> Result<Self, SampleError> {
        if (1..=LARGEST_ORDER).contains(&order) {
            Ok(Self { order })
        } else {
            let (value, allowed) = (order as f64, "a whole number from 1 to 7");
            Err(SampleError::ParameterOutOfRange { name: "order", value, allowed })
        }
    }

    fn plans(self, grid: &TimeGrid) -> Result<Vec<StepPlan>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let plan = |step: usize| self.step(grid.intervals(), step);
        (0..grid.len()).map(plan).collect()
    }

    fn step(self, intervals: &[Interval], step: usize) -> Result<StepPlan, SampleError> {
        let interval = intervals[step];
        let (from, to) = (interval.from.level, interval.to.level);
        if from.alpha == 0.0 {
            return Ok(StepPlan::FromPureNoise(Ddim::DETERMINISTIC.coefficients(interval)));
        }
        // newest first, back to where the run left pure noise
        let past = intervals[..=step].iter().rev().take(self.order);
        let sigmas = past.map(|interval| interval.from.level.noise_to_signal());
        let nodes: Vec<f64> = sigmas.take_while(|sigma| sigma.is_finite()).collect();
        let integrals = integrals(&nodes, from.noise_to_signal(), to.noise_to_signal());
        let x = to.alpha / from.alpha;
        let noise: Vec<f64> = integrals.into_iter().map(|c| to.alpha * c).collect();
        if noise.iter().chain([&x]).all(|coefficient| coefficient.is_finite()) {
            Ok(StepPlan::Polynomial { x, noise })
        } else {
            Err(SampleError::not_finite(step, interval))
        }
    }
}

/// The integral from `from` to `to` of each Lagrange polynomial on `nodes`.
fn integrals(nodes: &[f64], from: f64, to: f64) -> Vec<f64> {
    let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
    let lagrange = |own: usize, s: f64| -> f64 {
        let others = nodes.iter().enumerate().filter(|(index, _)| *index != own);
        others.map(|(_, node)| (s - node) / (nodes[own] - node)).product()
    };
    let integral = |own: usize| {
        let terms = GAUSS.iter().map(|(node, weight)| weight * lagrange(own, middle + half * node));
        half * terms.sum::<f64>()
    };
    (0..nodes.len()).map(integral).collect()
}

enum StepPlan {
    /// DDIM's step.
    FromPureNoise(StepCoefficients),
    /// `x * state + sum of noise * eps_hat`, newest prediction first.
    Polynomial { x: f64, noise: Vec<f64> },
}

struct Steps<'a, S> {
    intervals: &'a [Interval],
    plans: Vec<StepPlan>,
    order: usize,
    /// Noise predictions, newest first.
    past: VecDeque<S>,
}

impl<S: VectorSpace> Solver<S> for LinearMultistep {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let plans = self.plans(grid)?;
        let (intervals, past) = (grid.intervals(), VecDeque::new());
        Ok(Box::new(Steps { intervals, plans, order: self.order, past }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.plans(grid)?.len())
    }
}

impl<S: VectorSpace> Stepper<S> for Steps<'_, S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        _: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let from = self.intervals[index].from;
        let failed = |source| SampleError::Score { step: index, t: from.t, source };
        let convert = |wanted| score.conversion(wanted, from).map_err(failed);
        let (kept, noise) = match &self.plans[index] {
            StepPlan::FromPureNoise(StepCoefficients { x: kept, data, .. }) => {
                let (of_x, of_output) = convert(Prediction::Data)?;
                let output = score.predict(&x, Times::Shared(from)).map_err(failed)?;
                return Ok(S::combine(&[(kept + data * of_x, &x), (data * of_output, &output)]));
            }
            StepPlan::Polynomial { x, noise } => (*x, noise),
        };
        let (of_x, of_output) = convert(Prediction::Noise)?;
        let output = score.predict(&x, Times::Shared(from)).map_err(failed)?;
        self.past.push_front(S::combine(&[(of_x, &x), (of_output, &output)]));
        self.past.truncate(self.order);
        let slopes = noise.iter().copied().zip(&self.past);
        let terms: Vec<(f64, &S)> = std::iter::once((kept, &x)).chain(slopes).collect();
        Ok(S::combine(&terms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_of_degree_below_the_order_are_integrated_exactly() {
        for order in 1..=LARGEST_ORDER {
            let nodes: Vec<f64> =
                (0..order).map(|k| 1.0 + 0.3 * k as f64 + 0.05 * (k * k) as f64).collect();
            let weights = integrals(&nodes, 1.0, 0.6);
            for degree in 0..order as i32 {
                let got: f64 = weights.iter().zip(&nodes).map(|(w, s)| w * s.powi(degree)).sum();
                let exact = (0.6_f64.powi(degree + 1) - 1.0) / f64::from(degree + 1);
                assert!((got - exact).abs() < 1e-9, "order {order}, degree {degree}");
            }
        }
    }

    #[test]
    fn an_order_out_of_range_is_refused() {
        assert!(LinearMultistep::new(0).is_err() && LinearMultistep::new(8).is_err());
    }
}
