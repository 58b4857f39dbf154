//! Tables of `score_sde_pytorch`: its SDEs at given times and states, and its table look-ups.

use anyhow::Result;
use ndarray::{Array1, ArrayD};
use tweedie_schedules::{Interval, TimePoint, Transition, VpLinear};
use tweedie_score::{Batch, ScoreFn, Times, VectorSpace};
use tweedie_sde::{Discretization, ReverseSde, SongTable, song_grid};

use super::process::Process;
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    if case.inputs.get("x").is_some() {
        return sde_table(case);
    }
    let field = |name: &str| case.inputs.f64(name).or_else(|_| case.schedule.f64(name));
    let (steps, eps) = (field("N")? as usize, field("eps")?);
    let wide = indices(&times(steps, eps)?, steps)?;
    let narrow = float32_indices(steps, eps as f32);
    Ok(Produced::new().numbers("float64_index", wide).numbers("float32_index", narrow))
}

/// The times of the peer's samplers.
fn times(steps: usize, eps: f64) -> Result<Vec<f64>> {
    let grid = song_grid(&VpLinear::new(0.1, 20.0)?, steps, eps)?;
    Ok(grid.intervals().iter().map(|interval| interval.from.t).collect())
}

/// Where the peer looks in a table of `steps` entries.
fn indices(times: &[f64], steps: usize) -> Result<Vec<f64>> {
    let table = SongTable::variance_exploding(0.01, 50.0, steps)?;
    Ok(times.iter().map(|t| table.index(*t) as f64).collect())
}

/// The same in single precision, which may truncate to another entry: the arithmetic of
/// `torch.linspace`, each number counted from the end nearer to it and rounded once.
fn float32_indices(steps: usize, eps: f32) -> Vec<f64> {
    let last = (steps - 1) as f32;
    let step = (eps - 1.0) / last;
    let time = |k: usize| match k {
        _ if steps == 1 => 1.0,
        k if k < steps / 2 => step.mul_add(k as f32, 1.0),
        k => (-step).mul_add((steps - 1 - k) as f32, eps),
    };
    (0..steps).map(|k| f64::from((time(k) * last).floor())).collect()
}

/// A number for each time, as the array the peer has them in.
fn list(values: Vec<f64>) -> ArrayD<f64> {
    Array1::from(values).into_dyn()
}

/// Drift, diffusion, marginal, chain and prior of an SDE, forwards and backwards.
fn sde_table(case: &Case) -> Result<Produced> {
    let steps = case.schedule.usize_or("N", 1000)?;
    let process = Process::read(&case.schedule, steps)?;
    let (sde, t, x) = (process.sde.as_ref(), case.inputs.numbers("t")?, case.inputs.tensor("x")?);
    let points: Vec<TimePoint> = t.iter().map(|t| sde.point(*t)).collect();
    let each = |value: &dyn Fn(&TimePoint) -> f64| points.iter().map(value).collect::<Vec<f64>>();
    let score = case.model()?.predict(&x, Times::PerSample(&points))?;
    let squares = x.dot_each(&x);
    let prior = squares.into_iter().map(|square| sde.prior_log_density(square, x.item_len()));
    let produced = Produced::new()
        .tensor("drift", x.scale_each(&each(&|at| sde.drift(at.t))))
        .tensor("diffusion", list(each(&|at| sde.diffusion_squared(at.t).sqrt())))
        .tensor("mean", x.scale_each(&each(&|at| at.level.alpha)))
        .tensor("std", list(each(&|at| at.level.sigma)))
        .tensor("prior_logp", list(prior.collect()))
        .numbers("discrete_index", indices(&t, steps)?);
    let produced = chain_table(produced, &process, &points, (&x, &score))?;
    Ok(produced.tensor("score", score))
}

/// The chain and its reversal, the reverse SDE and the probability flow.
fn chain_table(
    mut produced: Produced,
    process: &Process,
    points: &[TimePoint],
    (x, score): (&ArrayD<f64>, &ArrayD<f64>),
) -> Result<Produced> {
    let chain = process.chain()?;
    let transitions: Vec<Transition> =
        points.iter().map(|at| chain.transition(Interval { from: *at, to: *at })).collect();
    let moves: Vec<f64> = transitions.iter().map(|step| step.scale - 1.0).collect();
    let roots: Vec<f64> = transitions.iter().map(|step| step.variance.sqrt()).collect();
    let sum = |of_x: &[f64], of_score: &[f64]| {
        ArrayD::combine(&[(1.0, &x.scale_each(of_x)), (1.0, &score.scale_each(of_score))])
    };
    for (name, eta) in [("pf0", 1.0), ("pf1", 0.0)] {
        let reverse = ReverseSde::new(process.sde.as_ref(), eta)?;
        let (of_x, of_score): (Vec<_>, Vec<_>) =
            points.iter().map(|at| reverse.drift(at.t)).unzip();
        let diffusions = points.iter().map(|at| reverse.diffusion(at.t)).collect();
        let kicks = roots.iter().map(|root| eta * root).collect();
        let pull = -0.5 * (1.0 + eta * eta);
        let pulls: Vec<f64> = transitions.iter().map(|step| pull * step.variance).collect();
        produced = produced
            .tensor(format!("reverse_drift_{name}"), sum(&of_x, &of_score))
            .tensor(format!("reverse_diffusion_{name}"), list(diffusions))
            .tensor(format!("reverse_discretize_f_{name}"), sum(&moves, &pulls))
            .tensor(format!("reverse_discretize_G_{name}"), list(kicks));
    }
    Ok(produced.tensor("discretize_f", x.scale_each(&moves)).tensor("discretize_G", list(roots)))
}
