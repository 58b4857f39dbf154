//! PNDM: classical multistep and Runge-Kutta averages of the prediction, carried over by DDIM's step.
//!
//! A pseudo-numerical method keeps the averages of an ordinary Adams-Bashforth or Runge-Kutta formula,
//! and replaces `x + h f` by the DDIM transfer with the averaged noise. Liu et al. 2022, eq. 9, 12 and 13,
//! Alg. 2. One evaluation a step once it is under way.
//!
//! # Order of convergence
//! Two, whatever the average (Liu et al. 2022, corollary 3.1): the transfer's weight `d(sigma/alpha)` varies
//! over a step, and the average takes it for constant.

use crate::linear;
use std::collections::VecDeque;
use std::fmt;
use tweedie_samplers::{Ddim, Predictor, SampleError, Solver, StepCoefficients, Stepper};
use tweedie_schedules::{Interval, Prediction, TimeGrid, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};

/// Where the second and third stage of a Runge-Kutta step stand.
///
/// In a discrete model the middle of a step can fall between two indices. Published code then steps to one
/// and calls the network at the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HalfWay {
    /// Where the first stage lands.
    pub landed: TimePoint,
    /// Where the network is called for the second and third stage, and where the second lands.
    pub called: TimePoint,
}

/// The PNDM solver.
pub struct Pndm<'a> {
    start: Start<'a>,
    averaged: Prediction,
}

type MiddleOf<'a> = Box<dyn Fn(Interval) -> HalfWay + 'a>;

enum Start<'a> {
    Heun { again: Option<Interval> },
    RungeKutta { half_way: MiddleOf<'a> },
}

/// Weights of the newest predictions, newest first, by how many there are.
const ADAMS: [&[f64]; 4] = [
    &[1.0],
    &[1.5, -0.5],
    &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
    &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0], // Liu et al. 2022, eq. 12
];

/// Steps that a Runge-Kutta start takes.
const RUNGE_KUTTA_STEPS: usize = 3;

impl fmt::Debug for Pndm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = match &self.start {
            Start::Heun { .. } => "Heun",
            Start::RungeKutta { .. } => "RungeKutta",
        };
        f.debug_struct("Pndm").field("start", &start).field("averaged", &self.averaged).finish()
    }
}

impl<'a> Pndm<'a> {
    /// The method that begins with one step of Heun and orders two and three, as Stable Diffusion was
    /// published with (there called PLMS); one evaluation more than steps.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Start::Heun { again: None }, averaged: Prediction::Noise }
    }

    /// The same, with another interval for the second stage of the first step, which published code
    /// takes on grids whose ends do not meet.
    #[must_use]
    pub fn starting_again_over(interval: Interval) -> Self {
        Self { start: Start::Heun { again: Some(interval) }, ..Self::new() }
    }

    /// The method that begins with three Runge-Kutta steps of four stages; nine evaluations more than
    /// steps. `half_way` gives the middle of a step.
    #[must_use]
    pub fn with_runge_kutta(half_way: impl Fn(Interval) -> HalfWay + 'a) -> Self {
        let half_way: MiddleOf<'a> = Box::new(half_way);
        Self { start: Start::RungeKutta { half_way }, ..Self::new() }
    }

    /// The same method averaging another prediction than the noise, as published code does with networks
    /// of velocities.
    #[must_use]
    pub fn averaging(self, prediction: Prediction) -> Self {
        Self { averaged: prediction, ..self }
    }

    /// The order of convergence.
    #[must_use]
    pub fn convergence_order(&self) -> usize {
        2
    }

    fn step(&self, index: usize, intervals: &[Interval]) -> Result<Step, SampleError> {
        let interval = intervals[index];
        if interval.from.level.alpha == 0.0 && self.averaged == Prediction::Noise {
            return Ok(Step::FromPureNoise(Ddim::DETERMINISTIC.coefficients(interval)));
        }
        let own = self.transfer(index, interval)?;
        let next = intervals.get(index + 1).map(|next| next.from);
        match (&self.start, next) {
            (Start::Heun { again }, Some(next)) if index == 0 => {
                let again = again.unwrap_or(Interval { from: interval.from, to: next });
                Ok(Step::Heun { own, next, again: self.transfer(index, again)? })
            }
            (Start::RungeKutta { half_way }, Some(end)) if index < RUNGE_KUTTA_STEPS => {
                let HalfWay { landed, called } = half_way(interval);
                let to = |to| self.transfer(index, Interval { from: interval.from, to });
                Ok(Step::RungeKutta {
                    landing: to(landed)?,
                    called,
                    calling: to(called)?,
                    end,
                    own,
                })
            }
            (Start::RungeKutta { .. }, None) if index < RUNGE_KUTTA_STEPS => {
                let needed = RUNGE_KUTTA_STEPS + 1;
                Err(SampleError::TooFewSteps { steps: intervals.len(), needed })
            }
            _ => Ok(Step::Adams { own }),
        }
    }

    /// DDIM's step with an averaged prediction: coefficients of the state and of the average.
    fn transfer(&self, step: usize, interval: Interval) -> Result<Transfer, SampleError> {
        let (from, to) = (interval.from.level, interval.to.level);
        let (of_x, of_output) = self.averaged.convert(Prediction::Data, from);
        let kept = to.sigma / from.sigma;
        let data = to.alpha - kept * from.alpha; // Liu et al. 2022, eq. 9
        let transfer = Transfer { x: kept + data * of_x, average: data * of_output };
        if transfer.x.is_finite() && transfer.average.is_finite() {
            return Ok(transfer);
        }
        Err(SampleError::not_finite(step, interval))
    }

    fn planned(&self, grid: &TimeGrid) -> Result<Vec<Step>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        (0..grid.len()).map(|index| self.step(index, grid.intervals())).collect()
    }
}

impl Default for Pndm<'_> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug)]
struct Transfer {
    x: f64,
    average: f64,
}

impl Transfer {
    fn of<S: VectorSpace>(self, x: &S, outputs: &[(f64, &S)]) -> S {
        let mut terms = vec![(self.x, x)];
        terms.extend(outputs.iter().map(|(weight, output)| (self.average * weight, *output)));
        S::combine(&terms)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// DDIM's step by the data: there the noise tells nothing of it.
    FromPureNoise(StepCoefficients),
    Adams {
        own: Transfer,
    },
    Heun {
        own: Transfer,
        next: TimePoint,
        again: Transfer,
    },
    RungeKutta {
        landing: Transfer,
        called: TimePoint,
        calling: Transfer,
        end: TimePoint,
        own: Transfer,
    },
}

impl Step {
    fn evaluations(&self) -> usize {
        match self {
            Self::FromPureNoise(_) | Self::Adams { .. } => 1,
            Self::Heun { .. } => 2,
            Self::RungeKutta { .. } => 4,
        }
    }
}

struct PndmRun<'a, S> {
    intervals: &'a [Interval],
    steps: Vec<Step>,
    averaged: Prediction,
    /// Predictions at the starts of steps, newest first.
    history: VecDeque<S>,
}

impl<S: VectorSpace> Solver<S> for Pndm<'_> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let (intervals, steps) = (grid.intervals(), self.planned(grid)?);
        let history = VecDeque::new();
        Ok(Box::new(PndmRun { intervals, steps, averaged: self.averaged, history }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.planned(grid)?.iter().map(Step::evaluations).sum())
    }
}

impl<S: VectorSpace> Stepper<S> for PndmRun<'_, S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        _noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let from = self.intervals[index].from;
        let call = |x: &S, at| linear::prediction(index, (x, at), self.averaged, score);
        let newest = match self.steps[index] {
            Step::FromPureNoise(_) => S::combine(&[(1.0 / from.level.sigma, &x)]),
            _ => call(&x, from)?,
        };
        let next = match self.steps[index] {
            Step::FromPureNoise(StepCoefficients { x: kept, data, .. }) => {
                let estimate = linear::prediction(index, (&x, from), Prediction::Data, score)?;
                S::combine(&[(kept, &x), (data, &estimate)])
            }
            Step::Adams { own } => {
                let outputs: Vec<&S> = std::iter::once(&newest).chain(&self.history).collect();
                let weights = ADAMS[outputs.len() - 1];
                let terms: Vec<_> = weights.iter().copied().zip(outputs).collect();
                own.of(&x, &terms)
            }
            Step::Heun { own, next, again } => {
                let second = call(&own.of(&x, &[(1.0, &newest)]), next)?;
                again.of(&x, &[(0.5, &newest), (0.5, &second)])
            }
            Step::RungeKutta { landing, called, calling, end, own } => {
                // Liu et al. 2022, eq. 13
                let second = call(&landing.of(&x, &[(1.0, &newest)]), called)?;
                let third = call(&calling.of(&x, &[(1.0, &second)]), called)?;
                let fourth = call(&own.of(&x, &[(1.0, &third)]), end)?;
                let (sixth, third_part) = (1.0 / 6.0, 1.0 / 3.0);
                let stages = [
                    (sixth, &newest),
                    (third_part, &second),
                    (third_part, &third),
                    (sixth, &fourth),
                ];
                own.of(&x, &stages)
            }
        };
        self.history.push_front(newest);
        self.history.truncate(ADAMS.len() - 1);
        Ok(next)
    }
}
