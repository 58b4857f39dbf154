//! The loop: attempts, their errors, and what is made of accepted steps.

use super::control::{ScipyControl, Stepping, TorchdiffeqControl};
use super::field::Field;
use super::initial_step::{Start, initial_step};
use super::interpolant::{Interpolant, advance};
use super::runge_kutta::RungeKutta;
use super::tableau::Tableau;
use crate::{AdaptiveRun, Counters, SampleError, StepController};
use tweedie_score::{ErrorNorm, VectorSpace};

/// Takes an accepted step and gives back the slope at its end.
pub(super) type Keep<'a, S> =
    dyn FnMut(Interpolant<S>, &mut Field<'_, S>) -> Result<S, SampleError> + 'a;

/// A run under way.
struct Walk<'m, S> {
    method: &'m RungeKutta,
    end: f64,
    direction: f64,
    t: f64,
    x: S,
    slope: S,
    /// Size of the next attempt, without its sign.
    size: f64,
    control: Box<dyn StepController>,
    rejected: usize,
}

/// Integrates over a span and shows every accepted step to `keep`.
pub(super) fn walk<S: ErrorNorm>(
    method: &RungeKutta,
    field: &mut Field<'_, S>,
    span: (f64, f64),
    x: S,
    keep: &mut Keep<'_, S>,
) -> Result<AdaptiveRun<S>, SampleError> {
    let mut walk = Walk::start(method, field, span, x)?;
    let mut times = vec![span.0];
    let mut beyond = None;
    while (walk.end - walk.t) * walk.direction > 0.0 {
        let mut step = walk.accepted_step(field)?;
        times.push(walk.t);
        field.step += 1;
        if (walk.t - walk.end) * walk.direction > 0.0 {
            step.complete(field)?;
            beyond = Some(step.at(walk.end));
        }
        walk.slope = keep(step, field)?;
    }
    let counters = Counters {
        accepted: times.len() - 1,
        rejected: walk.rejected,
        evaluations: field.evaluations,
    };
    Ok(AdaptiveRun { state: beyond.unwrap_or(walk.x), times, counters })
}

impl<'m, S: ErrorNorm> Walk<'m, S> {
    fn start(
        method: &'m RungeKutta,
        field: &mut Field<'_, S>,
        (t, end): (f64, f64),
        x: S,
    ) -> Result<Self, SampleError> {
        let direction = (end - t).signum();
        let slope = field.at(t, &x)?;
        let longest = match method.stepping {
            Stepping::Scipy => (end - t).abs().min(method.max_step),
            Stepping::Torchdiffeq => f64::INFINITY,
        };
        let size = match method.first_step {
            Some(size) => size,
            None => {
                let start = Start { t, x: &x, slope: &slope, direction, longest };
                initial_step(&start, field, method.norm(), method.tableau.error_order)?
            }
        };
        let exponent = 1.0 / f64::from(method.tableau.error_order + 1);
        let control: Box<dyn StepController> = match method.stepping {
            Stepping::Scipy => Box::new(ScipyControl { exponent, rejected: false }),
            Stepping::Torchdiffeq => Box::new(TorchdiffeqControl { exponent }),
        };
        Ok(Self { method, end, direction, t, x, slope, size, control, rejected: 0 })
    }

    /// Attempts steps until one is accepted, and moves to its end.
    fn accepted_step(&mut self, field: &mut Field<'_, S>) -> Result<Interpolant<S>, SampleError> {
        let smallest = self.smallest_step();
        self.size = self.size.max(smallest).min(self.method.max_step);
        loop {
            if self.size.is_nan() || self.size < smallest {
                return Err(SampleError::StepTooSmall { t: self.t, smallest });
            }
            let (to, h) = self.next_time();
            self.size = h.abs();
            let slope = S::combine(&[(1.0, &self.slope)]);
            let (x, stages) = attempt(&self.method.tableau, field, (self.t, h), &self.x, slope)?;
            let norm = self.method.norm();
            let error = norm.of_step(&self.method.tableau, h, &stages, (&self.x, &x));
            let decision = self.control.decide(error);
            self.size *= decision.factor;
            if decision.accept {
                let (tableau, from) = (self.method.tableau, self.t);
                self.t = to;
                let x = std::mem::replace(&mut self.x, x);
                return Ok(Interpolant { tableau, from, h, x, stages });
            }
            self.rejected += 1;
        }
    }

    /// Ten times the distance to the next number, below which time can no longer be resolved.
    fn smallest_step(&self) -> f64 {
        let next = if self.direction > 0.0 { self.t.next_up() } else { self.t.next_down() };
        10.0 * (next - self.t).abs()
    }

    /// Where the attempt ends, and its signed size as it is after rounding.
    fn next_time(&self) -> (f64, f64) {
        let to = self.t + self.size * self.direction;
        let past = (to - self.end) * self.direction > 0.0;
        let to = if past && self.method.stepping == Stepping::Scipy { self.end } else { to };
        (to, to - self.t)
    }
}

/// The state after a step of size `h`, and all stages of the step.
pub(super) fn attempt<S: VectorSpace>(
    tableau: &Tableau,
    field: &mut Field<'_, S>,
    (t, h): (f64, f64),
    x: &S,
    slope: S,
) -> Result<(S, Vec<S>), SampleError> {
    let mut stages = vec![slope];
    for (node, row) in tableau.nodes.iter().zip(tableau.stages).skip(1) {
        let stage = field.at(t + node * h, &advance(x, h, row, &stages))?;
        stages.push(stage);
    }
    let end = advance(x, h, tableau.weights, &stages);
    stages.push(field.at(t + h, &end)?);
    Ok((end, stages))
}
