//! Tables of discrete models.

use anyhow::{Context, Result, ensure};
use tweedie_schedules::{
    DiscreteTable, Interval, NoiseLevel, Posterior, Prediction, Respacing, ScheduleError, TimePoint,
};
use tweedie_score::Times;

use crate::parity::{Case, Produced};

/// The step of a table that ends at `index`, with the data before its first.
fn step(table: &DiscreteTable, index: usize) -> Result<Interval, ScheduleError> {
    let clean = TimePoint { t: 0.0, level: NoiseLevel::CLEAN };
    let to = if index == 0 { clean } else { table.node(index - 1)? };
    Ok(Interval { from: table.node(index)?, to })
}

/// One value for each index.
fn column(
    indices: &[usize],
    value: impl Fn(usize) -> Result<f64, ScheduleError>,
) -> Result<Vec<f64>> {
    Ok(indices.iter().map(|index| value(*index)).collect::<Result<_, _>>()?)
}

fn indices(case: &Case, name: &str) -> Result<Vec<usize>> {
    Ok(case.inputs.numbers(name)?.into_iter().map(|value| value as usize).collect())
}

/// Betas and the two variances of DDPM.
pub(super) fn of_diffusers(case: &Case) -> Result<Produced> {
    let (table, at) = (case.schedule.table()?, indices(case, "index")?);
    let betas = table.betas();
    // the peer holds the variance above 1e-20, so that it has a logarithm
    let small = |i| Ok(step(&table, i)?.posterior().variance.max(1e-20));
    let large = |i| Ok(step(&table, i)?.transition().variance);
    Ok(Produced::new()
        .numbers("betas", column(&at, |i| Ok(betas[i]))?)
        .numbers("alphas_cumprod", column(&at, |i| table.alpha_bar(i))?)
        .numbers("variance_fixed_small", column(&at, small)?)
        .numbers("variance_fixed_large", column(&at, large)?))
}

/// Data with noise added at a step, and the velocity of both.
pub(super) fn add_noise(case: &Case) -> Result<Produced> {
    let (table, at) = (case.schedule.table()?, indices(case, "t")?);
    let points: Vec<_> = at.into_iter().map(|i| table.node(i)).collect::<Result<_, _>>()?;
    let (data, noise) = (case.inputs.tensor("x0")?, case.inputs.tensor("noise")?);
    let times = Times::PerSample(&points);
    let state = times.combine(|at| (at.level.alpha, at.level.sigma), &data, &noise)?;
    let velocity = times.combine(|at| Prediction::Velocity.target(at.level), &data, &noise)?;
    Ok(Produced::new().tensor("x_t", state).tensor("velocity", velocity))
}

/// All that the peer precomputes from its betas.
pub(super) fn of_guided_diffusion(case: &Case) -> Result<Produced> {
    let (table, at) = (case.schedule.table()?, indices(case, "index")?);
    let betas = table.betas();
    let after = |i| if i + 1 < table.len() { table.alpha_bar(i + 1) } else { Ok(0.0) };
    let before = |i| Ok(step(&table, i)?.to.level.alpha.powi(2));
    let posterior = |part: fn(Posterior) -> f64| {
        let table = &table;
        move |i| Ok(part(step(table, i)?.posterior()))
    };
    // the first step has no variance; the peer takes the logarithm of the second one's
    let log_variance = |i: usize| Ok(step(&table, i.max(1))?.posterior().variance.ln());
    Ok(Produced::new()
        .numbers("betas", column(&at, |i| Ok(betas[i]))?)
        .numbers("alphas_cumprod", column(&at, |i| table.alpha_bar(i))?)
        .numbers("alphas_cumprod_prev", column(&at, before)?)
        .numbers("alphas_cumprod_next", column(&at, after)?)
        .numbers("posterior_variance", column(&at, posterior(|p| p.variance))?)
        .numbers("posterior_log_variance_clipped", column(&at, log_variance)?)
        .numbers("posterior_mean_coef1", column(&at, posterior(|p| p.data))?)
        .numbers("posterior_mean_coef2", column(&at, posterior(|p| p.x))?))
}

/// The shorter models that a respacing makes of the linear and of the cosine table.
pub(super) fn respaced(case: &Case) -> Result<Produced> {
    let linear = case.schedule.table()?;
    let respacing: Respacing = case.schedule.str("respacing")?.parse()?;
    let chosen = respacing.indices(linear.len())?;
    let recorded = indices(case, "timestep_map").context("inputs")?;
    ensure!(chosen.iter().rev().eq(&recorded), "other steps are chosen: {chosen:?}");
    let mut produced = Produced::new();
    for (name, whole) in [("linear", &linear), ("cosine", &DiscreteTable::cosine(linear.len())?)] {
        let table = whole.respaced(&chosen)?;
        let all: Vec<usize> = (0..table.len()).collect();
        let variance = |i| Ok(step(&table, i)?.posterior().variance);
        produced = produced
            .numbers(format!("betas_{name}"), table.betas())
            .numbers(format!("alphas_cumprod_{name}"), table.alpha_bars())
            .numbers(format!("posterior_variance_{name}"), column(&all, variance)?);
    }
    Ok(produced)
}
