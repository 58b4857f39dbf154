//! Grids spaced by a rule: in time, in lambda, in noise, along a table.

use super::TimeGrid;
use crate::{DiscreteTable, Interval, NoiseSchedule, ScheduleError, Spacing, TimePoint};

/// Each grid covers the whole time range of its schedule, noisiest first, with both ends exact.
impl TimeGrid {
    /// A grid of `steps` steps in equal parts of time.
    ///
    /// # Errors
    /// When `steps` is 0 or the schedule's noise does not fall strictly.
    pub fn uniform_time(schedule: &dyn NoiseSchedule, steps: usize) -> Result<Self, ScheduleError> {
        Self::power_time(schedule, steps, 1.0)
    }

    /// A grid of `steps` steps in equal parts of the square root of time: denser near the data.
    ///
    /// # Errors
    /// As [`uniform_time`](Self::uniform_time).
    pub fn quadratic_time(
        schedule: &dyn NoiseSchedule,
        steps: usize,
    ) -> Result<Self, ScheduleError> {
        Self::power_time(schedule, steps, 2.0)
    }

    /// A grid of `steps` steps in equal parts of `t^(1 / power)`.
    ///
    /// # Errors
    /// As [`uniform_time`](Self::uniform_time), and when `power` is not positive and finite.
    pub fn power_time(
        schedule: &dyn NoiseSchedule,
        steps: usize,
        power: f64,
    ) -> Result<Self, ScheduleError> {
        check_positive("power", power)?;
        let (clean, noisy) = schedule.time_range();
        let (low, high) = (clean.powf(power.recip()), noisy.powf(power.recip()));
        Self::over(schedule, steps, |share| (high * (1.0 - share) + low * share).powf(power))
    }

    /// A grid of `steps` steps in equal parts of lambda (half log-SNR): equal factors in `sigma / alpha`.
    ///
    /// # Errors
    /// When `steps` is 0, lambda is infinite at an end of the time range, or the schedule's noise does
    /// not fall strictly.
    pub fn uniform_lambda(
        schedule: &dyn NoiseSchedule,
        steps: usize,
    ) -> Result<Self, ScheduleError> {
        Self::polyexponential(schedule, steps, 1.0)
    }

    /// A grid whose `ln(sigma / alpha)` falls along a power `rho` of equal steps from 1 to 0; `rho = 1`
    /// is exponential in the noise, the same as [`uniform_lambda`](Self::uniform_lambda).
    ///
    /// # Errors
    /// As [`uniform_lambda`](Self::uniform_lambda), and when `rho` is not positive and finite.
    pub fn polyexponential(
        schedule: &dyn NoiseSchedule,
        steps: usize,
        rho: f64,
    ) -> Result<Self, ScheduleError> {
        check_positive("rho", rho)?;
        let (low, high) = lambda_ends(schedule)?;
        let lambda = |share: f64| high - (1.0 - share).powf(rho) * (high - low);
        Self::over(schedule, steps, |share| schedule.time_at_lambda(lambda(share)))
    }

    /// A grid of `steps` steps in equal parts of `(sigma / alpha)^(1 / rho)` (published with `rho = 7`).
    ///
    /// EDM's `n` noise levels are `n - 1` steps here, and the last step to the data is
    /// [`ending_clean`](Self::ending_clean).
    ///
    /// # Errors
    /// As [`uniform_lambda`](Self::uniform_lambda), and when `rho` is not positive and finite.
    pub fn karras(
        schedule: &dyn NoiseSchedule,
        steps: usize,
        rho: f64,
    ) -> Result<Self, ScheduleError> {
        check_positive("rho", rho)?;
        let (low, high) = lambda_ends(schedule)?;
        let root = |lambda: f64| (-lambda / rho).exp(); // of sigma / alpha
        // Karras et al. 2022, eq. 5
        let lambda = |share: f64| -rho * (root(low) * (1.0 - share) + root(high) * share).ln();
        Self::over(schedule, steps, |share| schedule.time_at_lambda(lambda(share)))
    }

    /// A grid through `steps` nodes of a discrete model: `steps - 1` intervals, which
    /// [`ending_clean`](Self::ending_clean) completes to `steps`.
    ///
    /// # Errors
    /// When `steps` is 0 or above the table's length.
    pub fn discrete(
        table: &DiscreteTable,
        steps: usize,
        spacing: Spacing,
    ) -> Result<Self, ScheduleError> {
        Self::at_nodes(table, &spacing.indices(table.len(), steps)?)
    }

    /// A grid through the nodes of a discrete model with these indices, noisiest (largest) first.
    ///
    /// # Errors
    /// When there is no index, one is outside the table, or they do not fall strictly.
    pub fn at_nodes(table: &DiscreteTable, indices: &[usize]) -> Result<Self, ScheduleError> {
        let nodes: Result<Vec<_>, _> = indices.iter().map(|index| table.node(*index)).collect();
        Self::through(&nodes?)
    }

    /// Steps that each lead down a discrete model by `stride` nodes, from the nodes with the indices
    /// `visited`, whatever is visited next; those that would leave the table lead to `end`.
    ///
    /// So the DDIM of diffusers walks: its steps meet where `visited` lie `stride` apart.
    ///
    /// # Errors
    /// When there is no index, one is outside the table, or a step does not lose noise.
    pub fn strided(
        table: &DiscreteTable,
        visited: &[usize],
        stride: usize,
        end: TimePoint,
    ) -> Result<Self, ScheduleError> {
        let below =
            |index: usize| index.checked_sub(stride).map_or(Ok(end), |index| table.node(index));
        let step = |index: &usize| Ok(Interval { from: table.node(*index)?, to: below(*index)? });
        let steps: Result<Vec<_>, _> = visited.iter().map(step).collect();
        Self::from_intervals(steps?)
    }

    /// `steps` steps over the time range, where `time` maps the share walked, 0 to 1, to a time.
    fn over(
        schedule: &dyn NoiseSchedule,
        steps: usize,
        time: impl Fn(f64) -> f64,
    ) -> Result<Self, ScheduleError> {
        if steps == 0 {
            return Err(ScheduleError::TooFewPoints { points: 1 });
        }
        let (clean, noisy) = schedule.time_range();
        let point = |k: usize| match k {
            0 => schedule.point(noisy),
            k if k == steps => schedule.point(clean),
            k => schedule.point(time(k as f64 / steps as f64)),
        };
        Self::through(&(0..=steps).map(point).collect::<Vec<TimePoint>>())
    }
}

/// lambda at the noisy and at the clean end of the time range, both finite.
fn lambda_ends(schedule: &dyn NoiseSchedule) -> Result<(f64, f64), ScheduleError> {
    let (clean, noisy) = schedule.time_range();
    let finite = |t: f64| match schedule.level(t).lambda() {
        lambda if lambda.is_finite() => Ok(lambda),
        lambda => Err(ScheduleError::InfiniteLambda { t, lambda }),
    };
    Ok((finite(noisy)?, finite(clean)?))
}

fn check_positive(name: &'static str, value: f64) -> Result<(), ScheduleError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    let allowed = "a finite value above 0";
    Err(ScheduleError::ParameterOutOfRange { name, value, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Edm, NoiseLevel, SubVpLinear, VeGeometric, VpCosine, VpLinear};

    fn table() -> DiscreteTable {
        DiscreteTable::linear(1000, 1e-4, 0.02).unwrap()
    }

    #[track_caller]
    fn check_meets(grid: &TimeGrid, steps: usize) {
        assert_eq!(grid.len(), steps);
        assert!(grid.intervals().windows(2).all(|pair| pair[0].to == pair[1].from));
    }

    fn all(schedule: &dyn NoiseSchedule, steps: usize) -> [Result<TimeGrid, ScheduleError>; 5] {
        [
            TimeGrid::uniform_time(schedule, steps),
            TimeGrid::quadratic_time(schedule, steps),
            TimeGrid::uniform_lambda(schedule, steps),
            TimeGrid::polyexponential(schedule, steps, 1.5),
            TimeGrid::karras(schedule, steps, 7.0),
        ]
    }

    #[test]
    fn strides_lead_down_the_table_and_out_of_it_to_the_end() {
        let (table, end) = (table(), TimePoint { t: 0.0, level: NoiseLevel::CLEAN });
        let grid = TimeGrid::strided(&table, &[901, 501, 101], 400, end).unwrap();
        let ends: Vec<_> = grid.intervals().iter().map(|step| (step.from, step.to)).collect();
        let node = |index| table.node(index).unwrap();
        assert_eq!(ends, [(node(901), node(501)), (node(501), node(101)), (node(101), end)]);
        assert!(TimeGrid::strided(&table, &[1000], 400, end).is_err());
        assert!(TimeGrid::strided(&table, &[], 400, end).is_err());
    }

    #[test]
    fn every_grid_of_every_schedule_has_the_steps_asked_for_and_both_ends() {
        let schedules: [&dyn NoiseSchedule; 6] = [
            &table(),
            &VpLinear::new(0.1, 20.0).unwrap(),
            &VpCosine::default(),
            &SubVpLinear::new(0.1, 20.0).unwrap(),
            &VeGeometric::new(0.01, 50.0).unwrap(),
            &Edm::new(0.002, 80.0).unwrap(),
        ];
        for schedule in schedules {
            let (clean, noisy) = schedule.time_range();
            for grid in all(schedule, 20).map(Result::unwrap) {
                check_meets(&grid, 20);
                assert_eq!(grid.start(), schedule.point(noisy));
                assert_eq!(grid.intervals()[19].to, schedule.point(clean));
            }
        }
    }

    #[test]
    fn uniform_lambda_has_equal_steps() {
        let grid = TimeGrid::uniform_lambda(&table(), 20).unwrap();
        let first = grid.intervals()[0].h();
        assert!(grid.intervals().iter().all(|interval| (interval.h() / first - 1.0).abs() < 1e-9));
    }

    #[test]
    fn karras_is_the_published_formula() {
        let grid = TimeGrid::karras(&Edm::new(0.002, 80.0).unwrap(), 17, 7.0).unwrap();
        let (low, high) = (0.002_f64.powf(1.0 / 7.0), 80.0_f64.powf(1.0 / 7.0));
        for (i, interval) in grid.intervals().iter().enumerate() {
            let sigma = (high + i as f64 / 17.0 * (low - high)).powi(7);
            assert!((interval.from.t / sigma - 1.0).abs() < 1e-13);
            assert_eq!(interval.from.level, NoiseLevel { alpha: 1.0, sigma: interval.from.t });
        }
    }

    #[test]
    fn quadratic_time_has_equal_steps_in_the_root() {
        let schedule = VpLinear::new(0.1, 20.0).unwrap();
        let grid = TimeGrid::quadratic_time(&schedule, 10).unwrap();
        let step = (1.0 - 1e-3_f64.sqrt()) / 10.0;
        for interval in grid.intervals() {
            assert!((interval.from.t.sqrt() - interval.to.t.sqrt() - step).abs() < 1e-14);
        }
    }

    #[test]
    fn every_step_from_pure_noise_has_finite_gaussians() {
        let tables = [DiscreteTable::jsd(50).unwrap(), table().rescaled_to_zero_snr().unwrap()];
        for table in tables {
            let grids = [
                TimeGrid::uniform_time(&table, 20),
                TimeGrid::quadratic_time(&table, 20),
                TimeGrid::discrete(&table, 20, Spacing::Trailing),
                TimeGrid::discrete(&table, 50, Spacing::Linspace),
            ];
            for interval in
                grids.map(|grid| grid.unwrap().ending_clean()).iter().flat_map(TimeGrid::intervals)
            {
                let (forward, back) = (interval.transition(), interval.posterior());
                let numbers = [forward.scale, forward.variance, back.x, back.data, back.variance];
                assert!(numbers.iter().all(|value| value.is_finite()), "{interval:?}: {numbers:?}");
                let noisy = interval.from.level;
                let kept = back.x.powi(2) * noisy.sigma.powi(2) + back.variance;
                assert!((kept - interval.to.level.sigma.powi(2)).abs() < 1e-12);
                assert!((back.x * noisy.alpha + back.data - interval.to.level.alpha).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_grid_in_lambda_refuses_pure_noise_and_takes_a_truncated_table() {
        let pure = table().rescaled_to_zero_snr().unwrap();
        for grid in [2, 3, 4].map(|kind: usize| all(&pure, 20)[kind].clone()) {
            let error = grid.unwrap_err();
            assert_eq!(error, ScheduleError::InfiniteLambda { t: 1.0, lambda: f64::NEG_INFINITY });
        }
        let grid = TimeGrid::uniform_time(&pure, 20).unwrap();
        assert_eq!(grid.start().level, NoiseLevel { alpha: 0.0, sigma: 1.0 });
        assert!(grid.intervals().iter().all(|interval| interval.to.level.lambda().is_finite()));
        let truncated = pure.truncated_below_lambda(-5.1).unwrap();
        check_meets(&TimeGrid::uniform_lambda(&truncated, 20).unwrap(), 20);
    }

    #[test]
    fn a_discrete_grid_ends_clean_after_as_many_steps_as_asked() {
        let grid = TimeGrid::discrete(&table(), 50, Spacing::Trailing).unwrap().ending_clean();
        check_meets(&grid, 50);
        assert_eq!(grid.intervals()[49].to.level, NoiseLevel::CLEAN);
        assert_eq!(grid.clone().ending_clean(), grid);
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(all(&table(), 0).iter().all(Result::is_err));
        assert!(TimeGrid::karras(&table(), 10, 0.0).is_err());
        assert!(TimeGrid::at_nodes(&table(), &[10, 10]).is_err());
        assert!(TimeGrid::at_nodes(&table(), &[]).is_err());
        let from_the_data = VpLinear::new(0.1, 20.0).unwrap().with_time_range(0.0, 1.0).unwrap();
        let error = TimeGrid::uniform_lambda(&from_the_data, 10).unwrap_err();
        assert!(error.to_string().starts_with("lambda is inf at t = 0"), "{error}");
    }
}
