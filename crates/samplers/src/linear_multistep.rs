//! Linear multistep: the slope of past steps, continued by a polynomial.
//!
//! In relative noise `s = sigma / alpha` the probability flow is `dy/ds = eps_hat` of `y = x / alpha`.
//! The last noise predictions are joined by a polynomial in `s`, whose integral is the step:
//! Adams-Bashforth on uneven points (Hairer et al. 1993, sec. III.5). One evaluation a step,
//! deterministic. It starts with a step of Euler's rule, whose error is of second order in the end: so is
//! the method, however many predictions it looks at; more of them make the error smaller.

use crate::{SampleError, Solver, Stepper};
use std::collections::VecDeque;
use tweedie_schedules::{Interval, NoiseLevel, Prediction, TimeGrid};
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
        let Interval { from, to } = intervals[step];
        let relative = |level: NoiseLevel| level.sigma / level.alpha;
        let count = self.order.min(step + 1);
        // newest first
        let nodes: Vec<f64> =
            (0..count).map(|back| relative(intervals[step - back].from.level)).collect();
        let integrals = integrals(&nodes, relative(from.level), relative(to.level));
        let x = to.level.alpha / from.level.alpha;
        let noise: Vec<f64> = integrals.into_iter().map(|c| to.level.alpha * c).collect();
        let size: f64 = noise.iter().map(|c| c.abs()).sum();
        if (x + size).is_finite() {
            return Ok(StepPlan { interval: intervals[step], x, noise });
        }
        let (from, to) = (from.t, to.t);
        Err(SampleError::NotFinite { step, from, to, x, data: 0.0, noise: size })
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

/// `x * state + sum of noise * eps_hat`, newest prediction first.
struct StepPlan {
    interval: Interval,
    x: f64,
    noise: Vec<f64>,
}

struct Steps<S> {
    plans: Vec<StepPlan>,
    order: usize,
    /// Noise predictions, newest first.
    past: VecDeque<S>,
}

impl<S: VectorSpace> Solver<S> for LinearMultistep {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let plans = self.plans(grid)?;
        Ok(Box::new(Steps { plans, order: self.order, past: VecDeque::new() }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.plans(grid)?.len())
    }
}

impl<S: VectorSpace> Stepper<S> for Steps<S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        _: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let plan = &self.plans[index];
        let from = plan.interval.from;
        let output = score
            .predict(&x, Times::Shared(from))
            .map_err(|source| SampleError::Score { step: index, t: from.t, source })?;
        let (of_x, of_output) = score.prediction().convert(Prediction::Noise, from.level);
        let eps = S::combine(&[(of_x, &x), (of_output, &output)]);
        self.past.push_front(eps);
        self.past.truncate(self.order);
        let slopes = plan.noise.iter().copied().zip(&self.past);
        let terms: Vec<(f64, &S)> = std::iter::once((plan.x, &x)).chain(slopes).collect();
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
