//! Cases of single-step DPM-Solver, from diffusers, k-diffusion and dpm-solver.

use anyhow::{Context, Result, bail};
use ndarray::ArrayD;
use tweedie_samplers::Solver;
use tweedie_schedules::{Edm, NoiseSchedule, TimeGrid};
use tweedie_solvers_dpm::{
    Algorithm, FreshNoise, InnerShares, Order, SingleStep, SolverType, ending_in_order_one,
    exact_evaluations, fixed_order,
};

use super::diffusers_sigmas::grid;
use super::dpm_multistep::order;
use super::dpm_solver_code::{self, denoised, ends, schedule, with_score};
use super::karras;
use super::solved::{self, produced};
use crate::parity::{Case, Produced};

type State = ArrayD<f64>;

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match (case.peer_name(), case.sampler.name.as_str()) {
        ("LuChengTHU/dpm-solver", _) => run_published(case),
        ("crowsonkb/k-diffusion", _) => k_diffusion(case),
        _ => solved::diffusers(case, &single_step(case)?, &grid(case)?),
    }
}

/// A run of dpm-solver's own code.
fn run_published(case: &Case) -> Result<Produced> {
    let options = &case.sampler.step_options;
    let (schedule, total) = schedule(&case.schedule)?;
    let spacing = options.str_or("skip_type", "time_uniform")?;
    let (solver, intervals, shown) = published(case, spacing, schedule.as_ref())?;
    let ends = ends(case, total)?;
    let grid = dpm_solver_code::grid(schedule.as_ref(), spacing, ends, intervals)?;
    let last = schedule.point(ends.1);
    let model = case.model()?;
    let states = with_score(case, &model, |plain, corrected| {
        // the noise form corrects the data estimate in the last evaluation alone
        let score = if algorithm(case)? == Algorithm::DPM_SOLVER { plain } else { corrected };
        let all = solved::states(case, &solver, score, &grid)?;
        let mut states: Vec<State> = shown.iter().map(|index| all[*index].clone()).collect();
        if options.bool_or("denoise_to_zero", false)? {
            let end = states.last().context("a run has states")?;
            states.push(denoised(end, last, corrected)?);
        }
        Ok(states)
    })?;
    Ok(produced(states, model.evaluations()))
}

/// The solver, the intervals of its grid, and those after which the peer shows the state.
fn published<'s>(
    case: &Case,
    spacing: &str,
    schedule: &'s dyn NoiseSchedule,
) -> Result<(SingleStep<'s>, usize, Vec<usize>)> {
    let options = &case.sampler.step_options;
    let highest = order(options.usize_or("order", 2)?)?;
    let evaluations = options.usize_or("steps", 20)?;
    let fixed = options.str_or("method", "")? == "singlestep_fixed";
    let pattern = if fixed { fixed_order } else { exact_evaluations };
    let orders = pattern(highest, evaluations);
    let steps = orders.len();
    let shown = last_stages(&orders);
    let solver = SingleStep::new(algorithm(case)?, highest)
        .solver_type(published_type(case)?)
        .with_orders(orders);
    Ok(if spacing == "logSNR" && !fixed {
        // the steps are equal in lambda, whatever their order
        (solver.in_lambda(schedule), steps, (0..steps).collect())
    } else {
        (solver, shown.last().map_or(0, |last| last + 1), shown)
    })
}

/// Index of the last evaluation of each step.
fn last_stages(orders: &[Order]) -> Vec<usize> {
    let ends = orders.iter().scan(0, |taken, order| {
        *taken += order.get();
        Some(*taken - 1)
    });
    ends.collect()
}

/// The algorithm of a case of dpm-solver or diffusers.
pub(super) fn algorithm(case: &Case) -> Result<Algorithm> {
    Ok(match case.options().str_or("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" | "deis" => Algorithm::DPM_SOLVER_PP,
        "dpmsolver" => Algorithm::DPM_SOLVER,
        "sde-dpmsolver++" => Algorithm::SDE_DPM_SOLVER_PP,
        other => bail!("algorithm_type {other}"),
    })
}

/// dpm-solver's `solver_type`.
pub(super) fn published_type(case: &Case) -> Result<SolverType> {
    match case.sampler.step_options.str_or("solver_type", "dpmsolver")? {
        "dpmsolver" => Ok(SolverType::Midpoint),
        "taylor" => Ok(SolverType::Taylor),
        other => bail!("solver_type {other}"),
    }
}

/// The single-step scheduler of diffusers, which evaluates the network on the sigma grid.
fn single_step(case: &Case) -> Result<SingleStep<'static>> {
    let (options, steps) = (case.options(), case.steps()?);
    let highest = order(options.usize_or("solver_order", 2)?)?;
    let solver_type = match options.str_or("solver_type", "midpoint")? {
        "heun" => SolverType::Taylor,
        _ => SolverType::Midpoint,
    };
    let to_data = options.str_or("final_sigmas_type", "zero")? == "zero";
    let lower = options.bool_or("lower_order_final", false)? || steps % highest.get() != 0;
    let mut orders = match (lower || to_data, highest) {
        (false, _) => fixed_order(highest, steps),
        (true, Order::Two) => ending_in_order_one(exact_evaluations(highest, steps)),
        (true, _) => exact_evaluations(highest, steps),
    };
    if to_data {
        orders = ending_in_order_one(orders);
    }
    Ok(SingleStep::new(algorithm(case)?, highest)
        .solver_type(solver_type)
        .second_inner(solver_type)
        .with_orders(orders))
}

/// k-diffusion's `dpmpp_2s_ancestral` and `dpmpp_sde`.
fn k_diffusion(case: &Case) -> Result<Produced> {
    let options = case.options();
    let eta = options.f64_or("eta", 1.0)?;
    let schedule = Edm::new(case.schedule.f64("sigma_min")?, case.schedule.f64("sigma_max")?)?;
    let solver = SingleStep::dpmpp(Order::Two).noise_scale(options.f64_or("s_noise", 1.0)?)?;
    let solver = if case.sampler.name == "sample_dpmpp_sde" {
        let shares = InnerShares { halfway: [options.f64_or("r", 0.5)?], ..InnerShares::default() };
        solver.in_lambda_at(&schedule, shares)?.with_fresh_noise(FreshNoise::EachStage { eta })?
    } else {
        solver.in_lambda(&schedule).with_fresh_noise(FreshNoise::EachStep { eta })?
    };
    run_k(case, &solver, &karras::grid(case)?)
}

/// Runs a case of k-diffusion, which shows each state before its step.
pub(super) fn run_k(case: &Case, solver: &dyn Solver<State>, grid: &TimeGrid) -> Result<Produced> {
    let model = case.model()?;
    let after = solved::states(case, solver, &model, grid)?;
    let before = [case.start()?].into_iter().chain(after.clone()).take(after.len()).collect();
    Ok(produced(after, model.evaluations()).states("states", before))
}

/// The orders of the steps for each `order,evaluations`.
pub(super) fn table_of_orders(case: &Case) -> Result<Produced> {
    let mut produced = Produced::new();
    for name in case.outputs.0.keys() {
        let (highest, evaluations) = name.split_once(',').context("no order,evaluations")?;
        let orders = exact_evaluations(order(highest.parse()?)?, evaluations.parse()?);
        let numbers = orders.into_iter().map(|order| order.get() as f64).collect();
        produced = produced.numbers(name, numbers);
    }
    Ok(produced)
}
