//! Analytic-DPM's code: optimal variances, the bounds they lie between, and its trajectories.

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use tweedie_samplers::{
    AnalyticDpm, Ancestral, Ddim, KeepingNoise, NoiseCap, NoiseMoments, OneStep, Predictor, Solver,
    Variance, sample,
};
use tweedie_schedules::{Interval, TimeGrid, TimePoint, Trajectory, least_cost};
use tweedie_score::{Clip, MapData, Replay, ScoreFn};

use super::visited::CLEAN;
use crate::parity::{Case, Produced};

/// The peer holds the data estimate in the range of its images.
pub(super) const IMAGES: Clip = Clip { low: -1.0, high: 1.0 };

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.kind == "table" { trajectories(case) } else { sampling(case) }
}

/// The indices that a trajectory of the peer visits, noisiest first.
fn indices(
    kind: &str,
    steps: usize,
    betas: &[f64],
    moments: Result<Vec<f64>>,
) -> Result<Vec<usize>> {
    let trajectory = match kind {
        "linear" => Trajectory::Even,
        "quad_ddim" => Trajectory::Quadratic,
        "dp_seg" => return Ok(least_cost(betas, &moments?, steps)?),
        other => {
            let power = other.strip_prefix("power").and_then(|power| power.parse().ok());
            Trajectory::Power(power.with_context(|| format!("no trajectory {other}"))?)
        }
    };
    Ok(trajectory.indices(betas.len(), steps)?)
}

/// A table of trajectories: keys are `schedule;trajectory;steps`, or the steps of a `dp_seg` alone.
fn trajectories(case: &Case) -> Result<Produced> {
    let mut produced = Produced::new();
    for key in case.outputs.0.keys() {
        let parts: Vec<_> = key.split(';').collect();
        let (kind, steps, betas, moments) = match parts[..] {
            [steps] => ("dp_seg", steps, betas_of(case)?, case.inputs.numbers("ms_eps")?),
            [schedule, kind, steps] => {
                let moments = case.inputs.numbers(&format!("ms_eps_{schedule}"))?;
                (kind, steps, betas(schedule, moments.len())?, moments)
            }
            _ => bail!("{key} is no trajectory"),
        };
        produced = match indices(kind, steps.parse()?, &betas, Ok(moments)) {
            Ok(indices) => {
                let counted = indices.into_iter().rev().map(|index| (index + 1) as f64);
                produced.numbers(key, counted.collect())
            }
            Err(error) => produced.refused(key, error),
        };
    }
    Ok(produced)
}

/// The peer's schedules by name, for a table of `count` steps.
fn betas(schedule: &str, count: usize) -> Result<Vec<f64>> {
    Ok(match schedule {
        "linear" => linear(count, 0.1 / count as f64, 20.0 / count as f64),
        "cosine" => cosine(count, 0.008, 0.999),
        other => bail!("no schedule {other}"),
    })
}

/// The betas of a case.
///
/// Where moments are 1 all paths cost the same, and the last digit of the betas chooses. So they are
/// computed here as the peer computes them, for the choice of a path alone.
fn betas_of(case: &Case) -> Result<Vec<f64>> {
    let schedule = &case.schedule;
    let count = schedule.usize("N")?;
    Ok(match schedule.str("kind")? {
        "discrete_linear" => linear(count, schedule.f64("beta_start")?, schedule.f64("beta_end")?),
        "discrete_cosine" => {
            cosine(count, schedule.f64_or("s", 0.008)?, schedule.f64_or("max_beta", 0.999)?)
        }
        _ => schedule.betas()?,
    })
}

/// `numpy.linspace`.
fn linear(count: usize, start: f64, end: f64) -> Vec<f64> {
    let step = (end - start) / (count as f64 - 1.0);
    let beta = |i: usize| if i + 1 == count { end } else { i as f64 * step + start };
    (0..count).map(beta).collect()
}

fn cosine(count: usize, offset: f64, most: f64) -> Vec<f64> {
    let angle = |u: f64| (u + offset) / (1.0 + offset) * std::f64::consts::PI / 2.0;
    let bar = |i: usize| angle(i as f64 / count as f64).cos().powi(2);
    (0..count).map(|i| (1.0 - bar(i + 1) / bar(i)).min(most)).collect()
}

/// The nodes that a case visits, noisiest first; small indices may repeat.
pub(super) fn nodes(case: &Case) -> Result<Vec<TimePoint>> {
    let (table, betas) = (case.schedule.table()?, betas_of(case)?);
    let kind = case.options().str_or("steps_type", "linear")?;
    let steps = case.sampler.steps.unwrap_or(betas.len()); // the peer's default is all of them
    let visited = indices(kind, steps, &betas, case.inputs.numbers("ms_eps_full"))?;
    visited.into_iter().map(|index| Ok(table.node(index)?)).collect()
}

fn sampling(case: &Case) -> Result<Produced> {
    let (options, nodes) = (case.options(), nodes(case)?);
    let eta = options.f64_or("eta", 0.0)?;
    match case.sampler.name.as_str() {
        "ddpm_naive" => {
            let small = options.bool_or("small_sigma", false)?;
            let variance = if small { Variance::FixedSmall } else { Variance::FixedLarge };
            let clips = options.bool_or("clip_denoise", false)?;
            following_data(case, &nodes, &Ancestral { variance }, clips)
        }
        "ddpm_ms_eps" => following_data(case, &nodes, &analytic(case, &nodes, 1.0)?, true),
        "ddim_naive" => keeping_noise(case, &nodes, &Ddim::new(eta)?),
        "ddim_ms_eps" => keeping_noise(case, &nodes, &analytic(case, &nodes, eta)?),
        other => bail!("no sampler {other}"),
    }
}

/// The optimal variance with the moments of a case, which it lists for the nodes, cleanest first.
pub(super) fn analytic(case: &Case, nodes: &[TimePoint], eta: f64) -> Result<AnalyticDpm> {
    let values = case.inputs.numbers("ms_eps_at_ns")?;
    let mut known: Vec<_> = nodes.iter().rev().map(|node| node.level).zip(values).collect();
    known.dedup_by_key(|(level, _)| *level);
    let (levels, values): (Vec<_>, Vec<_>) = known.into_iter().unzip();
    Ok(AnalyticDpm::new(eta, NoiseMoments::new(&levels, &values)?)?.with_data_range(-1.0, 1.0)?)
}

/// DDPM: where the data estimate is clipped, the noise follows it.
fn following_data(
    case: &Case,
    nodes: &[TimePoint],
    method: &dyn Predictor,
    clips: bool,
) -> Result<Produced> {
    let (model, capped) = (case.model()?, capped(case, nodes, method)?);
    let clipped = MapData { inner: &model, map: IMAGES };
    let score: &dyn ScoreFn<ArrayD<f64>> = if clips { &clipped } else { &model };
    let end = end(case, nodes, &OneStep(&capped), &capped, score)?;
    Ok(Produced::new().tensor("x_0", end).evaluations(model.evaluations()))
}

/// DDIM: the data estimate is clipped, the noise stays as the network has it.
fn keeping_noise(case: &Case, nodes: &[TimePoint], method: &dyn Predictor) -> Result<Produced> {
    let (model, capped) = (case.model()?, capped(case, nodes, method)?);
    let solver = KeepingNoise { predictor: &capped, map: IMAGES };
    let end = end(case, nodes, &solver, &capped, &model)?;
    Ok(Produced::new().tensor("x_0", end).evaluations(model.evaluations()))
}

/// The method with its noise held down below the node of index `clip_sigma_idx`, cleanest first.
fn capped<'a>(
    case: &Case,
    nodes: &[TimePoint],
    method: &'a dyn Predictor,
) -> Result<NoiseCap<&'a dyn Predictor>> {
    let index = case.options().f64_or("clip_sigma_idx", 0.0)?;
    // a negative index counts from the noisiest
    let place = if index < 0.0 { -1.0 - index } else { nodes.len() as f64 - 1.0 - index };
    let below = nodes.get(place as usize).context("clip_sigma_idx is no node")?.t;
    Ok(NoiseCap::pixels(method, case.options().f64_or("clip_pixel", 2.0)?, below)?)
}

/// The end of a run with the recorded noise, of which the peer multiplies some by 0.
fn end(
    case: &Case,
    nodes: &[TimePoint],
    solver: &dyn Solver<ArrayD<f64>>,
    method: &dyn Predictor,
    score: &dyn ScoreFn<ArrayD<f64>>,
) -> Result<ArrayD<f64>> {
    let ends = nodes[1..].iter().chain([&CLEAN]);
    let join = |(from, to): (&TimePoint, &TimePoint)| Interval { from: *from, to: *to };
    let intervals: Vec<_> = nodes.iter().zip(ends).map(join).collect();
    let adds = |interval: &Interval| method.coefficients(*interval).noise != 0.0;
    let drawn = case.noises.iter().zip(&intervals).filter(|(_, interval)| adds(interval));
    let mut noise =
        Replay::new(drawn.map(|(draw, _)| draw.values.iter().copied().collect::<Vec<_>>()));
    Ok(sample(solver, score, &TimeGrid::from_intervals(intervals)?, case.start()?, &mut noise)?)
}
