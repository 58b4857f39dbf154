//! Tables of SDEs: drift, diffusion, reversal, and the published way to cut them into steps.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use ndarray::{ArrayD, Axis};
use tweedie_schedules::{Interval, SubVpLinear, TimePoint, Transition, VeGeometric, VpLinear};
use tweedie_score::{Batch, ScoreFn, Times, VectorSpace};
use tweedie_sde::{Discretization, Euler, ReverseSde, Sde, SongTable, song_grid};

use crate::parity::{Case, Fields, Produced};

/// An SDE and the chain published with it.
fn process(schedule: &Fields, steps: usize) -> Result<(Box<dyn Sde>, Box<dyn Discretization>)> {
    let pair =
        |low: &str, high: &str| Ok::<_, anyhow::Error>((schedule.f64(low)?, schedule.f64(high)?));
    Ok(match schedule.str("kind")? {
        "vp_linear" => {
            let (low, high) = pair("beta_min", "beta_max")?;
            let table = SongTable::variance_preserving(low, high, steps)?;
            (Box::new(VpLinear::new(low, high)?), Box::new(table))
        }
        "subvp_linear" => {
            let (low, high) = pair("beta_min", "beta_max")?;
            let sde = SubVpLinear::new(low, high)?;
            (Box::new(sde), Box::new(Euler::new(sde).with_step(1.0 / steps as f64)?))
        }
        "ve" => {
            let (low, high) = pair("sigma_min", "sigma_max")?;
            let table = SongTable::variance_exploding(low, high, steps)?;
            (Box::new(VeGeometric::new(low, high)?), Box::new(table))
        }
        other => bail!("no SDE of kind {other}"),
    })
}

/// The index of a table of `steps` entries that time `t` falls on.
fn entry(steps: usize, t: f64) -> Result<f64> {
    // the entries do not matter, their number alone does
    Ok(SongTable::variance_exploding(0.01, 50.0, steps)?.index(t) as f64)
}

/// Functions of an SDE at a list of times, each with a state of its own.
pub(super) fn functions(case: &Case) -> Result<Produced> {
    let steps = case.schedule.usize("N")?;
    let (sde, chain) = process(&case.schedule, steps)?;
    let (times, states) = (case.inputs.numbers("t")?, case.inputs.tensor("x")?);
    let mut columns: BTreeMap<&str, Vec<ArrayD<f64>>> = BTreeMap::new();
    for (t, x) in times.iter().zip(states.axis_chunks_iter(Axis(0), 1)) {
        let (at, x) = (sde.point(*t), x.to_owned());
        let score = case.model()?.predict(&x, Times::Shared(at))?;
        let number = |value: f64| ArrayD::from_elem(vec![1], value);
        let squared_norm = x.iter().map(|value| value * value).sum();
        columns.entry("std").or_default().push(number(at.level.sigma));
        let prior = sde.prior_log_density(squared_norm, x.len());
        columns.entry("prior_logp").or_default().push(number(prior));
        for (name, (of_x, of_score)) in drifts(&*sde, &*chain, at) {
            let drift = ArrayD::combine(&[(of_x, &x), (of_score, &score)]);
            columns.entry(name).or_default().push(drift);
        }
        for (name, value) in diffusions(&*sde, &*chain, at) {
            columns.entry(name).or_default().push(number(value));
        }
    }
    let entries = times.iter().map(|t| entry(steps, *t)).collect::<Result<_>>()?;
    let mut produced = Produced::new().numbers("discrete_index", entries);
    for (name, rows) in &columns {
        produced = produced.tensor(*name, ArrayD::concat(&rows.iter().collect::<Vec<_>>()));
    }
    Ok(produced)
}

/// What moves the state, as coefficients `(of the state, of the score)`, by name.
fn drifts(
    sde: &dyn Sde,
    chain: &dyn Discretization,
    at: TimePoint,
) -> [(&'static str, (f64, f64)); 8] {
    let (reverse, flow) = (ReverseSde::anderson(sde), ReverseSde::probability_flow(sde));
    let Transition { scale, variance } = chain.transition(Interval { from: at, to: at });
    [
        ("mean", (at.level.alpha, 0.0)),
        ("score", (0.0, 1.0)),
        ("drift", (sde.drift(at.t), 0.0)),
        ("reverse_drift_pf0", reverse.drift(at.t)),
        ("reverse_drift_pf1", flow.drift(at.t)),
        ("discretize_f", (scale - 1.0, 0.0)),
        // the peer walks a step of the chain back by minus this; half the score for the flow
        ("reverse_discretize_f_pf0", (scale - 1.0, -variance)),
        ("reverse_discretize_f_pf1", (scale - 1.0, -0.5 * variance)),
    ]
}

/// Standard deviations of the noise, by name.
fn diffusions(
    sde: &dyn Sde,
    chain: &dyn Discretization,
    at: TimePoint,
) -> [(&'static str, f64); 6] {
    let deviation = chain.transition(Interval { from: at, to: at }).variance.sqrt();
    [
        ("diffusion", sde.diffusion_squared(at.t).sqrt()),
        ("reverse_diffusion_pf0", ReverseSde::anderson(sde).diffusion(at.t)),
        ("reverse_diffusion_pf1", ReverseSde::probability_flow(sde).diffusion(at.t)),
        ("discretize_G", deviation),
        ("reverse_discretize_G_pf0", deviation),
        ("reverse_discretize_G_pf1", 0.0),
    ]
}

/// The entries of a table that its own grid of times falls on, in double and in single precision.
pub(super) fn entries(case: &Case) -> Result<Produced> {
    let (steps, end) = (case.inputs.usize("N")?, case.inputs.f64("eps")?);
    let grid = song_grid(&VeGeometric::new(0.01, 50.0)?, steps, end)?;
    let double = grid.intervals().iter().map(|interval| entry(steps, interval.from.t));
    Ok(Produced::new()
        .numbers("float64_index", double.collect::<Result<_>>()?)
        .numbers("float32_index", single_precision(steps, end as f32)))
}

/// The same computed as the peer does in single precision; the library has double alone.
fn single_precision(steps: usize, end: f32) -> Vec<f64> {
    let last = steps - 1;
    let step = (end - 1.0) / last as f32;
    let time = |k: usize| {
        if k < steps / 2 {
            step.mul_add(k as f32, 1.0)
        } else {
            (-step).mul_add((last - k) as f32, end)
        }
    };
    (0..steps).map(|k| f64::from((time(k) * last as f32).floor())).collect()
}
