//! Cases of multistep DPM-Solver, from diffusers, k-diffusion and dpm-solver.

use anyhow::{Result, bail};
use tweedie_schedules::TimeGrid;
use tweedie_solvers_dpm::{Algorithm, FinalOrders, Multistep, Order, SolverType, ThirdOrder};

use super::diffusers_sigmas::{Spread, grid, grid_through, k_point};
use super::solved::{self, Watched};
use super::{dpm_solver_code, karras, solved::produced};
use crate::parity::{Case, Produced};

/// Runs a case.
pub(super) fn run(case: &Case) -> Result<Produced> {
    match (case.peer_name(), case.sampler.name.as_str()) {
        ("LuChengTHU/dpm-solver", _) => dpm_solver_code::run(case),
        ("crowsonkb/k-diffusion", _) => k_diffusion(case),
        (_, "EDMDPMSolverMultistepScheduler") => {
            let grid = edm_grid(case)?;
            solved::diffusers(case, &solver(case, grid.len())?, &grid)
        }
        _ => {
            let grid = grid(case)?;
            solved::diffusers(case, &solver(case, grid.len())?, &grid)
        }
    }
}

pub(super) fn order(number: usize) -> Result<Order> {
    Ok(match number {
        1 => Order::One,
        2 => Order::Two,
        3 => Order::Three,
        other => bail!("no method of order {other}"),
    })
}

/// The orders at the end of a run of diffusers.
pub(super) fn final_orders(case: &Case, steps: usize) -> Result<FinalOrders> {
    let options = case.options();
    Ok(if options.bool_or("lower_order_final", true)? && steps < 15 {
        FinalOrders::Falling
    } else if options.bool_or("euler_at_final", false)? {
        FinalOrders::LastStep
    } else {
        FinalOrders::Full
    })
}

fn solver(case: &Case, steps: usize) -> Result<Multistep> {
    let options = case.options();
    let algorithm = match options.str_or("algorithm_type", "dpmsolver++")? {
        "dpmsolver++" | "deis" => Algorithm::DPM_SOLVER_PP,
        "dpmsolver" => Algorithm::DPM_SOLVER,
        "sde-dpmsolver++" => Algorithm::SDE_DPM_SOLVER_PP,
        "sde-dpmsolver" => Algorithm::SDE_DPM_SOLVER,
        other => bail!("algorithm_type {other}"),
    };
    let solver_type = match options.str_or("solver_type", "midpoint")? {
        "heun" => SolverType::Taylor,
        _ => SolverType::Midpoint,
    };
    Ok(Multistep::new(algorithm, order(options.usize_or("solver_order", 2)?)?)
        .solver_type(solver_type)
        .third_order(ThirdOrder::Diffusers)
        .final_orders(final_orders(case, steps)?))
}

/// The grid of a scheduler that steps through EDM's noise levels.
pub(super) fn edm_grid(case: &Case) -> Result<TimeGrid> {
    let points: Vec<_> = edm_sigmas(case)?.into_iter().map(k_point).collect();
    grid_through(&points)
}

fn edm_sigmas(case: &Case) -> Result<Vec<f64>> {
    let option = |name: &str, default: f64| {
        case.options().f64_or(name, case.schedule.f64_or(name, default)?)
    };
    let (low, high) = (option("sigma_min", 0.002)?, option("sigma_max", 80.0)?);
    let spread = match case.options().str_or("sigma_schedule", "karras")? {
        "karras" => Spread::Karras { rho: option("rho", 7.0)? },
        "exponential" => Spread::Exponential,
        other => bail!("sigma_schedule {other}"),
    };
    let mut sigmas = spread.sigmas((low, high), case.steps()?)?;
    sigmas.push(match case.options().str_or("final_sigmas_type", "zero")? {
        "zero" => 0.0,
        _ => low,
    });
    Ok(sigmas)
}

fn k_diffusion(case: &Case) -> Result<Produced> {
    let options = case.options();
    let eta = options.f64_or("eta", 1.0)?;
    let solver_type = match options.str_or("solver_type", "midpoint")? {
        "midpoint" => SolverType::Midpoint,
        _ => SolverType::Taylor,
    };
    let two = Multistep::dpmpp(Order::Two);
    let solver = match case.sampler.name.as_str() {
        "sample_dpmpp_2m" => two,
        "sample_dpmpp_2m_sde" => two.solver_type(solver_type).with_eta(eta)?,
        _ => Multistep::dpmpp(Order::Three).solver_type(SolverType::Taylor).with_eta(eta)?,
    };
    let solver =
        solver.noise_scale(options.f64_or("s_noise", 1.0)?)?.final_orders(FinalOrders::Full);
    let model = case.model()?;
    let watched = Watched::new(&model);
    let states = solved::states(case, &solver, &watched, &karras::grid(case)?)?;
    // the peer shows each state before its step
    Ok(produced(states, model.evaluations()).states("states", watched.into_seen()))
}
