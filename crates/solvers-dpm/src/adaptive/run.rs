//! The loop: attempts, their errors, and what is made of accepted steps.

use super::Adaptive;
use crate::fresh_noise::Renoised;
use crate::linear::prediction;
use crate::stage::{Row, Stage, Target, point_within};
use tweedie_samplers::{AdaptiveRun, Counters, SampleError, StepController};
use tweedie_schedules::{Interval, TimePoint};
use tweedie_score::{ErrorNorm, NoiseSource, ScoreFn};

/// Evaluations after which a run gives up: a thousand times what tight tolerances take.
const MOST_EVALUATIONS: usize = 100_000;

/// A run under way.
pub(super) struct Walk<'a, S> {
    solver: &'a Adaptive<'a>,
    control: Box<dyn StepController>,
    at: TimePoint,
    end: TimePoint,
    x: S,
    /// The lower method's state at `at`, against which the next error is measured.
    previous: Option<S>,
    /// What the network says at `at`, once it was asked.
    first_estimate: Option<S>,
    /// Size of the next attempt in lambda, without its sign.
    size: f64,
    times: Vec<f64>,
    counters: Counters,
}

/// The coefficients of an attempt.
struct Attempt {
    to: TimePoint,
    stages: Vec<Stage>,
    lower: Row,
}

/// The two states that an attempt leads to.
struct Outcome<S> {
    higher: S,
    lower: S,
    first_estimate: S,
}

impl<'a, S: ErrorNorm> Walk<'a, S> {
    pub(super) fn start(solver: &'a Adaptive<'a>, [at, end]: [TimePoint; 2], x: S) -> Self {
        Self {
            solver,
            control: solver.control.start(solver.pair, solver.eta > 0.0),
            at,
            end,
            x,
            previous: None,
            first_estimate: None,
            size: solver.first_step,
            times: vec![at.t],
            counters: Counters::default(),
        }
    }

    pub(super) fn run(
        mut self,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        while (self.at.t - self.end.t).abs() > self.solver.time_tolerance {
            self.attempt(score, noise)?;
        }
        Ok(AdaptiveRun { state: self.x, times: self.times, counters: self.counters })
    }

    fn attempt(
        &mut self,
        score: &dyn ScoreFn<S>,
        noise: &mut dyn NoiseSource<S>,
    ) -> Result<(), SampleError> {
        self.check_spent()?;
        let to = self.next_point()?;
        let attempt = self.plan(to);
        let outcome = self.evaluate(&attempt, score)?;
        let error = self.error(&outcome);
        let decision = self.control.decide(error);
        self.size *= decision.factor;
        if decision.accept {
            let row = &attempt.stages[attempt.stages.len() - 1].row;
            self.x = row.renoise(self.counters.accepted, outcome.higher, noise)?;
            self.previous = Some(outcome.lower);
            self.at = attempt.to;
            self.times.push(self.at.t);
            self.counters.accepted += 1;
        } else {
            self.first_estimate = (!self.solver.repeats).then_some(outcome.first_estimate);
            self.counters.rejected += 1;
        }
        Ok(())
    }

    /// Refuses to go on once the evaluations are spent.
    fn check_spent(&self) -> Result<(), SampleError> {
        let evaluations = self.counters.evaluations;
        if evaluations < MOST_EVALUATIONS {
            return Ok(());
        }
        let (t, tolerance) = (self.at.t, self.solver.tolerance);
        Err(SampleError::TooManyEvaluations { t, evaluations, tolerance })
    }

    /// Where the next attempt ends.
    fn next_point(&mut self) -> Result<TimePoint, SampleError> {
        let lambda = self.at.level.lambda();
        let remaining = self.end.level.lambda() - lambda;
        let smallest = 10.0 * (lambda.abs().next_up() - lambda.abs());
        if self.size.is_nan() || self.size <= smallest {
            return Err(SampleError::StepTooSmall { t: self.at.t, smallest });
        }
        if self.size >= remaining.abs() {
            if !self.solver.control.forgets_cuts() {
                self.size = remaining.abs();
            }
            return Ok(self.end);
        }
        let share = self.size / remaining.abs();
        let whole = Interval { from: self.at, to: self.end };
        Ok(point_within(self.solver.schedule, whole, share))
    }

    fn plan(&self, to: TimePoint) -> Attempt {
        let solver = self.solver;
        let by = Renoised::split(Interval { from: self.at, to }, solver.eta, self.end.level);
        let whole = Interval { from: self.at, to: by.down };
        let inner = solver.pair.inner_shares().iter();
        let mut targets: Vec<_> = inner
            .map(|share| Target::plain(point_within(solver.schedule, whole, *share)))
            .collect();
        let last = Target { point: by.down, by };
        targets.push(last);
        let stages = solver.rule.stages(self.at, &targets);
        let count = targets.len();
        targets[count - 2] = last;
        let lower = solver.rule.row(self.at, &targets[..count - 1]);
        Attempt { to, stages, lower }
    }

    fn evaluate(
        &mut self,
        attempt: &Attempt,
        score: &dyn ScoreFn<S>,
    ) -> Result<Outcome<S>, SampleError> {
        let index = self.counters.accepted;
        let mut estimates = Vec::with_capacity(attempt.stages.len());
        let mut inner = None;
        for stage in &attempt.stages {
            let known = if estimates.is_empty() { self.first_estimate.take() } else { None };
            let estimate = match known {
                Some(estimate) => estimate,
                None => {
                    self.counters.evaluations += 1;
                    let x = inner.as_ref().unwrap_or(&self.x);
                    prediction(index, (x, stage.at), stage.estimate, score)?
                }
            };
            estimates.push(estimate);
            inner = Some(stage.row.combine(&self.x, &estimates));
        }
        let lower = attempt.lower.combine(&self.x, &estimates);
        let higher = inner.expect("an attempt has stages");
        Ok(Outcome { higher, lower, first_estimate: estimates.swap_remove(0) })
    }

    /// The difference of the two states against what is allowed.
    fn error(&self, outcome: &Outcome<S>) -> f64 {
        let difference = S::combine(&[(1.0, &outcome.higher), (-1.0, &outcome.lower)]);
        let previous = self.previous.as_ref().unwrap_or(&self.x);
        let tolerance = self.solver.tolerance;
        self.solver.error_over.of(&difference.scaled_rms_each(&outcome.lower, previous, tolerance))
    }
}
