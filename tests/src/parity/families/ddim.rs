//! DDIM and its inversion: diffusers' schedulers, guided-diffusion's loops.

use anyhow::{Result, bail};
use tweedie_guidance::ClassifierGuided;
use tweedie_samplers::{Asked, Ddim, Encoding, KeepingNoise, OneStep};
use tweedie_schedules::{TimeGrid, TimePoint};
use tweedie_score::{MapData, Times, Unchanged};

use super::conditions::Pull;
use super::estimate::{self, Estimate, Remembered, State};
use super::guided;
use super::visited::{self, CLEAN};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.sampler.name.as_str() {
        "DDIMScheduler" => diffusers(case),
        "DDIMInverseScheduler" => diffusers_inverse(case),
        "ddim_sample_loop" => sample_loop(case),
        "ddim_reverse_sample" => reverse_sample(case),
        other => bail!("no DDIM {other}"),
    }
}

/// The steps of diffusers, noisiest first: each goes down by `N / steps` entries, whatever is visited
/// next, and beyond the last entry to the data or to entry 0.
fn steps(case: &Case) -> Result<TimeGrid> {
    let table = case.schedule.table()?;
    let stride = table.len() / case.steps()?;
    let end = if case.options().bool_or("set_alpha_to_one", true)? {
        CLEAN
    } else {
        TimePoint { t: 0.0, ..table.node(0)? }
    };
    Ok(TimeGrid::strided(&table, &visited::by_diffusers(case)?, stride, end)?)
}

fn diffusers(case: &Case) -> Result<Produced> {
    let grid = steps(case)?;
    let step_options = &case.sampler.step_options;
    let ddim = Ddim::new(step_options.f64_or("eta", 0.0)?)?;
    let (model, seen) = (case.model()?, Remembered::new(Estimate::of_diffusers(case)?));
    let produced =
        if seen.is_identity() || step_options.bool_or("use_clipped_model_output", false)? {
            estimate::run_mapped(case, &OneStep(ddim), &grid, &model, &seen)?
        } else {
            let map = |data: State, at: Times<'_>| seen.map(data, at);
            estimate::run(case, &KeepingNoise { predictor: ddim, map }, &grid, &model, &seen)?
        };
    Ok(produced.evaluations(model.evaluations()))
}

fn diffusers_inverse(case: &Case) -> Result<Produced> {
    let grid = steps(case)?.reversed();
    let (model, seen) = (case.model()?, Remembered::new(Estimate::of_diffusers(case)?));
    let map = |data: State, at: Times<'_>| seen.map(data, at);
    let produced =
        estimate::run(case, &Encoding { asked: Asked::Ahead, map }, &grid, &model, &seen)?;
    Ok(produced.evaluations(model.evaluations()))
}

fn sample_loop(case: &Case) -> Result<Produced> {
    let (chain, exact) = (visited::chain(case)?, guided::exact(case)?);
    let clip = Estimate::clip(case.options().bool_or("clip_denoised", true)?, 1.0);
    let score = guided::score(case, &exact, &chain)?;
    let solver = OneStep(Ddim::new(case.options().f64_or("eta", 0.0)?)?);
    let produced = if guided::has_condition(case)? {
        let inner = MapData { inner: &*score, map: clip }; // what guidance adds is not clipped
        let score = ClassifierGuided::new(inner, Pull::of(case)?, 1.0)?;
        let seen = Remembered::new(Estimate::AsItIs);
        estimate::run_mapped(case, &solver, &chain, &score, &seen)?
    } else {
        estimate::run_mapped(case, &solver, &chain, &*score, &Remembered::new(clip))?
    };
    Ok(produced.evaluations(exact.evaluations()))
}

fn reverse_sample(case: &Case) -> Result<Produced> {
    let (chain, exact) = (visited::chain(case)?, guided::exact(case)?);
    let seen = Remembered::new(Estimate::clip(case.options().bool_or("clip_denoised", true)?, 1.0));
    let score = guided::score(case, &exact, &chain)?;
    let nodes: Vec<TimePoint> = chain.intervals().iter().map(|step| step.from).collect();
    let grid = TimeGrid::through(&nodes)?.reversed();
    let solver = Encoding::<Unchanged>::default();
    let produced = estimate::run_mapped(case, &solver, &grid, &*score, &seen)?;
    Ok(produced.evaluations(exact.evaluations()))
}
