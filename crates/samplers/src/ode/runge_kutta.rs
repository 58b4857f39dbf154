//! The method with its options, and the ways to run it.

use super::control::Stepping;
use super::field::{Budget, Field};
use super::interpolant::{DenseOutput, Interpolant};
use super::norm::{ErrorOver, Norm};
use super::tableau::Tableau;
use super::walk::{attempt, walk};
use crate::{AdaptiveRun, SampleError};
use tweedie_score::{ErrorNorm, ScoreError, Tolerance, VectorSpace};

/// An embedded Runge-Kutta method with adaptive steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RungeKutta {
    pub(super) tableau: Tableau,
    budget: Budget,
    over: ErrorOver,
    pub(super) stepping: Stepping,
    pub(super) first_step: Option<f64>,
    pub(super) max_step: f64,
}

/// Evaluations after which a run gives up unless told otherwise: a hundred times what tight tolerances take.
const MOST_EVALUATIONS: usize = 100_000;

/// The slope `f(t, x)` of an equation `dx/dt = f(t, x)`.
pub type Slope<'a, S> = dyn FnMut(f64, &S) -> Result<S, ScoreError> + 'a;

impl RungeKutta {
    /// Dormand-Prince 5(4) with scipy's step control and an error of at most
    /// `absolute + relative * |x|` a step, root mean square over the batch.
    ///
    /// A `relative` tolerance below 100 times the machine's precision counts as that.
    ///
    /// # Errors
    /// When a tolerance is negative or not finite, or both are 0.
    pub fn new(absolute: f64, relative: f64) -> Result<Self, SampleError> {
        for (name, value) in [("absolute tolerance", absolute), ("relative tolerance", relative)] {
            if !(value >= 0.0 && value.is_finite()) {
                let allowed = "a finite value >= 0";
                return Err(SampleError::ParameterOutOfRange { name, value, allowed });
            }
        }
        let relative = relative.max(100.0 * f64::EPSILON);
        Ok(Self {
            tableau: Tableau::DORMAND_PRINCE,
            budget: Budget {
                evaluations: MOST_EVALUATIONS,
                tolerance: Tolerance::Sum { absolute, relative },
            },
            over: ErrorOver::default(),
            stepping: Stepping::default(),
            first_step: None,
            max_step: f64::INFINITY,
        })
    }

    /// The same with another method.
    #[must_use]
    pub fn with_tableau(self, tableau: Tableau) -> Self {
        Self { tableau, ..self }
    }

    /// The same with the error taken over something else.
    #[must_use]
    pub fn with_error_over(self, over: ErrorOver) -> Self {
        Self { over, ..self }
    }

    /// The same with another rule of steps.
    #[must_use]
    pub fn with_stepping(self, stepping: Stepping) -> Self {
        Self { stepping, ..self }
    }

    /// The same with a first step of a given size, which saves the evaluation that finds one.
    ///
    /// # Errors
    /// When `size` is not above 0.
    pub fn with_first_step(self, size: f64) -> Result<Self, SampleError> {
        Ok(Self { first_step: Some(positive("first step", size)?), ..self })
    }

    /// The same with steps no longer than `size`.
    ///
    /// # Errors
    /// When `size` is not above 0.
    pub fn with_max_step(self, size: f64) -> Result<Self, SampleError> {
        Ok(Self { max_step: positive("largest step", size)?, ..self })
    }

    /// The same, giving up once the slope was evaluated `count` times (100 000 unless told otherwise): a
    /// tolerance finer than the rounding of states and slopes asks for steps without end.
    #[must_use]
    pub fn with_most_evaluations(self, count: usize) -> Self {
        Self { budget: Budget { evaluations: count, ..self.budget }, ..self }
    }

    /// Integrates `dx/dt = slope(t, x)` from `span.0` to `span.1`, in either direction of time.
    ///
    /// # Errors
    /// When the span is empty, the tolerance cannot be met (a step becomes too small to be told from
    /// none, or the evaluations are spent), or `slope` fails.
    pub fn integrate<S: ErrorNorm>(
        &self,
        slope: &mut Slope<'_, S>,
        span: (f64, f64),
        x: S,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        self.run(slope, span, x, &mut |step, _| Ok(step.into_last_slope()))
    }

    /// [`integrate`](Self::integrate), with the states at `times`, which must lie within the span.
    ///
    /// # Errors
    /// As [`integrate`](Self::integrate), and when a time lies outside the span.
    pub fn integrate_at<S: ErrorNorm>(
        &self,
        slope: &mut Slope<'_, S>,
        span: (f64, f64),
        x: S,
        times: &[f64],
    ) -> Result<(AdaptiveRun<S>, Vec<S>), SampleError> {
        let (low, high) = (span.0.min(span.1), span.0.max(span.1));
        if let Some(t) = times.iter().find(|t| !(low..=high).contains(*t)) {
            return Err(SampleError::TimeOutsideSpan { t: *t, low, high });
        }
        let direction = (span.1 - span.0).signum();
        let mut states: Vec<Option<S>> = times.iter().map(|_| None).collect();
        let run = self.run(slope, span, x, &mut |mut step, field| {
            let inside = |t: f64| (step.end() - t) * direction >= 0.0;
            let due = |(t, state): (&f64, &Option<S>)| state.is_none() && inside(*t);
            if times.iter().zip(&states).any(due) {
                step.complete(field)?;
            }
            for (t, state) in times.iter().zip(&mut states) {
                if state.is_none() && (step.end() - t) * direction >= 0.0 {
                    *state = Some(step.at(*t));
                }
            }
            Ok(step.into_last_slope())
        })?;
        Ok((run, states.into_iter().flatten().collect()))
    }

    /// [`integrate`](Self::integrate), keeping every stage of every step: the state at any time.
    ///
    /// # Errors
    /// As [`integrate`](Self::integrate).
    pub fn integrate_dense<S: ErrorNorm>(
        &self,
        slope: &mut Slope<'_, S>,
        span: (f64, f64),
        x: S,
    ) -> Result<(AdaptiveRun<S>, DenseOutput<S>), SampleError> {
        let mut steps: Vec<Interpolant<S>> = Vec::new();
        let run = self.run(slope, span, x, &mut |mut step, field| {
            step.complete(field)?;
            let last = S::combine(&[(1.0, step.last_slope())]);
            steps.push(step);
            Ok(last)
        })?;
        Ok((run, DenseOutput { steps, direction: (span.1 - span.0).signum() }))
    }

    /// Takes `steps` equal steps without looking at the error: `steps` times the tableau's
    /// evaluations, and one.
    ///
    /// # Errors
    /// When the span is empty, `steps` is 0 or `slope` fails.
    pub fn integrate_fixed<S: VectorSpace>(
        &self,
        slope: &mut Slope<'_, S>,
        span: (f64, f64),
        mut x: S,
        steps: usize,
    ) -> Result<S, SampleError> {
        check_span(span)?;
        if steps == 0 {
            return Err(SampleError::EmptyGrid);
        }
        let mut field = Field::new(slope, None);
        let time = |index: usize| {
            let share = index as f64 / steps as f64;
            span.0 * (1.0 - share) + span.1 * share // exact at both ends
        };
        let mut last = field.at(span.0, &x)?;
        for index in 0..steps {
            field.step = index;
            let (t, h) = (time(index), time(index + 1) - time(index));
            let (end, mut stages) = attempt(&self.tableau, &mut field, (t, h), &x, last)?;
            last = stages.swap_remove(self.tableau.weights.len());
            x = end;
        }
        Ok(x)
    }

    fn run<S: ErrorNorm>(
        &self,
        slope: &mut Slope<'_, S>,
        span: (f64, f64),
        x: S,
        keep: &mut super::walk::Keep<'_, S>,
    ) -> Result<AdaptiveRun<S>, SampleError> {
        check_span(span)?;
        walk(self, &mut Field::new(slope, Some(self.budget)), span, x, keep)
    }

    pub(super) fn norm(&self) -> Norm {
        Norm { tolerance: self.budget.tolerance, over: self.over }
    }
}

fn check_span((from, to): (f64, f64)) -> Result<(), SampleError> {
    if from.is_finite() && to.is_finite() && from != to {
        Ok(())
    } else {
        Err(SampleError::EmptySpan { from, to })
    }
}

fn positive(name: &'static str, value: f64) -> Result<f64, SampleError> {
    if value > 0.0 {
        Ok(value)
    } else {
        Err(SampleError::ParameterOutOfRange { name, value, allowed: "a value above 0" })
    }
}
