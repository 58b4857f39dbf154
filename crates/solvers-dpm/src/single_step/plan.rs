//! From a grid to the stages of each of its intervals.

use super::orders::{ending_in_order_one, filling, starting_in_order_one};
use super::{InnerPoints, SingleStep};
use crate::fresh_noise::Renoised;
use crate::stage::{Stage, Target, point_within};
use crate::{FreshNoise, Order};
use tweedie_samplers::SampleError;
use tweedie_schedules::{Interval, NoiseLevel, TimeGrid, TimePoint};

/// The stages that are walked in each interval of a grid.
pub(super) fn stages(
    solver: &SingleStep<'_>,
    grid: &TimeGrid,
) -> Result<Vec<Vec<Stage>>, SampleError> {
    let Some(last) = grid.intervals().last() else {
        return Err(SampleError::EmptyGrid);
    };
    let orders = solver.orders.clone().unwrap_or_else(|| highest_orders(solver, grid));
    let mut per_interval = Vec::with_capacity(grid.len());
    for step in steps(solver.inner, grid, &orders)? {
        let stages = step.stages(solver, last.to.level)?;
        match solver.inner {
            InnerPoints::OfGrid => per_interval.extend(stages.into_iter().map(|stage| vec![stage])),
            InnerPoints::InLambda { .. } => per_interval.push(stages),
        }
    }
    Ok(per_interval)
}

/// The solver's order wherever the grid allows it.
fn highest_orders(solver: &SingleStep<'_>, grid: &TimeGrid) -> Vec<Order> {
    let intervals = grid.intervals();
    if let InnerPoints::InLambda { .. } = solver.inner {
        let order = |i: &Interval| if i.h().is_finite() { solver.order } else { Order::One };
        return intervals.iter().map(order).collect();
    }
    let mut orders = filling(solver.order, intervals.len());
    if intervals.last().is_some_and(|interval| !interval.h().is_finite()) {
        orders = ending_in_order_one(orders);
    }
    if intervals.first().is_some_and(|interval| !interval.h().is_finite()) {
        orders = starting_in_order_one(&orders);
    }
    orders
}

/// One step: the intervals it takes of the grid.
struct Step<'a> {
    index: usize,
    intervals: &'a [Interval],
    order: Order,
}

/// Shares the intervals out among the steps.
fn steps<'a>(
    inner: InnerPoints<'_>,
    grid: &'a TimeGrid,
    orders: &[Order],
) -> Result<Vec<Step<'a>>, SampleError> {
    let width = |order: Order| match inner {
        InnerPoints::OfGrid => order.get(),
        InnerPoints::InLambda { .. } => 1,
    };
    let taken: usize = orders.iter().map(|order| width(*order)).sum();
    if taken != grid.len() {
        return Err(SampleError::OrdersMismatch { taken, intervals: grid.len() });
    }
    let mut end = 0;
    let step = |order: &Order| {
        let index = end;
        end += width(*order);
        Step { index, intervals: &grid.intervals()[index..end], order: *order }
    };
    Ok(orders.iter().map(step).collect())
}

impl Step<'_> {
    fn stages(
        &self,
        solver: &SingleStep<'_>,
        cleanest: NoiseLevel,
    ) -> Result<Vec<Stage>, SampleError> {
        let whole = self.whole()?;
        if solver.is_stochastic() && whole.h() < -1e-9 {
            return self.refuse("noise is added from noise to data alone; encode with the flow");
        }
        let targets = self.targets(solver, whole, cleanest);
        let stages = solver.rule.stages(whole.from, &targets);
        if stages.iter().all(|stage| stage.row.is_finite()) {
            Ok(stages)
        } else {
            Err(SampleError::not_finite(self.index, whole))
        }
    }

    /// The step as one interval.
    fn whole(&self) -> Result<Interval, SampleError> {
        let apart = |pair: &[Interval]| pair[0].to.level != pair[1].from.level;
        if self.intervals.windows(2).any(apart) {
            return self.refuse("the intervals it takes do not meet");
        }
        let infinite = self.intervals.iter().any(|interval| !interval.h().is_finite());
        if infinite && self.order > Order::One {
            return self.refuse("lambda is infinite at one end, where order one alone is defined");
        }
        Ok(Interval { from: self.intervals[0].from, to: self.end() })
    }

    fn end(&self) -> TimePoint {
        self.intervals[self.intervals.len() - 1].to
    }

    fn refuse<T>(&self, reason: &'static str) -> Result<T, SampleError> {
        let (from, to) = (self.intervals[0].from.t, self.end().t);
        Err(SampleError::ImpossibleStep { step: self.index, from, to, reason })
    }

    /// Where each stage of the step leads.
    fn targets(
        &self,
        solver: &SingleStep<'_>,
        whole: Interval,
        cleanest: NoiseLevel,
    ) -> Vec<Target> {
        let from = whole.from;
        let split = |to: TimePoint, eta: f64, cleanest: NoiseLevel| {
            Renoised::split(Interval { from, to }, eta, cleanest)
        };
        let aimed = |point: TimePoint| match solver.fresh {
            FreshNoise::EachStage { eta } => {
                Target { point, by: split(point, eta, NoiseLevel::CLEAN) }
            }
            FreshNoise::Never | FreshNoise::EachStep { .. } => Target::plain(point),
        };
        let last = match solver.fresh {
            FreshNoise::EachStep { eta } => {
                let by = split(whole.to, eta, cleanest); // inner points stay within the grid
                Target { point: by.down, by }
            }
            FreshNoise::Never | FreshNoise::EachStage { .. } => aimed(whole.to),
        };
        let inner = self.inner_points(solver.inner, Interval { from, to: last.point });
        inner.into_iter().map(aimed).chain([last]).collect()
    }

    fn inner_points(&self, inner: InnerPoints<'_>, whole: Interval) -> Vec<TimePoint> {
        match inner {
            InnerPoints::OfGrid => self.intervals[1..].iter().map(|i| i.from).collect(),
            // a step that goes down to the data, whatever noise it adds then, has no inner point
            InnerPoints::InLambda { .. } if !whole.h().is_finite() => vec![],
            InnerPoints::InLambda { schedule, shares } => {
                let shares = shares.of(self.order);
                shares.iter().map(|share| point_within(schedule, whole, *share)).collect()
            }
        }
    }
}
