//! `UniPC`: a multistep predictor whose result is corrected when the next prediction is known.
//!
//! UniP-p predicts with the polynomial through the newest `p` predictions. The network is called there
//! once, and UniC-p takes the step again with that prediction as one more node; no call is added. The
//! corrected state goes on, and the prediction, made at the predicted state, is kept. Zhao et al. 2023,
//! Alg. 1 to 3. One evaluation a step; the state of the last step is not corrected.
//!
//! # Order of convergence
//! UniP-p errs by `h^(p+1)` a step and UniC-p by `h^(p+2)`, so many steps are of order `p + 1` together,
//! and `p` without the corrector (Zhao et al. 2023, theorem 3.1).
//!
//! The theorem takes the first `p` predictions for exact, but a run has to find them itself. Its first
//! step is DDIM, corrected with two predictions, which leaves `h^3` once: the order is 3 at most in the
//! strict sense. The factor of this `h^3` is how fast the prediction changes at the start, and in nearly
//! pure noise it hardly does: from there `p = 3` is of order 4 until steps are too many for any use.
//! Hence two orders, [`UniPc::convergence_order`] of runs from noise and
//! [`UniPc::convergence_order_from_any_start`].
//!
//! # B(h)
//! The free function `B(h)` cancels wherever the weights are solved for. It is left in the two closed
//! forms that published code uses, the predictor of order 2 and the corrector of order 1.

use crate::algorithm::{Algorithm, Integral, is_finite};
use crate::interpolation::polynomial_weights;
use crate::linear::{self, LinearStep};
use crate::multistep::StepOrders;
use crate::order::FinalOrders;
use std::collections::VecDeque;
use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{Interval, TimeGrid, TimePoint};
use tweedie_score::{NoiseSource, ScoreFn, VectorSpace};

/// The function `B(h)` of `UniPC`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BFunction {
    /// `B_1(h) = h`.
    Bh1,
    /// `B_2(h) = e^h - 1`: the published default.
    #[default]
    Bh2,
}

/// The `UniPC` solver of the diffusion flow.
///
/// ```
/// use tweedie_solvers_dpm::{FinalOrders, UniPc};
///
/// let solver = UniPc::new(3)?.final_orders(FinalOrders::Full);
/// assert_eq!(solver.convergence_order(), 4);
/// assert_eq!(solver.convergence_order_from_any_start(), 3);
/// # Ok::<(), tweedie_samplers::SampleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct UniPc {
    algorithm: Algorithm,
    order: usize,
    b_function: BFunction,
    final_orders: FinalOrders,
    uncorrected: Vec<usize>,
}

impl UniPc {
    /// The solver by the data prediction, with `order` predictions a step; orders fall at the end of a run.
    ///
    /// # Errors
    /// When `order` is 0 or above 6. Above 3, more predictions gain little: even in runs from noise the
    /// error of the start soon hides their order, and with large steps the polynomials swing.
    pub fn new(order: usize) -> Result<Self, SampleError> {
        if !(1..=6).contains(&order) {
            let allowed = "a whole number from 1 to 6";
            let value = order as f64;
            return Err(SampleError::ParameterOutOfRange { name: "order", value, allowed });
        }
        Ok(Self {
            algorithm: Algorithm::DPM_SOLVER_PP,
            order,
            b_function: BFunction::default(),
            final_orders: FinalOrders::Falling,
            uncorrected: Vec::new(),
        })
    }

    /// The same solver with the noise prediction in place of the data prediction.
    #[must_use]
    pub fn predicting_noise(self) -> Self {
        Self { algorithm: Algorithm::DPM_SOLVER, ..self }
    }

    /// The same solver with another `B(h)`.
    #[must_use]
    pub fn b_function(self, b_function: BFunction) -> Self {
        Self { b_function, ..self }
    }

    /// The same solver with other orders at the end of a run.
    #[must_use]
    pub fn final_orders(self, final_orders: FinalOrders) -> Self {
        Self { final_orders, ..self }
    }

    /// The same solver without the correction of the given steps, from 0.
    #[must_use]
    pub fn uncorrected(self, steps: Vec<usize>) -> Self {
        Self { uncorrected: steps, ..self }
    }

    /// The order of convergence of runs that start in nearly pure noise, as sampling does.
    ///
    /// It is the order of many steps, all corrected, to a level that still has noise in it. Runs that
    /// end with a step of the first order by their [`FinalOrders`], as they do by default, are of order 2
    /// at most. With more than three predictions it is the order that holds from any start.
    #[must_use]
    pub fn convergence_order(&self) -> usize {
        let order = if self.order <= 3 { self.order + 1 } else { 3 };
        order.min(self.final_orders.highest_convergence())
    }

    /// The order of convergence of runs that start anywhere, for instance from an encoded or half noised
    /// image: 3 at most, since the first step is DDIM, corrected.
    #[must_use]
    pub fn convergence_order_from_any_start(&self) -> usize {
        self.convergence_order().min(3)
    }

    /// The steps of a run over `grid`, with all their coefficients.
    ///
    /// # Errors
    /// When the grid is empty or a step has no finite coefficients.
    pub fn steps(&self, grid: &TimeGrid) -> Result<Vec<UniPcStep>, SampleError> {
        if grid.is_empty() {
            return Err(SampleError::EmptyGrid);
        }
        let intervals = grid.intervals();
        (0..intervals.len())
            .map(|index| {
                let correction = match index.checked_sub(1) {
                    Some(last) => self.correction(last, intervals)?,
                    None => None,
                };
                Ok(UniPcStep { correction, predictor: self.predictor(index, intervals)? })
            })
            .collect()
    }

    fn points(&self, index: usize, intervals: &[Interval]) -> Vec<TimePoint> {
        let orders = StepOrders { highest: self.order, at_end: self.final_orders };
        orders.points(index, intervals)
    }

    fn predictor(&self, index: usize, intervals: &[Interval]) -> Result<LinearStep, SampleError> {
        let interval = intervals[index];
        let points = self.points(index, intervals);
        let offsets = offsets(&points, interval.from);
        let outputs = |integral: &Integral| match offsets.as_slice() {
            [_] => vec![integral.moment(0)],
            // Zhao et al. 2023, sec. 3.3: half, without solving
            [_, earlier] => {
                let slope = 0.5 * self.b(integral) * integral.h() / -earlier;
                vec![integral.moment(0) + slope, -slope]
            }
            offsets => polynomial_weights(offsets, integral),
        };
        self.step(index, interval, interval.from, outputs)
    }

    /// Step `index` taken again, with the prediction where it landed as one more node.
    fn correction(
        &self,
        index: usize,
        intervals: &[Interval],
    ) -> Result<Option<LinearStep>, SampleError> {
        let interval = intervals[index];
        if self.uncorrected.contains(&index) || !is_finite(interval) {
            return Ok(None);
        }
        let landed = intervals[index + 1].from;
        let mut points = self.points(index, intervals);
        points.insert(0, landed);
        let offsets = offsets(&points, interval.from);
        let outputs = |integral: &Integral| match offsets.as_slice() {
            [_, _] => {
                let half = 0.5 * self.b(integral);
                vec![half, integral.moment(0) - half]
            }
            offsets => polynomial_weights(offsets, integral),
        };
        self.step(index, interval, landed, outputs).map(Some)
    }

    fn step(
        &self,
        index: usize,
        interval: Interval,
        at: TimePoint,
        outputs: impl Fn(&Integral) -> Vec<f64>,
    ) -> Result<LinearStep, SampleError> {
        let algorithm = self.algorithm.over(interval);
        let integral = algorithm.integral(interval);
        let (prediction, x) = (algorithm.prediction(), integral.x);
        LinearStep { at, prediction, x, outputs: outputs(&integral), noise: 0.0 }
            .checked(index, interval)
    }

    /// `B(h)` times the factor in front of the integral.
    fn b(&self, integral: &Integral) -> f64 {
        match self.b_function {
            BFunction::Bh1 => integral.flat(),
            BFunction::Bh2 => integral.moment(0),
        }
    }
}

fn offsets(points: &[TimePoint], start: TimePoint) -> Vec<f64> {
    let from = start.level.lambda();
    points.iter().map(|point| point.level.lambda() - from).collect()
}

/// One step: the step before is corrected, then the next state is predicted.
#[derive(Clone, Debug, PartialEq)]
pub struct UniPcStep {
    /// The step before, taken again from where it started; its first prediction is the new one.
    pub correction: Option<LinearStep>,
    /// The step itself.
    pub predictor: LinearStep,
}

struct UniPcRun<S> {
    steps: Vec<UniPcStep>,
    /// Predictions, newest first.
    history: VecDeque<S>,
    keep: usize,
    /// Where the step before started.
    started: Option<S>,
}

impl<S: VectorSpace> Solver<S> for UniPc {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        let steps = self.steps(grid)?;
        let (history, keep) = (VecDeque::new(), self.order);
        Ok(Box::new(UniPcRun { steps, history, keep, started: None }))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.steps(grid)?.len())
    }
}

impl<S: VectorSpace> Stepper<S> for UniPcRun<S> {
    fn step(
        &mut self,
        index: usize,
        x: S,
        score: &dyn ScoreFn<S>,
        _noise: &mut dyn NoiseSource<S>,
    ) -> Result<S, SampleError> {
        let UniPcStep { correction, predictor } = &self.steps[index];
        let newest = linear::prediction(index, (&x, predictor.at), predictor.prediction, score)?;
        self.history.push_front(newest);
        let x = match (correction, &self.started) {
            (Some(step), Some(started)) => combined(step, started, &self.history),
            _ => x,
        };
        let next = combined(predictor, &x, &self.history);
        self.history.truncate(self.keep);
        self.started = Some(x);
        Ok(next)
    }
}

fn combined<S: VectorSpace>(step: &LinearStep, x: &S, history: &VecDeque<S>) -> S {
    let mut terms = vec![(step.x, x)];
    terms.extend(step.outputs.iter().copied().zip(history));
    S::combine(&terms)
}
