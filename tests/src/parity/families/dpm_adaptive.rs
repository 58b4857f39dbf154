//! Cases of adaptive DPM-Solver, and of k-diffusion's solver that shares its schedule.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use tweedie_samplers::{Counters, ErrorOver};
use tweedie_schedules::{NoiseSchedule, TimeGrid, VeGeometric};
use tweedie_score::Tolerance;
use tweedie_solvers_dpm::{
    Adaptive, Algorithm, FreshNoise, Order, OrderPair, SingleStep, StepControl, exact_evaluations,
};

use super::dpm_singlestep::{algorithm, published_type, run_k};
use super::dpm_solver_code::{denoised, ends, schedule, with_score};
use crate::parity::{Case, Fields, Output, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match case.sampler.name.as_str() {
        "sample_dpm_fast" => k_fast(case),
        "sample_dpm_adaptive" => k_adaptive(case),
        _ => dpm_solver_code(case),
    }
}

/// A run of dpm-solver's own code.
fn dpm_solver_code(case: &Case) -> Result<Produced> {
    let options = &case.sampler.step_options;
    let (schedule, total) = schedule(&case.schedule)?;
    let (from, to) = ends(case, total)?;
    let pair = pair(options.usize_or("order", 2)?)?;
    let solver = match algorithm(case)? {
        Algorithm::DPM_SOLVER => Adaptive::dpm_solver(schedule.as_ref(), pair),
        _ => Adaptive::dpmpp(schedule.as_ref(), pair),
    };
    let solver = solver
        .between(from, to)
        .solver_type(published_type(case)?)
        .tolerance(tolerance(options)?, ErrorOver::WorstSample)
        .repeating(true);
    let model = case.model()?;
    let state = with_score(case, &model, |plain, corrected| {
        let score = if algorithm(case)? == Algorithm::DPM_SOLVER { plain } else { corrected };
        let run = solver.run(score, case.start()?, &mut case.noise())?;
        if options.bool_or("denoise_to_zero", false)? {
            denoised(&run.state, schedule.point(to), corrected)
        } else {
            Ok(run.state)
        }
    })?;
    let evaluations = model.evaluations();
    let produced = Produced::new().tensor("x_0", state).evaluations(evaluations);
    Ok(produced.number("reported_nfe", evaluations as f64))
}

fn pair(order: usize) -> Result<OrderPair> {
    match order {
        2 => Ok(OrderPair::OneTwo),
        3 => Ok(OrderPair::TwoThree),
        other => bail!("no adaptive method of order {other}"),
    }
}

fn tolerance(options: &Fields) -> Result<Tolerance> {
    let (absolute, relative) = (options.f64_or("atol", 0.0078)?, options.f64_or("rtol", 0.05)?);
    Ok(Tolerance::Larger { absolute, relative })
}

/// The schedule on which k-diffusion's clock, minus the logarithm of sigma, is linear in time.
fn k_schedule(case: &Case) -> Result<VeGeometric> {
    Ok(VeGeometric::new(case.schedule.f64("sigma_min")?, case.schedule.f64("sigma_max")?)?
        .with_time_range(0.0, 1.0)?)
}

fn k_fast(case: &Case) -> Result<Produced> {
    let (options, schedule) = (case.options(), k_schedule(case)?);
    let orders = exact_evaluations(Order::Three, case.steps()?);
    let grid = TimeGrid::uniform_lambda(&schedule, orders.len())?;
    let solver = SingleStep::dpm_solver(Order::Three)
        .with_orders(orders)
        .in_lambda(&schedule)
        .with_fresh_noise(FreshNoise::EachStep { eta: options.f64_or("eta", 0.0)? })?
        .noise_scale(options.f64_or("s_noise", 1.0)?)?;
    run_k(case, &solver, &grid)
}

fn k_adaptive(case: &Case) -> Result<Produced> {
    let (options, schedule) = (case.options(), k_schedule(case)?);
    let control = StepControl::Pid {
        proportional: options.f64_or("pcoeff", 0.0)?,
        integral: options.f64_or("icoeff", 1.0)?,
        derivative: options.f64_or("dcoeff", 0.0)?,
        accept_safety: options.f64_or("accept_safety", 0.81)?,
    };
    // the peer's tolerance is in lambda, of which the whole time is this much
    let length = schedule.level(0.0).lambda() - schedule.level(1.0).lambda();
    let solver = Adaptive::dpm_solver(&schedule, pair(options.usize_or("order", 3)?)?)
        .tolerance(tolerance(options)?, ErrorOver::Batch)
        .step_control(control, options.f64_or("h_init", 0.05)?)?
        .time_tolerance(1e-5 / length)?
        .with_eta(options.f64_or("eta", 0.0)?)?
        .noise_scale(options.f64_or("s_noise", 1.0)?)?
        .repeating(true);
    let model = case.model()?;
    let run = solver.run(&model, case.start()?, &mut case.noise())?;
    let Counters { accepted, rejected, evaluations } = run.counters;
    let info = [
        ("steps", accepted + rejected),
        ("nfe", evaluations),
        ("n_accept", accepted),
        ("n_reject", rejected),
    ];
    let info: BTreeMap<_, _> =
        info.map(|(name, count)| (name.to_owned(), Output::Number(count as f64))).into();
    let produced = Produced::new().tensor("x_0", run.state).with("info", Output::Map(info));
    Ok(produced.evaluations(model.evaluations()))
}
