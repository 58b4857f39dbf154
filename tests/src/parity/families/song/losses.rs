//! The losses of `score_sde_pytorch`: denoising score matching on an SDE, DDPM and SMLD.

use anyhow::{Context, Result, bail, ensure};
use tweedie_losses::{
    Counting, Denoising, DenoisingPlan, Distance, Reduction, TimeSampler, UniformTime, Weighting,
};
use tweedie_schedules::{NoiseSchedule, Prediction, TimePoint};
use tweedie_score::{NoiseSource, Replay, ScoreFn, Times};

use super::super::known_options;
use super::{OnTable, Process, State};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(in super::super) fn run(case: &Case) -> Result<Produced> {
    known_options::check(case)?;
    let process = Process::read(&case.schedule, case.schedule.usize_or("N", 1000)?)?;
    let end = case.schedule.f64_or("T", 1.0)?;
    ensure!(end == 1.0, "an SDE that ends at T = {end}, expected 1");
    let noise = &mut case.noise();
    match case.sampler.name.as_str() {
        "sde_loss" => on_sde(case, &process, noise),
        "ddpm_loss" => on_chain(case, &process, Prediction::Noise, noise),
        "smld_loss" => on_chain(case, &process, Prediction::Score, noise),
        other => bail!("no loss {other}"),
    }
}

/// `get_sde_loss_fn`: uniform times in `[eps, 1]`.
fn on_sde(case: &Case, process: &Process, noise: &mut Replay) -> Result<Produced> {
    let options = case.options();
    let likelihood = options.bool_or("likelihood_weighting", true)?;
    let weighting = if likelihood { Weighting::Likelihood } else { Weighting::SIGMA };
    let counting = counting(case, true)?;
    let times = UniformTime::new(options.f64_or("eps", 1e-5)?, 1.0)?;
    let drawn = times.draw(&uniform(noise, case)?);
    let points: Vec<TimePoint> = drawn.iter().map(|drawn| process.sde.point(drawn.t)).collect();
    let model = case.model()?;
    let mut measure = |score: &dyn ScoreFn<State>| {
        let objective = Denoising::new(score.prediction(), weighting).counted(counting);
        let plan = objective.plan(&points, process.sde.as_ref())?;
        mean_loss(case, &plan, &points, score, noise)
    };
    // none for sub-VP, whose networks are continuous whatever the option says
    let table = if options.bool_or("continuous", true)? { None } else { process.table()? };
    match table {
        Some(table) => measure(&OnTable { inner: &model, table, rounds: process.rounds() }),
        None => measure(&model),
    }
}

/// `get_ddpm_loss_fn` and `get_smld_loss_fn`: the levels of the chain, SMLD's from the noisiest.
fn on_chain(
    case: &Case,
    process: &Process,
    asked_for: Prediction,
    noise: &mut Replay,
) -> Result<Produced> {
    let table = process.table()?.context("a chain that has a table")?;
    let model = case.model()?;
    let is_smld = asked_for == Prediction::Score;
    ensure!(is_smld == process.rounds(), "the loss of the other chain");
    ensure!(model.prediction() == asked_for, "a model that returns {:?}", model.prediction());
    let (last, batch) = (table.len() - 1, case.inputs.tensor("batch")?.shape()[0]);
    let labels = NoiseSource::<State>::indices(noise, batch, table.len())?;
    let point = |label: &usize| {
        let index = if is_smld { last - label } else { *label };
        TimePoint { t: index as f64 / last.max(1) as f64, level: table.level(index) }
    };
    let points: Vec<TimePoint> = labels.iter().map(point).collect();
    let objective = Denoising::new(asked_for, Weighting::SIGMA).counted(counting(case, !is_smld)?);
    let plan = objective.plan(&points, process.sde.as_ref())?;
    mean_loss(case, &plan, &points, &model, noise)
}

/// The loss of a batch at these times; its noise is the draw that comes next.
fn mean_loss(
    case: &Case,
    plan: &DenoisingPlan,
    points: &[TimePoint],
    score: &dyn ScoreFn<State>,
    noise: &mut Replay,
) -> Result<Produced> {
    let x0 = case.inputs.tensor("batch")?;
    let eps: State = noise.normal_like(&x0)?;
    let output = score.predict(&plan.noised(&x0, &eps), Times::PerSample(points))?;
    let losses = plan.losses(&output, &x0, &eps);
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    Ok(Produced::new().tensor("loss", ndarray::arr0(mean).into_dyn()))
}

fn uniform(noise: &mut Replay, case: &Case) -> Result<Vec<f64>> {
    Ok(NoiseSource::<State>::uniform(noise, case.inputs.tensor("batch")?.shape()[0])?)
}

/// Squared errors, as a mean over the values or half their sum.
fn counting(case: &Case, default: bool) -> Result<Counting> {
    let is_mean = case.options().bool_or("reduce_mean", default)?;
    let reduction = if is_mean { Reduction::Mean } else { Reduction::HalfSum };
    Ok(Counting { distance: Distance::SquaredError, reduction })
}
