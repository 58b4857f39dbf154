//! Tables of schedules in continuous time, and of noise levels without one.

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use tweedie_schedules::{Edm, Interval, NoiseLevel, NoiseSchedule, TimeGrid, TimePoint, VpLinear};

use crate::parity::{Case, Produced};

/// Below this lambda the peer drops the steps of a discrete model.
const LOWEST_LAMBDA: f64 = -5.1;

/// A schedule of dpm-solver at given times and lambdas, and its three grids of ten steps.
pub(super) fn of_dpm_solver(case: &Case) -> Result<Produced> {
    if case.schedule.str("kind")? == "vp_linear" {
        let vp = VpLinear::new(case.schedule.f64("beta_min")?, case.schedule.f64("beta_max")?)?;
        return schedule(case, &vp, 1000);
    }
    let table = case.schedule.table()?.respaced_below_lambda(LOWEST_LAMBDA)?;
    let clean = (1.0 / table.len() as f64).max(1e-3);
    let len = table.len();
    schedule(case, &table.with_time_range(clean, 1.0)?, len)
}

fn schedule(case: &Case, schedule: &dyn NoiseSchedule, steps: usize) -> Result<Produced> {
    let (times, lambdas) = (case.inputs.numbers("t")?, case.inputs.numbers("lambda")?);
    let levels: Vec<NoiseLevel> = times.iter().map(|t| schedule.level(*t)).collect();
    let column = |value: fn(&NoiseLevel) -> f64| levels.iter().map(value).collect::<Vec<_>>();
    let back = |lambda: &f64| schedule.time_at_lambda(*lambda);
    let grid_times = |grid: TimeGrid| -> Vec<f64> {
        let ends = grid.intervals().iter().map(|interval| interval.to.t);
        std::iter::once(grid.start().t).chain(ends).collect()
    };
    Ok(Produced::new()
        .numbers("log_mean_coeff", column(|level| level.alpha.ln()))
        .numbers("alpha", column(|level| level.alpha))
        .numbers("std", column(|level| level.sigma))
        .numbers("lambda", column(|level| level.lambda()))
        .numbers("inverse_lambda", lambdas.iter().map(back).collect())
        .numbers("roundtrip_t", levels.iter().map(|level| back(&level.lambda())).collect())
        .number("total_N", steps as f64)
        .number("T", schedule.time_range().1)
        .numbers("time_steps_logSNR", grid_times(TimeGrid::uniform_lambda(schedule, 10)?))
        .numbers("time_steps_time_uniform", grid_times(TimeGrid::uniform_time(schedule, 10)?))
        .numbers("time_steps_time_quadratic", grid_times(TimeGrid::quadratic_time(schedule, 10)?)))
}

/// The noise levels of k-diffusion, for each number of them.
pub(super) fn sigmas(case: &Case) -> Result<Produced> {
    let mut produced = Produced::new();
    for count in case.inputs.numbers("n")? {
        let grid = sigma_grid(case, count as usize - 1)?.ending_clean();
        let sigmas = grid.intervals().iter().map(|interval| interval.from.level.noise_to_signal());
        produced = produced.numbers(count.to_string(), sigmas.chain([0.0]).collect());
    }
    Ok(produced)
}

fn sigma_grid(case: &Case, steps: usize) -> Result<TimeGrid> {
    let given = &case.schedule;
    let edm = || -> Result<Edm> { Ok(Edm::new(given.f64("sigma_min")?, given.f64("sigma_max")?)?) };
    Ok(match given.str("builder")? {
        "karras" => TimeGrid::karras(&edm()?, steps, given.f64_or("rho", 7.0)?)?,
        "exponential" => TimeGrid::uniform_lambda(&edm()?, steps)?,
        "polyexponential" => {
            TimeGrid::polyexponential(&edm()?, steps, given.f64_or("polyexponential_rho", 1.0)?)?
        }
        "vp" => TimeGrid::uniform_time(&VpLinear::new(0.1, 20.0)?, steps)?,
        other => bail!("no builder {other}"),
    })
}

/// How k-diffusion splits a step in two: down to less noise than asked for, then up again.
pub(super) fn ancestral_steps(case: &Case) -> Result<Produced> {
    let mut rows: ArrayD<f64> = case.outputs.tensor("rows")?;
    let point = |sigma| TimePoint { t: sigma, level: NoiseLevel { alpha: 1.0, sigma } };
    for mut row in rows.outer_iter_mut() {
        let &[from, to, eta, ..] = row.as_slice().context("a row of 5")? else {
            bail!("a row has fewer than 3 columns");
        };
        let posterior = Interval { from: point(from), to: point(to) }.posterior();
        let up = (eta * posterior.variance.sqrt()).min(to);
        row[3] = ((to - up) * (to + up)).sqrt();
        row[4] = up;
    }
    Ok(Produced::new().tensor("rows", rows))
}
