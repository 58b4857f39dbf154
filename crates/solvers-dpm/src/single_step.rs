//! Single-step DPM-Solver and DPM-Solver++ of orders one to three.
//!
//! A step of order `p` starts afresh from one state, evaluates the network `p` times and forgets it
//! all. Where the inner evaluations stand is a choice:
//!
//! - by default *the grid holds every evaluation*: a step of order `p` takes `p` of its intervals, and
//!   a run over `N` intervals makes `N` evaluations, whatever the order;
//! - with [`in_lambda`](SingleStep::in_lambda) each interval of the grid is a whole step, and a
//!   schedule places the inner evaluations (Lu et al. 2022: halfway, or at one and two thirds).
//!
//! The order of convergence is that of the steps, as long as all are of the same order and the grid
//! stays away from `sigma = 0`. A grid from data to noise encodes; the formulas are the same.

mod orders;
mod plan;
mod run;

pub use orders::{ending_in_order_one, exact_evaluations, fixed_order};

use crate::multistep::check_not_negative;
use crate::stage::{Rule, Stage};
use crate::{Algorithm, FreshNoise, Order, SolverType};
use run::Run;
use std::fmt;
use tweedie_samplers::{SampleError, Solver, Stepper};
use tweedie_schedules::{NoiseSchedule, TimeGrid};
use tweedie_score::VectorSpace;

/// A single-step solver.
///
/// ```
/// use tweedie_schedules::{TimeGrid, VpLinear};
/// use tweedie_solvers_dpm::{Order, SingleStep, exact_evaluations};
///
/// let schedule = VpLinear::new(0.1, 20.0)?;
/// // DPM-Solver-fast with ten evaluations: its steps are equal in lambda, of orders 3, 3, 3 and 1
/// let orders = exact_evaluations(Order::Three, 10);
/// let grid = TimeGrid::uniform_lambda(&schedule, orders.len())?;
/// let solver = SingleStep::dpm_solver(Order::Three).with_orders(orders).in_lambda(&schedule);
/// assert_eq!(solver.stages(&grid)?.concat().len(), 10);
///
/// // or whole steps of order three on a grid that holds every evaluation
/// let grid = TimeGrid::uniform_time(&schedule, 12)?;
/// assert_eq!(SingleStep::dpmpp(Order::Three).stages(&grid)?.concat().len(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SingleStep<'s> {
    rule: Rule,
    order: Order,
    orders: Option<Vec<Order>>,
    inner: InnerPoints<'s>,
    fresh: FreshNoise,
}

impl fmt::Debug for SingleStep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, order, orders, inner, fresh } = self;
        let shares = match inner {
            InnerPoints::OfGrid => None,
            InnerPoints::InLambda { shares, .. } => Some(shares),
        };
        let mut shown = f.debug_struct("SingleStep");
        shown.field("rule", rule).field("order", order).field("orders", orders);
        shown.field("inner_shares", &shares).field("fresh", fresh).finish_non_exhaustive()
    }
}

/// Where the network is evaluated within a step.
#[derive(Clone, Copy)]
enum InnerPoints<'s> {
    OfGrid,
    InLambda { schedule: &'s dyn NoiseSchedule, shares: InnerShares },
}

/// Inner evaluations as shares of a step's growth in lambda.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InnerShares {
    /// Of a step of order two.
    pub halfway: [f64; 1],
    /// Of a step of order three.
    pub thirds: [f64; 2],
}

impl Default for InnerShares {
    /// A half; a third and two thirds. // Lu et al. 2022, algorithms 1 and 2
    fn default() -> Self {
        Self { halfway: [0.5], thirds: [1.0 / 3.0, 2.0 / 3.0] }
    }
}

impl InnerShares {
    fn of(&self, order: Order) -> &[f64] {
        match order {
            Order::One => &[],
            Order::Two => &self.halfway,
            Order::Three => &self.thirds,
        }
    }

    /// # Errors
    /// When a share is not between 0 and 1, or the second is not above the first.
    fn check(self) -> Result<Self, SampleError> {
        let ([half], [first, second]) = (self.halfway, self.thirds);
        let refuse =
            |name, value, allowed| Err(SampleError::ParameterOutOfRange { name, value, allowed });
        if !(half > 0.0 && half <= 1.0) {
            return refuse("inner share of order two", half, "a value in (0, 1]");
        }
        if !(first > 0.0 && first < 1.0) {
            return refuse("first inner share of order three", first, "a value in (0, 1)");
        }
        if !(second > first && second <= 1.0) {
            return refuse("second inner share of order three", second, "above the first, up to 1");
        }
        Ok(self)
    }
}

impl<'s> SingleStep<'s> {
    /// The solver of an algorithm whose steps are of `order` wherever the grid allows it.
    #[must_use]
    pub fn new(algorithm: Algorithm, order: Order) -> Self {
        let rule = Rule {
            algorithm,
            solver_type: SolverType::default(),
            second_inner: SolverType::Taylor, // Lu et al. 2022, algorithm 2
            noise_scale: 1.0,
        };
        Self { rule, order, orders: None, inner: InnerPoints::OfGrid, fresh: FreshNoise::Never }
    }

    /// DPM-Solver: the flow by the noise prediction.
    #[must_use]
    pub fn dpm_solver(order: Order) -> Self {
        Self::new(Algorithm::DPM_SOLVER, order)
    }

    /// DPM-Solver++: the flow by the data prediction.
    #[must_use]
    pub fn dpmpp(order: Order) -> Self {
        Self::new(Algorithm::DPM_SOLVER_PP, order)
    }

    /// SDE-DPM-Solver++: the reverse SDE by the data prediction, with fresh noise at every stage.
    #[must_use]
    pub fn sde_dpmpp(order: Order) -> Self {
        Self::new(Algorithm::SDE_DPM_SOLVER_PP, order)
    }

    /// The same solver with the states at the ends of steps formed in another way.
    #[must_use]
    pub fn solver_type(mut self, solver_type: SolverType) -> Self {
        self.rule.solver_type = solver_type;
        self
    }

    /// The same solver with the second inner state of steps of order three formed in another way; by
    /// default as published, by [`SolverType::Taylor`].
    #[must_use]
    pub fn second_inner(mut self, solver_type: SolverType) -> Self {
        self.rule.second_inner = solver_type;
        self
    }

    /// The same solver with the order of each step given, first one first, such as
    /// [`exact_evaluations`] gives them.
    #[must_use]
    pub fn with_orders(mut self, orders: Vec<Order>) -> Self {
        self.orders = Some(orders);
        self
    }

    /// Takes each interval of the grid as a whole step, its inner evaluations at the usual shares of
    /// lambda, where `schedule` has the levels.
    #[must_use]
    pub fn in_lambda(mut self, schedule: &'s dyn NoiseSchedule) -> Self {
        let shares = InnerShares::default();
        self.inner = InnerPoints::InLambda { schedule, shares };
        self
    }

    /// As [`in_lambda`](Self::in_lambda), at shares of one's own.
    ///
    /// # Errors
    /// When a share is not between 0 and 1, or the second is not above the first.
    pub fn in_lambda_at(
        mut self,
        schedule: &'s dyn NoiseSchedule,
        shares: InnerShares,
    ) -> Result<Self, SampleError> {
        self.inner = InnerPoints::InLambda { schedule, shares: shares.check()? };
        Ok(self)
    }

    /// The same solver with fresh noise added around it.
    ///
    /// # Errors
    /// When `eta` is not a finite value at least 0, or the algorithm solves the SDE, which has noise
    /// of its own.
    pub fn with_fresh_noise(mut self, fresh: FreshNoise) -> Result<Self, SampleError> {
        let own = self.rule.algorithm.eta();
        if fresh.eta()? > 0.0 && own > 0.0 {
            let (name, allowed) = ("eta of the algorithm", "0 where noise is added around it");
            return Err(SampleError::ParameterOutOfRange { name, value: own, allowed });
        }
        self.fresh = fresh;
        Ok(self)
    }

    /// The same solver with its noise made larger or smaller by a factor, `s_noise` elsewhere.
    ///
    /// # Errors
    /// When the factor is negative or not finite.
    pub fn noise_scale(mut self, noise_scale: f64) -> Result<Self, SampleError> {
        check_not_negative("noise_scale", noise_scale)?;
        self.rule.noise_scale = noise_scale;
        Ok(self)
    }

    /// The order of convergence on grids that allow every step its order: of the state for the flow, of
    /// the distribution with noise.
    ///
    /// Noise at each stage brings it down to 1: what an inner state's noise did to the estimate made
    /// there does not show in the noise of the end.
    #[must_use]
    pub fn convergence_order(&self) -> usize {
        let at_each_stage = matches!(self.fresh, FreshNoise::EachStage { eta } if eta > 0.0);
        if at_each_stage || self.rule.algorithm.eta() > 0.0 { 1 } else { self.order.get() }
    }

    fn is_stochastic(&self) -> bool {
        self.rule.algorithm.eta() > 0.0 || self.fresh != FreshNoise::Never
    }

    /// The stages that a run walks in each interval of the grid: the solver's coefficient table.
    ///
    /// # Errors
    /// When the solver cannot run on this grid.
    pub fn stages(&self, grid: &TimeGrid) -> Result<Vec<Vec<Stage>>, SampleError> {
        plan::stages(self, grid)
    }
}

impl<S: VectorSpace> Solver<S> for SingleStep<'_> {
    fn plan<'a>(&'a self, grid: &'a TimeGrid) -> Result<Box<dyn Stepper<S> + 'a>, SampleError> {
        Ok(Box::new(Run::new(self.stages(grid)?)))
    }

    fn evaluations(&self, grid: &TimeGrid) -> Result<usize, SampleError> {
        Ok(self.stages(grid)?.iter().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{ArrayD, arr2};
    use tweedie_closed_form::{ExactScore, Mixture};
    use tweedie_samplers::sample;
    use tweedie_schedules::{DiscreteTable, NoiseLevel, Prediction, Spacing, TimePoint, VpLinear};
    use tweedie_score::Replay;

    fn schedule() -> VpLinear {
        VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.01, 1.0).unwrap()
    }

    #[test]
    fn inner_points_of_the_grid_and_in_lambda_agree_where_they_coincide() {
        let schedule = schedule();
        let fine = TimeGrid::uniform_lambda(&schedule, 12).unwrap();
        let coarse = TimeGrid::uniform_lambda(&schedule, 4).unwrap();
        let of_grid = SingleStep::dpmpp(Order::Three);
        let in_lambda = SingleStep::dpmpp(Order::Three).in_lambda(&schedule);
        let data = Mixture::gaussian(vec![0.4, -0.1], 0.3).unwrap();
        let score = ExactScore::new(data, Prediction::Velocity);
        let [a, b] = [(&of_grid, &fine), (&in_lambda, &coarse)].map(|(solver, grid)| {
            assert_eq!(Solver::<ArrayD<f64>>::evaluations(solver, grid).unwrap(), 12);
            let start = arr2(&[[0.7, -1.3], [0.1, 2.0]]).into_dyn();
            sample(solver, &score, grid, start, &mut Replay::new([])).unwrap()
        });
        assert!((a - b).iter().all(|error| error.abs() < 1e-12));
    }

    #[test]
    fn every_grid_gets_as_many_evaluations_as_it_has_intervals() {
        let table = DiscreteTable::linear(1000, 1e-4, 0.02).unwrap();
        for steps in 1..20 {
            let grid = TimeGrid::discrete(&table, steps, Spacing::Trailing).unwrap().ending_clean();
            for order in [Order::One, Order::Two, Order::Three] {
                for solver in [SingleStep::dpmpp(order), SingleStep::sde_dpmpp(order)] {
                    let stages = solver.stages(&grid).unwrap();
                    assert_eq!(stages.iter().map(Vec::len).sum::<usize>(), steps);
                    let last = &stages[steps - 1][0];
                    assert_eq!(last.row, crate::Row { x: 0.0, estimates: vec![1.0], noise: 0.0 });
                }
            }
        }
    }

    #[test]
    fn eta_one_around_each_stage_is_the_sde() {
        let grid = TimeGrid::uniform_lambda(&schedule(), 12).unwrap();
        for order in [Order::One, Order::Two, Order::Three] {
            for solver_type in [SolverType::Midpoint, SolverType::Taylor] {
                let sde = SingleStep::sde_dpmpp(order).solver_type(solver_type);
                let around = SingleStep::dpmpp(order)
                    .solver_type(solver_type)
                    .with_fresh_noise(FreshNoise::EachStage { eta: 1.0 })
                    .unwrap();
                let [sde, around] = [sde, around].map(|solver| solver.stages(&grid).unwrap());
                for (a, b) in sde.concat().iter().zip(around.concat()) {
                    let (a, b) = (&a.row, &b.row);
                    let pairs = a.estimates.iter().zip(&b.estimates);
                    for (a, b) in pairs.chain([(&a.x, &b.x), (&a.noise, &b.noise)]) {
                        assert!((a - b).abs() < 1e-10, "{a} and {b}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_planned_says_why() {
        let schedule = schedule();
        let grid = TimeGrid::uniform_lambda(&schedule, 4).unwrap();
        let error =
            |solver: &SingleStep<'_>, grid: &TimeGrid| solver.stages(grid).unwrap_err().to_string();
        let three = SingleStep::dpmpp(Order::Three).with_orders(vec![Order::Three]);
        assert_eq!(
            error(&three, &grid),
            "the steps take 3 intervals, expected 4, as many as the grid has"
        );
        let clean = TimeGrid::uniform_lambda(&schedule, 2).unwrap().ending_clean();
        assert!(error(&three, &clean).contains("lambda is infinite at one end"));
        let sde = SingleStep::sde_dpmpp(Order::Two);
        assert!(error(&sde, &grid.reversed()).contains("encode with the flow"));
        let twice = FreshNoise::EachStep { eta: 0.5 };
        assert!(SingleStep::sde_dpmpp(Order::Two).with_fresh_noise(twice).is_err());
        let shares = InnerShares { thirds: [0.7, 0.3], ..InnerShares::default() };
        assert!(SingleStep::dpmpp(Order::Three).in_lambda_at(&schedule, shares).is_err());
    }

    #[test]
    fn pure_noise_at_the_start_is_left_by_a_step_of_order_one() {
        let schedule = schedule();
        let pure = TimePoint { t: 2.0, level: NoiseLevel { alpha: 0.0, sigma: 1.0 } };
        let points: Vec<_> =
            [1.0, 0.8, 0.6, 0.4, 0.2].into_iter().map(|t| schedule.point(t)).collect();
        let grid = TimeGrid::through(&[vec![pure], points].concat()).unwrap();
        for solver in [SingleStep::dpm_solver(Order::Three), SingleStep::dpmpp(Order::Three)] {
            let stages = solver.stages(&grid).unwrap().concat();
            let counts: Vec<_> = stages.iter().map(|stage| stage.row.estimates.len()).collect();
            assert_eq!(counts, [1, 1, 2, 1, 2]);
            assert!(stages.iter().all(|stage| stage.row.is_finite()));
        }
    }
}
